package domain

import "strings"

// ChannelKind is the part of a channel's name before the colon.
type ChannelKind string

const (
	// KindWorkspace is everybody in the workspace.
	KindWorkspace ChannelKind = "workspace"
	// KindRoom is the sessions that subscribed to a room.
	KindRoom ChannelKind = "room"
	// KindMember is every session of one member of one workspace.
	KindMember ChannelKind = "member"
)

// Channel decides who learns what: "workspace:{id}", "room:{id}", "member:{id}".
type Channel string

// WorkspaceChannel names the channel of everybody in a workspace.
func WorkspaceChannel(id string) Channel { return Channel("workspace:" + id) }

// RoomChannel names the channel of a room's subscribers.
func RoomChannel(id string) Channel { return Channel("room:" + id) }

// MemberChannel names the channel of one member's own sessions.
func MemberChannel(id string) Channel { return Channel("member:" + id) }

// ParseChannel checks a channel name that came from outside.
func ParseChannel(s string) (Channel, error) {
	kind, id, ok := strings.Cut(s, ":")
	if !ok || !ValidID(id) {
		return "", InvalidField("channel", "a channel is workspace:{id}, room:{id} or member:{id}")
	}
	switch ChannelKind(kind) {
	case KindWorkspace, KindRoom, KindMember:
		return Channel(s), nil
	}
	return "", InvalidField("channel", "unknown channel kind %q", kind)
}

// Kind returns the part before the colon.
func (c Channel) Kind() ChannelKind {
	kind, _, _ := strings.Cut(string(c), ":")
	return ChannelKind(kind)
}

// ID returns the part after the colon.
func (c Channel) ID() string {
	_, id, _ := strings.Cut(string(c), ":")
	return id
}
