package domain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// The server events.
const (
	ServerWorkspaceUpdated    ServerEventType = "workspace.updated"
	ServerMemberJoined        ServerEventType = "workspace.member.joined"
	ServerMemberUpdated       ServerEventType = "workspace.member.updated"
	ServerMemberRoleChanged   ServerEventType = "workspace.member.role_changed"
	ServerMemberRemoved       ServerEventType = "workspace.member.removed"
	ServerRoleCreated         ServerEventType = "workspace.role.created"
	ServerRoleUpdated         ServerEventType = "workspace.role.updated"
	ServerRoleDeleted         ServerEventType = "workspace.role.deleted"
	ServerTeamCreated         ServerEventType = "workspace.team.created"
	ServerTeamUpdated         ServerEventType = "workspace.team.updated"
	ServerTeamDeleted         ServerEventType = "workspace.team.deleted"
	ServerTeamMemberAdded     ServerEventType = "workspace.team.member.added"
	ServerTeamMemberRemoved   ServerEventType = "workspace.team.member.removed"
	ServerSubscriptionUpdated ServerEventType = "workspace.subscription.updated"
	ServerRoomCreated         ServerEventType = "room.created"
	ServerRoomUpdated         ServerEventType = "room.updated"
	ServerRoomDeleted         ServerEventType = "room.deleted"
	ServerMessagePosted       ServerEventType = "room.message.posted"
	ServerMessageEdited       ServerEventType = "room.message.edited"
	ServerMessageDeleted      ServerEventType = "room.message.deleted"
	ServerMemberNotification  ServerEventType = "member.notification"
	ServerPresenceUpdate      ServerEventType = "presence.update"
	ServerSystemHello         ServerEventType = "system.hello"
	ServerSystemLive          ServerEventType = "system.live"
	ServerSystemHeartbeat     ServerEventType = "system.heartbeat"
	ServerSystemResync        ServerEventType = "system.resync"
	ServerSystemSubscribed    ServerEventType = "system.subscribed"
	ServerSystemUnsubscribed  ServerEventType = "system.unsubscribed"
	ServerSystemError         ServerEventType = "system.error"
	ServerSystemStale         ServerEventType = "system.stale"
	ServerSystemHealed        ServerEventType = "system.healed"
	ServerSystemOutdated      ServerEventType = "system.outdated"
	ServerSystemGoodbye       ServerEventType = "system.goodbye"
)

// Payloads. The JSON fields of each stand beside the envelope's type, id,
// channel, cause and at.
type (
	// Tombstone is all that is left of a removed or deleted entity.
	Tombstone struct {
		ID      string `json:"id"`
		Version int64  `json:"version"`
	}
	WorkspacePayload struct {
		Workspace Workspace `json:"workspace"`
	}
	MemberPayload struct {
		Member Member `json:"member"`
	}
	MemberTombstone struct {
		Member Tombstone `json:"member"`
	}
	RolePayload struct {
		Role Role `json:"role"`
	}
	RoleTombstone struct {
		Role Tombstone `json:"role"`
	}
	TeamPayload struct {
		Team Team `json:"team"`
	}
	TeamTombstone struct {
		Team Tombstone `json:"team"`
	}
	// TeamMemberPayload is the whole team, and whose place in it changed.
	TeamMemberPayload struct {
		Team     Team   `json:"team"`
		MemberID string `json:"memberId"` // who came or left
	}
	SubscriptionPayload struct {
		Subscription Subscription `json:"subscription"`
	}
	RoomPayload struct {
		Room Room `json:"room"`
	}
	RoomTombstone struct {
		Room Tombstone `json:"room"`
	}
	MessagePayload struct {
		Message Message `json:"message"`
	}
	MessageTombstone struct {
		Message Tombstone `json:"message"`
	}
	NotificationPayload struct {
		Notification Notification `json:"notification"`
	}
	PresencePayload struct {
		MemberID string `json:"memberId"` // who
		Online   bool   `json:"online"`   // whether any of their sessions is open
	}
	// WorkspaceRef names the workspace a session is in.
	WorkspaceRef struct {
		ID   string `json:"id"`
		Slug string `json:"slug"` // as in the URL that was asked for
	}
	// MemberRef names the member a session belongs to.
	MemberRef struct {
		ID string `json:"id"`
	}
	// HelloPayload opens every connection. Resumed says that everything after
	// the position the client gave follows before system.live.
	HelloPayload struct {
		Session     string       `json:"session"` // this connection's id, for logs and for the next poll
		Workspace   WorkspaceRef `json:"workspace"`
		Member      MemberRef    `json:"member"`
		Resumed     bool         `json:"resumed"`     // whether the replay that follows is complete
		Presence    []string     `json:"presence"`    // member ids online, sorted
		Rooms       []string     `json:"rooms"`       // room ids subscribed, sorted
		HeartbeatMS int64        `json:"heartbeatMs"` // milliseconds between heartbeats
		Catalog     string       `json:"catalog"`     // hash of the server's catalog
	}
	// ResyncPayload tells the client to fetch a snapshot and go on from there.
	ResyncPayload struct {
		Reason ResyncReason `json:"reason"`
	}
	// SubscribedPayload answers a subscribe or unsubscribe message.
	SubscribedPayload struct {
		Room string `json:"room"` // room id
		Ref  *int64 `json:"ref,omitempty"`
		// Reason is set when the server ended the subscription: "room_deleted" or "revoked".
		Reason string `json:"reason,omitempty"`
	}
	// ErrorPayload answers a message that could not be carried out.
	ErrorPayload struct {
		Code    Code   `json:"code"`
		Message string `json:"message"` // for people
		Ref     *int64 `json:"ref,omitempty"`
	}
	// StalePayload names an aggregate.
	StalePayload struct {
		Kind      string `json:"kind"`      // workspace, member, role, team, subscription, room, message or notification
		Aggregate string `json:"aggregate"` // its id
	}
	// OutdatedPayload tells an old tab that the server speaks another catalog.
	OutdatedPayload struct {
		Catalog string `json:"catalog"` // the server's
	}
	// GoodbyePayload says why the stream ends and what to do.
	GoodbyePayload struct {
		Code      int    `json:"code"`      // a close code
		Reason    string `json:"reason"`    // for people
		Reconnect bool   `json:"reconnect"` // whether to come back by itself
		DelayMS   int64  `json:"delayMs"`   // milliseconds to stay away; 0: the client chooses
	}
	// EmptyPayload has no fields beyond the envelope.
	EmptyPayload struct{}
)

