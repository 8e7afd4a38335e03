package handlers_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
)

func shown(t domain.ServerEventType, on domain.Channel, r domain.Room) domain.ServerEvent {
	return domain.ServerEvent{Type: t, Channel: on, Payload: domain.RoomPayload{Room: r}}
}

func buried(on domain.Channel, id string, version int64, revoke *domain.Revocation) domain.ServerEvent {
	return domain.ServerEvent{
		Type:    domain.ServerRoomDeleted,
		Channel: on,
		Payload: domain.RoomTombstone{Room: domain.Tombstone{ID: id, Version: version}},
		Revoke:  revoke,
	}
}

func TestRooms(t *testing.T) {
	const (
		ann, bob, cat = domain.Channel("member:ann"), domain.Channel("member:bob"), domain.Channel("member:cat")
		everybody     = domain.Channel("workspace:ws_1")
	)
	out := func(member string) *domain.Revocation {
		return &domain.Revocation{MemberID: member, Channel: "room:r"}
	}
	closed := &domain.Revocation{Channel: "room:r"}

	for name, tc := range map[string]struct {
		given func(w *world) domain.Event
		want  func(r domain.Room) []domain.ServerEvent
	}{
		"open: the workspace is told": {
			func(w *world) domain.Event { return w.createRoom("r") },
			func(r domain.Room) []domain.ServerEvent {
				return []domain.ServerEvent{shown(domain.ServerRoomCreated, everybody, r)}
			},
		},
		"open, deleted: one tombstone, and nobody may stay": {
			func(w *world) domain.Event { w.createRoom("r"); return w.deleteRoom("r") },
			func(domain.Room) []domain.ServerEvent {
				return []domain.ServerEvent{buried(everybody, "r", 2, closed)}
			},
		},
		"private: each member is told": {
			func(w *world) domain.Event { return w.createRoom("r", "ann", "bob") },
			func(r domain.Room) []domain.ServerEvent {
				return []domain.ServerEvent{
					shown(domain.ServerRoomCreated, ann, r),
					shown(domain.ServerRoomCreated, bob, r),
				}
			},
		},
		"private, renamed: each member is told": {
			func(w *world) domain.Event { w.createRoom("r", "ann", "bob"); return w.renameRoom("r", "leads") },
			func(r domain.Room) []domain.ServerEvent {
				return []domain.ServerEvent{
					shown(domain.ServerRoomUpdated, ann, r),
					shown(domain.ServerRoomUpdated, bob, r),
				}
			},
		},
		"invited: new to one, updated for the others": {
			func(w *world) domain.Event { w.createRoom("r", "ann", "bob"); return w.invite("r", "cat") },
			func(r domain.Room) []domain.ServerEvent {
				return []domain.ServerEvent{
					shown(domain.ServerRoomUpdated, ann, r),
					shown(domain.ServerRoomUpdated, bob, r),
					shown(domain.ServerRoomCreated, cat, r),
				}
			},
		},
		"invited, and out again by now: the later event tells": {
			func(w *world) domain.Event {
				w.createRoom("r", "ann", "bob")
				ev := w.invite("r", "cat")
				w.leaveRoom("r", "cat")
				return ev
			},
			nil,
		},
		"left: a tombstone for one, updated for the others": {
			func(w *world) domain.Event { w.createRoom("r", "ann", "bob"); return w.leaveRoom("r", "bob") },
			func(r domain.Room) []domain.ServerEvent {
				return []domain.ServerEvent{
					buried(bob, "r", 2, out("bob")),
					shown(domain.ServerRoomUpdated, ann, r),
				}
			},
		},
		"left, and in again by now: the later event tells": {
			func(w *world) domain.Event {
				w.createRoom("r", "ann", "bob")
				ev := w.leaveRoom("r", "bob")
				w.invite("r", "bob")
				return ev
			},
			nil,
		},
		// The room's deletion lists who was in it at the end, and who left before
		// is not among them: silence would leave the room in their list forever.
		"left, and the room is gone by now: still the tombstone": {
			func(w *world) domain.Event {
				w.createRoom("r", "ann", "bob")
				ev := w.leaveRoom("r", "bob")
				w.deleteRoom("r")
				return ev
			},
			func(domain.Room) []domain.ServerEvent {
				return []domain.ServerEvent{buried(bob, "r", 2, out("bob"))}
			},
		},
		"private, deleted: each member gets the tombstone, one entry revokes": {
			func(w *world) domain.Event { w.createRoom("r", "ann", "bob"); return w.deleteRoom("r") },
			func(domain.Room) []domain.ServerEvent {
				return []domain.ServerEvent{buried(ann, "r", 2, nil), buried(bob, "r", 2, closed)}
			},
		},
		"private, deleted with nobody in it: one entry on the room's own channel": {
			func(w *world) domain.Event {
				w.createRoom("r", "ann")
				w.leaveRoom("r", "ann")
				return w.deleteRoom("r")
			},
			func(domain.Room) []domain.ServerEvent {
				return []domain.ServerEvent{buried("room:r", "r", 3, closed)}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld("ann", "bob", "cat")
			ev := tc.given(w)
			var want []domain.ServerEvent
			if tc.want != nil {
				want = tc.want(w.rooms["r"])
			}
			require.Equal(t, want, project(t, w, ev))
		})
	}
}

