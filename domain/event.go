package domain

import (
	"encoding/json"
	"sync"
	"time"
)

// EventType names a domain event.
type EventType string

// Event is a domain event: the internal fact that something about an aggregate
// was committed. It is written to the outbox in the transaction of the change,
// and tells a projector to look again.
type Event struct {
	ID          string    // UUIDv7; publishing the same id twice is one event
	Type        EventType // one of EventTypes
	WorkspaceID string
	AggregateID string
	// Payload is a JSON object with what the database can no longer tell: the
	// last version of a deleted aggregate, who left a team. See Changed.
	Payload json.RawMessage
	// Metadata travels along untouched: MetaCorrelationID, MetaCausationID,
	// MetaTraceparent, and whatever the product adds.
	Metadata map[string]string
	// CreatedAt is when it was published, inside its transaction.
	CreatedAt time.Time
}

// Metadata keys of our own.
const (
	MetaCorrelationID = "correlation_id"
	MetaCausationID   = "causation_id"
	MetaTraceparent   = "traceparent"
)

// The domain events.
const (
	EventWorkspaceUpdated    EventType = "workspaces.updated"
	EventMemberJoined        EventType = "workspaces.member.joined"
	EventMemberUpdated       EventType = "workspaces.member.updated"
	EventMemberRoleChanged   EventType = "workspaces.member.role_changed"
	EventMemberRemoved       EventType = "workspaces.member.removed"
	EventRoleCreated         EventType = "workspaces.role.created"
	EventRoleUpdated         EventType = "workspaces.role.updated"
	EventRoleDeleted         EventType = "workspaces.role.deleted"
	EventTeamCreated         EventType = "workspaces.team.created"
	EventTeamUpdated         EventType = "workspaces.team.updated"
	EventTeamDeleted         EventType = "workspaces.team.deleted"
	EventTeamMemberAdded     EventType = "workspaces.team.member_added"
	EventTeamMemberRemoved   EventType = "workspaces.team.member_removed"
	EventSubscriptionUpdated EventType = "workspaces.subscription.updated"
	EventRoomCreated         EventType = "rooms.created"
	EventRoomUpdated         EventType = "rooms.updated"
	EventRoomDeleted         EventType = "rooms.deleted"
	EventRoomMemberAdded     EventType = "rooms.member_added"
	EventRoomMemberRemoved   EventType = "rooms.member_removed"
	EventMessagePosted       EventType = "rooms.message.posted"
	EventMessageEdited       EventType = "rooms.message.edited"
	EventMessageDeleted      EventType = "rooms.message.deleted"
	EventMemberNotified      EventType = "members.notified"
)

// EventSpec describes a domain event: what AggregateID points at, and what the
// payload holds beyond nothing.
type EventSpec struct {
	Type      EventType
	Aggregate string // workspace, member, role, team, subscription, room, message, notification
	// Fact marks events that are facts rather than state (a message was
	// posted): a backlog of them is never collapsed into one.
	Fact bool
	// Level marks events of whose projection the aggregate alone decides, as it
	// is now: nothing in the payload does, and nobody's rights change. Several
	// that wait for the same aggregate tell the same; see Collapses.
	Level   bool
	Payload any // zero value of the payload's struct
	Doc     string
}

// EventTypes is the one table of domain events.
var EventTypes = []EventSpec{
	{EventWorkspaceUpdated, "workspace", false, true, Changed{}, "name or slug changed"},
	{EventMemberJoined, "member", false, false, Changed{}, "a user became a member"},
	{EventMemberUpdated, "member", false, true, Changed{}, "display name changed"},
	{EventMemberRoleChanged, "member", false, true, Changed{}, "another role was given"},
	{EventMemberRemoved, "member", false, false, Changed{}, "the membership ended"},
	{EventRoleCreated, "role", false, true, Changed{}, "a custom role was made"},
	{EventRoleUpdated, "role", false, true, Changed{}, "name or permissions changed"},
	{EventRoleDeleted, "role", false, false, Changed{}, "a custom role was deleted"},
	{EventTeamCreated, "team", false, true, Changed{}, "a team was made"},
	{EventTeamUpdated, "team", false, true, Changed{}, "the team's name changed"},
	{EventTeamDeleted, "team", false, false, Changed{}, "the team was deleted"},
	{EventTeamMemberAdded, "team", false, false, GroupChanged{}, "a member came into the team"},
	{EventTeamMemberRemoved, "team", false, false, GroupChanged{}, "a member left the team"},
	{EventSubscriptionUpdated, "subscription", false, true, Changed{}, "plan, seats or status changed"},
	{EventRoomCreated, "room", false, true, Changed{}, "a room was opened"},
	{EventRoomUpdated, "room", false, true, Changed{}, "the room's name changed"},
	{EventRoomDeleted, "room", false, false, RoomDeleted{}, "the room was deleted"},
	{EventRoomMemberAdded, "room", false, false, GroupChanged{}, "a member was invited into a private room"},
	{EventRoomMemberRemoved, "room", false, false, GroupChanged{}, "a member left a private room"},
	{EventMessagePosted, "message", true, false, MessageChanged{}, "somebody said something"},
	{EventMessageEdited, "message", true, false, MessageChanged{}, "the author edited it"},
	{EventMessageDeleted, "message", true, false, MessageChanged{}, "it was taken back"},
	{EventMemberNotified, "notification", true, false, Changed{}, "a member got a notification"},
}

// AggregateOf names what an event of type t is about, as EventSpec.Aggregate
// does; "" for a type that is not in EventTypes.
func AggregateOf(t EventType) string { return specs()[t].Aggregate }

// Collapses reports whether several waiting events of type t that are about the
// same aggregate may be told as one: they are state, told by the aggregate alone.
func Collapses(t EventType) bool {
	spec := specs()[t]
	return spec.Level && !spec.Fact
}

// Parts reports whether nothing of the workspace may be collapsed across an
// event of type t: somebody's rights may change there, something ends, or
// nobody knows what it means.
func Parts(t EventType) bool {
	spec := specs()[t]
	return !spec.Level && !spec.Fact
}

var specs = sync.OnceValue(func() map[EventType]EventSpec {
	byType := make(map[EventType]EventSpec, len(EventTypes))
	for _, spec := range EventTypes {
		byType[spec.Type] = spec
	}
	return byType
})

// Changed is the payload of most domain events: the aggregate's version right
// after the change. A deletion's version is the last one plus one.
type Changed struct {
	Version int64 `json:"version"`
}

// GroupChanged says which member came into, or left, a team or a private room.
type GroupChanged struct {
	Version  int64  `json:"version"`
	MemberID string `json:"memberId"`
}

// RoomDeleted carries who may learn of it, for the room can't be asked anymore.
type RoomDeleted struct {
	Version   int64    `json:"version"`
	Private   bool     `json:"private"`
	MemberIDs []string `json:"memberIds"`
}

// MessageChanged carries the room, for a deleted message can't be asked.
type MessageChanged struct {
	Version int64  `json:"version"`
	RoomID  string `json:"roomId"`
}

// NewEvent makes a domain event with a fresh id. The payload must marshal to a
// JSON object; CreatedAt is set by the unit of work when it is published.
func NewEvent(t EventType, workspaceID, aggregateID string, payload any) Event {
	raw, err := json.Marshal(payload)
	if err != nil {
		panic(err) // payloads are structs of this package
	}
	return Event{ID: NewEventID(), Type: t, WorkspaceID: workspaceID, AggregateID: aggregateID, Payload: raw}
}