// ResyncReason says why the gap is not available.
type ResyncReason string

const (
	ResyncPositionExpired ResyncReason = "position_expired" // below what the log keeps
	ResyncEpochChanged    ResyncReason = "epoch_changed"    // another lifetime of the log
	ResyncPositionInvalid ResyncReason = "position_invalid" // not a position
	ResyncAheadOfLog      ResyncReason = "ahead_of_log"     // above the log's head: history was lost
)

// ServerEventSpec describes one server event.
type ServerEventSpec struct {
	Type ServerEventType
	// Channel is where it lands; empty for events addressed to one session.
	Channel ChannelKind
	// Payload is the zero value of the payload's struct.
	Payload any
	// Ephemeral events have no place in the log and no id.
	Ephemeral bool
	// Causes are the domain events behind it; none for presence and system events.
	Causes []EventType
	Doc    string
}

// Catalog is the one table of server events: types, documentation and
// fixtures are generated from it.
var Catalog = []ServerEventSpec{
	{ServerWorkspaceUpdated, KindWorkspace, WorkspacePayload{}, false, []EventType{EventWorkspaceUpdated}, "The workspace's name or slug changed."},
	{ServerMemberJoined, KindWorkspace, MemberPayload{}, false, []EventType{EventMemberJoined}, "A user became a member."},
	{ServerMemberUpdated, KindWorkspace, MemberPayload{}, false, []EventType{EventMemberUpdated}, "A member's name changed."},
	{ServerMemberRoleChanged, KindWorkspace, MemberPayload{}, false, []EventType{EventMemberRoleChanged}, "A member was given another role."},
	{ServerMemberRemoved, KindWorkspace, MemberTombstone{}, false, []EventType{EventMemberRemoved}, "A membership ended; the removed member's sockets close with 4403 right after it."},
	{ServerRoleCreated, KindWorkspace, RolePayload{}, false, []EventType{EventRoleCreated}, "A role was made."},
	{ServerRoleUpdated, KindWorkspace, RolePayload{}, false, []EventType{EventRoleUpdated}, "A role's name or permissions changed."},
	{ServerRoleDeleted, KindWorkspace, RoleTombstone{}, false, []EventType{EventRoleDeleted}, "A role was deleted."},
	{ServerTeamCreated, KindWorkspace, TeamPayload{}, false, []EventType{EventTeamCreated}, "A team was made."},
	{ServerTeamUpdated, KindWorkspace, TeamPayload{}, false, []EventType{EventTeamUpdated}, "A team's name changed."},
	{ServerTeamDeleted, KindWorkspace, TeamTombstone{}, false, []EventType{EventTeamDeleted}, "A team was deleted."},
	{ServerTeamMemberAdded, KindWorkspace, TeamMemberPayload{}, false, []EventType{EventTeamMemberAdded}, "A member came into a team."},
	{ServerTeamMemberRemoved, KindWorkspace, TeamMemberPayload{}, false, []EventType{EventTeamMemberRemoved}, "A member left a team."},
	{ServerSubscriptionUpdated, KindWorkspace, SubscriptionPayload{}, false, []EventType{EventSubscriptionUpdated}, "Plan, seats or status changed."},
	{ServerRoomCreated, KindWorkspace, RoomPayload{}, false, []EventType{EventRoomCreated, EventRoomMemberAdded}, "A room was opened. A private room's event goes to the member channel of each of its members instead, and to a member who is invited later."},
	{ServerRoomUpdated, KindWorkspace, RoomPayload{}, false, []EventType{EventRoomUpdated, EventRoomMemberAdded, EventRoomMemberRemoved}, "A room's name, or who is in it, changed. For a private room: on its members' channels."},
	{ServerRoomDeleted, KindWorkspace, RoomTombstone{}, false, []EventType{EventRoomDeleted, EventRoomMemberRemoved}, "A room was deleted. For a private room: on its members' channels, and to a member who left it."},
	{ServerMessagePosted, KindRoom, MessagePayload{}, false, []EventType{EventMessagePosted}, "Somebody said something in a room."},
	{ServerMessageEdited, KindRoom, MessagePayload{}, false, []EventType{EventMessageEdited}, "A message was edited."},
	{ServerMessageDeleted, KindRoom, MessageTombstone{}, false, []EventType{EventMessageDeleted}, "A message was taken back."},
	{ServerMemberNotification, KindMember, NotificationPayload{}, false, []EventType{EventMemberNotified}, "A signal to one member, in all their tabs."},
	{ServerPresenceUpdate, KindWorkspace, PresencePayload{}, true, nil, "A member came online with their first session, or went offline with their last."},
	{ServerSystemHello, "", HelloPayload{}, false, nil, "Opens every connection."},
	{ServerSystemLive, "", EmptyPayload{}, true, nil, "Replay is complete; from here on events are live."},
	{ServerSystemHeartbeat, "", EmptyPayload{}, false, nil, "The link is alive; id is the current position."},
	{ServerSystemResync, "", ResyncPayload{}, false, nil, "The gap is not available: fetch a snapshot. id is the log's head."},
	{ServerSystemSubscribed, "", SubscribedPayload{}, true, nil, "Answers subscribe."},
	{ServerSystemUnsubscribed, "", SubscribedPayload{}, true, nil, "Answers unsubscribe, or says that the right to the room ended."},
	{ServerSystemError, "", ErrorPayload{}, true, nil, "A client message could not be carried out; the session lives."},
	{ServerSystemStale, KindWorkspace, StalePayload{}, false, nil, "The change named by cause could not be projected: what the client shows of the aggregate is old, as long as one of its causes is stale. On the channels that the change concerns: the workspace's, a room's, or members'."},
	{ServerSystemHealed, KindWorkspace, StalePayload{}, false, nil, "The change named by cause is made up for, by the events before this one. On the channels that were told of it."},
	{ServerSystemOutdated, "", OutdatedPayload{}, true, nil, "The client's catalog hash is not the server's: reload when convenient."},
	{ServerSystemGoodbye, "", GoodbyePayload{}, true, nil, "The last event before the server ends the stream."},
}

// CatalogHash names the wire format: it changes when any server event's type,
// channel or payload fields change.
var CatalogHash = sync.OnceValue(func() string {
	h := sha256.New()
	for _, spec := range Catalog {
		fmt.Fprintf(h, "%s %s %t ", spec.Type, spec.Channel, spec.Ephemeral)
		describe(h, reflect.TypeOf(spec.Payload))
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
})

func describe(w interface{ Write([]byte) (int, error) }, t reflect.Type) {
	switch {
	case t == reflect.TypeOf(Time{}):
		fmt.Fprint(w, "time")
	case t.Kind() == reflect.Struct:
		fmt.Fprint(w, "{")
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			fmt.Fprintf(w, "%s:", name)
			describe(w, t.Field(i).Type)
			fmt.Fprint(w, ",")
		}
		fmt.Fprint(w, "}")
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer:
		fmt.Fprint(w, t.Kind(), " ")
		describe(w, t.Elem())
	default:
		fmt.Fprint(w, t.Kind())
	}
}
