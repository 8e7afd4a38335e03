package main

import (
	"fmt"

	"github.com/orbit/realtime/domain"
)

// node is an object of the AsyncAPI document; encoding/json sorts its keys.
type node map[string]any

func ref(format string, args ...any) node { return node{"$ref": fmt.Sprintf(format, args...)} }

// connection is the channel of everything between one session and the server.
const connection = "session"

// asyncAPI renders an AsyncAPI 3.0 document of the server: it sends what
// clients receive.
func asyncAPI(m *model) ([]byte, error) {
	messages := clientMessages()
	for _, e := range m.events {
		messages[e.name] = node{
			"name": e.Type, "title": e.Type, "summary": e.Doc, "contentType": "application/json",
			"payload":  ref("#/components/schemas/%s", e.name),
			"examples": []node{{"payload": e.sample}},
		}
	}
	schemas := node{}
	for name, s := range definitions(m, "#/components/schemas/") {
		schemas[name] = s
	}
	channels, operations := asyncChannels(m)
	return indented(node{
		"asyncapi": "3.0.0",
		"info": node{
			"title": "Orbit Realtime", "version": "1",
			"description": "Server events over WebSocket; server-sent events and long poll carry the same. " +
				"One connection carries the channels that its member may see, in one order.",
			"x-catalog":   m.hash,
			"x-generated": generated,
		},
		"servers": node{"local": node{
			"host": "localhost:8080", "protocol": "ws", "description": "serve --demo",
		}},
		"defaultContentType": "application/json",
		"channels":           channels,
		"operations":         operations,
		"components":         node{"messages": messages, "schemas": schemas},
	})
}

// asyncChannels makes the channels with their messages, and for each an operation.
func asyncChannels(m *model) (channels, operations node) {
	channels = node{
		string(domain.KindWorkspace): channelNode(domain.KindWorkspace, "Everybody in the workspace."),
		string(domain.KindRoom):      channelNode(domain.KindRoom, "The sessions that subscribed to a room."),
		string(domain.KindMember):    channelNode(domain.KindMember, "Every session of one member."),
		connection: node{
			"address": "/v1/ws", "messages": node{},
			"description": "One connection: what is addressed to it alone, and what its client may send.",
		},
	}
	operations = node{}
	add := func(channel, message string) node {
		channels[channel].(node)["messages"].(node)[message] = ref("#/components/messages/%s", message)
		return ref("#/channels/%s/messages/%s", channel, message)
	}
	send := map[string][]node{}
	for _, e := range m.events {
		if e.Channel == "" {
			send[connection] = append(send[connection], add(connection, e.name))
		}
		for _, kind := range e.channels() {
			send[string(kind)] = append(send[string(kind)], add(string(kind), e.name))
		}
	}
	for channel, sent := range send {
		operations[channel+"Events"] = node{"action": "send", "channel": ref("#/channels/%s", channel), "messages": sent}
	}
	for _, c := range clientCommands {
		answers := make([]node, len(c.answers))
		for i, t := range c.answers {
			answers[i] = ref("#/channels/%s/messages/%s", connection, eventName(t))
		}
		operations[c.name] = node{
			"action": "receive", "channel": ref("#/channels/%s", connection),
			"messages": []node{add(connection, c.name)},
			"reply":    node{"channel": ref("#/channels/%s", connection), "messages": answers},
		}
	}
	return channels, operations
}

func channelNode(kind domain.ChannelKind, description string) node {
	return node{
		"address": fmt.Sprintf("%s:{id}", kind), "description": description, "messages": node{},
		"parameters": node{"id": node{"description": fmt.Sprintf("The %s's id.", kind)}},
	}
}

// clientCommand is what a client may send over WebSocket.
type clientCommand struct {
	name     string
	summary  string
	required []string // beside type
	optional []string
	answers  []domain.ServerEventType
}

var clientCommands = []clientCommand{
	{"subscribe", "Joins a room; with a position, the room's entries after it follow.", []string{"room"}, []string{"position", "ref"}, []domain.ServerEventType{domain.ServerSystemSubscribed, domain.ServerSystemError}},
	{"unsubscribe", "Leaves a room.", []string{"room"}, []string{"ref"}, []domain.ServerEventType{domain.ServerSystemUnsubscribed, domain.ServerSystemError}},
	{"ping", "Asks for a heartbeat.", nil, nil, []domain.ServerEventType{domain.ServerSystemHeartbeat}},
}

func clientMessages() node {
	types := map[string]*schema{
		"room":     {Description: "A room's id.", Type: "string"},
		"position": {Ref: "#/components/schemas/Position"},
		"ref":      {Description: "Comes back in the answer.", Type: "integer"},
	}
	messages := node{}
	for _, c := range clientCommands {
		payload := &schema{
			Type: "object", Required: append([]string{"type"}, c.required...),
			Properties: map[string]*schema{"type": {Type: "string", Const: c.name}},
		}
		for _, name := range append(append([]string{}, c.required...), c.optional...) {
			payload.Properties[name] = types[name]
		}
		messages[c.name] = node{"name": c.name, "title": c.name, "summary": c.summary, "contentType": "application/json", "payload": payload}
	}
	return messages
}
