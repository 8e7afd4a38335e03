package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// model is all that the outputs are made from.
type model struct {
	hash       string
	events     []event // as in domain.Catalog
	objects    []*object
	enums      []*enum
	closeCodes []domain.CloseCode // by code
}

// event is a row of domain.Catalog with its payload's type and an example.
type event struct {
	domain.ServerEventSpec
	name    string // WorkspaceMemberJoinedEvent
	payload *object
	sample  json.RawMessage // the bytes that a client receives
}

// carries says which of the envelope's fields an event has.
type carries string

const (
	always    carries = "always"
	sometimes carries = "sometimes"
	never     carries = "never"
)

// envelope is one kind of envelope around a payload.
type envelope struct {
	name                           string
	doc                            string
	id, channel, cause, causes, at carries
}

var (
	logEnvelope       = envelope{"LogEnvelope", "Around events of the workspace's log.", always, always, always, sometimes, always}
	broadcastEnvelope = envelope{"BroadcastEnvelope", "Around ephemeral events on a channel: they have no place in the log, and so no id.", never, always, sometimes, never, sometimes}
	positionEnvelope  = envelope{"PositionEnvelope", "Around events to one session that carry the current position.", always, never, never, never, never}
	sessionEnvelope   = envelope{"SessionEnvelope", "Around other events to one session.", never, never, never, never, never}
)

// envelopes lists all kinds.
var envelopes = []envelope{logEnvelope, broadcastEnvelope, positionEnvelope, sessionEnvelope}

func (e event) envelope() envelope {
	switch {
	case e.Channel != "" && !e.Ephemeral:
		return logEnvelope
	case e.Channel != "":
		return broadcastEnvelope
	case !e.Ephemeral:
		return positionEnvelope
	}
	return sessionEnvelope
}

// envelopeField is a field of the envelope, as documented everywhere.
type envelopeField struct {
	name string
	typ  typ
	doc  string
	of   func(envelope) carries
}

var envelopeFields = []envelopeField{
	{"id", typ{kind: kindPosition}, "The position after applying this event.", func(e envelope) carries { return e.id }},
	{"channel", typ{kind: kindChannel}, "Who may know.", func(e envelope) carries { return e.channel }},
	{"cause", typ{kind: kindString}, "The domain event's id, as in the header Orbit-Event-Id of a command's answer.", func(e envelope) carries { return e.cause }},
	{"causes", typ{kind: kindList, elem: &typ{kind: kindString}}, "Ids of later domain events that this one answers for as well, cause not among them: of one type and aggregate, they were waiting when it was read again. At most 99; absent when there is none.", func(e envelope) carries { return e.causes }},
	{"at", typ{kind: kindTime}, "When the domain event was published, inside the transaction of the change.", func(e envelope) carries { return e.at }},
}

// loadModel reads the source of package domain below root, and its tables.
func loadModel(root string) (*model, error) {
	src, err := loadSource(filepath.Join(root, "domain"))
	if err != nil {
		return nil, err
	}
	m := &model{hash: domain.CatalogHash(), closeCodes: closeCodes()}
	names := map[string]domain.ServerEventType{}
	for _, spec := range domain.Catalog {
		e := event{ServerEventSpec: spec, name: eventName(spec.Type)}
		if other, taken := names[e.name]; taken {
			return nil, fmt.Errorf("%s and %s would both be called %s", other, spec.Type, e.name)
		}
		names[e.name] = spec.Type
		if e.payload, err = src.object(reflect.TypeOf(spec.Payload).Name()); err != nil {
			return nil, fmt.Errorf("%s: %w", spec.Type, err)
		}
		if e.sample, err = sample(e); err != nil {
			return nil, err
		}
		m.events = append(m.events, e)
	}
	// What clients meet beside events: the state they begin with.
	if _, err := src.object(reflect.TypeFor[domain.Snapshot]().Name()); err != nil {
		return nil, err
	}
	if _, err := src.enum(reflect.TypeFor[domain.ChannelKind]().Name()); err != nil {
		return nil, err
	}
	m.objects, m.enums = src.found()
	return m, nil
}

// eventName makes WorkspaceMemberJoinedEvent of workspace.member.joined.
func eventName(t domain.ServerEventType) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(string(t), func(r rune) bool { return r == '.' || r == '_' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String() + "Event"
}

// closeCodes is domain's table and what package problem adds to it.
func closeCodes() []domain.CloseCode {
	codes := slices.Clone(domain.CloseCodes)
	for _, k := range problem.Kinds {
		if !slices.Contains(codes, k.Close) {
			codes = append(codes, k.Close)
		}
	}
	slices.SortFunc(codes, func(a, b domain.CloseCode) int { return cmp.Compare(a.Code, b.Code) })
	return codes
}

// privateRooms lists the events that, for a private room, go to the member
// channels of those who are in it, and not to the channel of the catalog.
var privateRooms = []domain.ServerEventType{domain.ServerRoomCreated, domain.ServerRoomUpdated, domain.ServerRoomDeleted}

// anyChannel lists the events that go to whatever channels their cause concerns.
var anyChannel = []domain.ServerEventType{domain.ServerSystemStale, domain.ServerSystemHealed}

// channels is where an event may land; none for events to one session.
func (e event) channels() []domain.ChannelKind {
	switch {
	case e.Channel == "":
		return nil
	case slices.Contains(privateRooms, e.Type):
		return []domain.ChannelKind{e.Channel, domain.KindMember}
	case slices.Contains(anyChannel, e.Type):
		return []domain.ChannelKind{domain.KindWorkspace, domain.KindRoom, domain.KindMember}
	}
	return []domain.ChannelKind{e.Channel}
}