func TestTeamMembership(t *testing.T) {
	w := newWorld("ann", "bob")
	w.createTeam("team_1", "Core", "ann")
	added := w.joinTeam("team_1", "bob")
	require.Equal(t, []domain.ServerEvent{{
		Type:    domain.ServerTeamMemberAdded,
		Channel: "workspace:ws_1",
		Payload: domain.TeamMemberPayload{Team: w.teams["team_1"], MemberID: "bob"},
	}}, project(t, w, added))

	removed := w.leaveTeam("team_1", "bob")
	require.Empty(t, project(t, w, added), "out again by now: the later event tells")
	require.Equal(t, []domain.ServerEvent{{
		Type:    domain.ServerTeamMemberRemoved,
		Channel: "workspace:ws_1",
		Payload: domain.TeamMemberPayload{Team: w.teams["team_1"], MemberID: "bob"},
	}}, project(t, w, removed))

	w.joinTeam("team_1", "bob")
	require.Empty(t, project(t, w, removed), "in again by now: the later event tells")
}

func TestAMemberThatIsRemovedLosesTheWorkspace(t *testing.T) {
	w := newWorld("ann")
	require.Equal(t, []domain.ServerEvent{{
		Type:    domain.ServerMemberRemoved,
		Channel: "workspace:ws_1",
		Payload: domain.MemberTombstone{Member: domain.Tombstone{ID: "ann", Version: 2}},
		Revoke:  &domain.Revocation{MemberID: "ann"},
	}}, project(t, w, w.removeMember("ann")))
}

func TestFactsGoToTheirAudience(t *testing.T) {
	w := newWorld("ann")
	posted := w.post("msg_1", "room_1", "hi")
	require.Equal(t, domain.Channel("room:room_1"), project(t, w, posted)[0].Channel)

	edited := w.editMessage("msg_1", "hello")
	want := domain.MessagePayload{Message: w.messages["msg_1"]}
	require.Equal(t, want, project(t, w, posted)[0].Payload, "the state of now, not of then")
	require.Equal(t, want, project(t, w, edited)[0].Payload)

	require.Equal(t, []domain.ServerEvent{{
		Type:    domain.ServerMessageDeleted,
		Channel: "room:room_1",
		Payload: domain.MessageTombstone{Message: domain.Tombstone{ID: "msg_1", Version: 3}},
	}}, project(t, w, w.deleteMessage("msg_1")))

	require.Equal(t, domain.Channel("member:ann"), project(t, w, w.notify("ntf_1", "ann"))[0].Channel)
}

// Products in any language publish through SQL, so payloads come in every
// shape. What can't make a tombstone is refused for good, naming the field:
// retrying would hold the lane up and never help.
func TestPayloadsOfForeignProducers(t *testing.T) {
	for name, tc := range map[string]struct {
		event   domain.EventType
		payload string
		field   string
	}{
		"no payload":              {domain.EventRoleDeleted, ``, ""},
		"not an object":           {domain.EventRoleDeleted, `[1]`, ""},
		"null":                    {domain.EventRoleDeleted, `null`, "version"},
		"no version":              {domain.EventRoleDeleted, `{}`, "version"},
		"version zero":            {domain.EventMemberRemoved, `{"version":0}`, "version"},
		"version of another type": {domain.EventTeamDeleted, `{"version":"seven"}`, ""},
		"no room":                 {domain.EventMessageDeleted, `{"version":3}`, "roomId"},
		"a room that is no id":    {domain.EventMessageDeleted, `{"version":3,"roomId":"a b"}`, "roomId"},
		"no member":               {domain.EventTeamMemberAdded, `{"version":3}`, "memberId"},
		"no member who left":      {domain.EventRoomMemberRemoved, `{"version":3}`, "memberId"},
		// Taken for an open room, a private one would be told to the workspace.
		"private or not isn't said": {domain.EventRoomDeleted, `{"version":3,"memberIds":["ann"]}`, "private"},
		"a member that is no id":    {domain.EventRoomDeleted, `{"version":3,"private":true,"memberIds":["a:b"]}`, "memberIds"},
	} {
		t.Run(name, func(t *testing.T) {
			ev := domain.Event{ID: "ev", Type: tc.event, WorkspaceID: "ws_1", AggregateID: "agg_1", Payload: json.RawMessage(tc.payload)}
			events, err := handlers.Table()[tc.event](context.Background(), newWorld(), ev)
			require.Empty(t, events)
			require.Equal(t, domain.CodeInvalid, domain.CodeOf(err))
			require.False(t, domain.IsTransient(err), "no later attempt can find it")
			var coded *domain.Error
			require.ErrorAs(t, err, &coded)
			require.Equal(t, tc.field, coded.Field)
			require.Contains(t, err.Error(), string(tc.event))
		})
	}

	w := newWorld()
	w.createRoom("room_1")
	ev := domain.Event{Type: domain.EventRoomUpdated, WorkspaceID: "ws_1", AggregateID: "room_1"}
	require.Len(t, project(t, w, ev), 1, "an event about a row that stands needs no payload at all")

	ev = domain.Event{Type: domain.EventRoleDeleted, WorkspaceID: "ws_1", AggregateID: "a b", Payload: json.RawMessage(`{"version":2}`)}
	_, err := handlers.Table()[ev.Type](context.Background(), w, ev)
	require.ErrorContains(t, err, "aggregate id")
}
