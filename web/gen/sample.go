package main

import (
	"fmt"
	"reflect"
	"time"

	"github.com/orbit/realtime/domain"
)

// The examples are all of one moment in one workspace.
var (
	samplePosition = domain.Position{Epoch: "k3f9abcd", Offset: 42}
	sampleCause    = "019ab0c2-7f1e-7abc-8def-0123456789ab"
	sampleAt       = time.Date(2026, 11, 23, 9, 30, 14, 123_000_000, time.UTC)
	sampleRef      = int64(1)
	sampleChannels = map[domain.ChannelKind]domain.Channel{
		domain.KindWorkspace: domain.WorkspaceChannel("ws_01"),
		domain.KindRoom:      domain.RoomChannel("room_01"),
		domain.KindMember:    domain.MemberChannel("mem_01"),
	}

	sampleMember = domain.Member{
		ID: "mem_01", Version: 7, UserID: "usr_01", Name: "Olivia Owner", Email: "owner@acme.test",
		RoleID: "role_01", JoinedAt: domain.At(sampleAt.Add(-22 * 24 * time.Hour)),
	}
	sampleTeam    = domain.Team{ID: "team_01", Version: 3, Name: "Support", MemberIDs: []string{"mem_01", "mem_07"}}
	sampleMessage = domain.Message{
		ID: "msg_01", Version: 1, RoomID: "room_01", AuthorID: "mem_01", Body: "Good morning", PostedAt: domain.At(sampleAt),
	}
)

// samples holds an example of every payload. A new event with a known payload
// needs none of its own.
var samples = byType(
	domain.WorkspacePayload{Workspace: domain.Workspace{ID: "ws_01", Version: 2, Slug: "acme", Name: "Acme"}},
	domain.MemberPayload{Member: sampleMember},
	domain.MemberTombstone{Member: domain.Tombstone{ID: "mem_01", Version: 8}},
	domain.RolePayload{Role: domain.Role{
		ID: "role_09", Version: 2, Name: "Moderator",
		Permissions: []domain.Permission{domain.PermMembersNotify, domain.PermRoomsManage},
	}},
	domain.RoleTombstone{Role: domain.Tombstone{ID: "role_09", Version: 3}},
	domain.TeamPayload{Team: sampleTeam},
	domain.TeamTombstone{Team: domain.Tombstone{ID: "team_01", Version: 4}},
	domain.TeamMemberPayload{Team: sampleTeam, MemberID: "mem_07"},
	domain.SubscriptionPayload{Subscription: domain.Subscription{
		ID: "sub_01", Version: 4, Plan: "team", Seats: 25, Status: domain.SubscriptionActive,
		RenewsAt: domain.At(sampleAt.Add(30 * 24 * time.Hour)),
	}},
	domain.RoomPayload{Room: domain.Room{ID: "room_01", Version: 1, Name: "General", MemberIDs: []string{}}},
	domain.RoomTombstone{Room: domain.Tombstone{ID: "room_01", Version: 2}},
	domain.MessagePayload{Message: sampleMessage},
	domain.MessageTombstone{Message: domain.Tombstone{ID: "msg_01", Version: 3}},
	domain.NotificationPayload{Notification: domain.Notification{
		ID: "ntf_01", Title: "Invoice due", Body: "The invoice for November is due on Friday.", At: domain.At(sampleAt),
	}},
	domain.PresencePayload{MemberID: "mem_07", Online: true},
	domain.HelloPayload{
		Session: "s_8fd2", Workspace: domain.WorkspaceRef{ID: "ws_01", Slug: "acme"}, Member: domain.MemberRef{ID: "mem_01"},
		Resumed: true, Presence: []string{"mem_01", "mem_07"}, Rooms: []string{"room_01"},
		HeartbeatMS: 25_000, Catalog: domain.CatalogHash(),
	},
	domain.ResyncPayload{Reason: domain.ResyncPositionExpired},
	domain.SubscribedPayload{Room: "room_01", Ref: &sampleRef},
	domain.ErrorPayload{Code: domain.CodeNotFound, Message: "there is no such room", Ref: &sampleRef},
	domain.StalePayload{Kind: "member", Aggregate: "mem_01"},
	domain.OutdatedPayload{Catalog: domain.CatalogHash()},
	domain.GoodbyePayload{
		Code: domain.CloseDraining.Code, Reason: domain.CloseDraining.Name, Reconnect: domain.CloseDraining.Reconnect, DelayMS: 1800,
	},
	domain.EmptyPayload{},
)

// variants are examples of events that look different from others with their payload.
var variants = map[domain.ServerEventType]any{
	domain.ServerMessageEdited:      domain.MessagePayload{Message: edited(sampleMessage)},
	domain.ServerSystemUnsubscribed: domain.SubscribedPayload{Room: "room_01", Reason: "revoked"},
}

func edited(m domain.Message) domain.Message {
	at := domain.At(sampleAt.Add(time.Minute))
	m.Version, m.Body, m.EditedAt = 2, "Good morning, all", &at
	return m
}

func byType(payloads ...any) map[reflect.Type]any {
	samples := make(map[reflect.Type]any, len(payloads))
	for _, p := range payloads {
		samples[reflect.TypeOf(p)] = p
	}
	return samples
}

// sample encodes the example of an event by the code that the server uses.
func sample(e event) ([]byte, error) {
	payload, ok := variants[e.Type]
	if !ok {
		payload, ok = samples[reflect.TypeOf(e.Payload)]
	}
	if !ok {
		return nil, fmt.Errorf("%s: give %T an example in web/gen/sample.go", e.Type, e.Payload)
	}
	around := e.envelope()
	var cause string
	var at time.Time
	if around.cause != never {
		cause, at = sampleCause, sampleAt
	}
	if e.Type == domain.ServerPresenceUpdate {
		cause, at = "", time.Time{} // sessions cause it, no domain event does
	}
	data, err := domain.EncodeServerEvent(domain.ServerEvent{Type: e.Type, Channel: sampleChannels[e.Channel], Payload: payload}, cause, at)
	if err != nil || around.id == never {
		return data, err
	}
	return domain.Frame(data, samplePosition), nil
}
