package handlers_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
)

func TestConcerns(t *testing.T) {
	w := newWorld("a", "b", "c")
	w.rooms["open"] = domain.Room{ID: "open", WorkspaceID: w.id, MemberIDs: []string{}}
	w.rooms["closed"] = domain.Room{ID: "closed", WorkspaceID: w.id, Private: true, MemberIDs: []string{"a", "b"}}
	w.rooms["empty"] = domain.Room{ID: "empty", WorkspaceID: w.id, Private: true, MemberIDs: []string{}}
	w.messages["msg"] = domain.Message{ID: "msg", WorkspaceID: w.id, RoomID: "closed"}
	w.notifications["ntf"] = domain.Notification{ID: "ntf", WorkspaceID: w.id, MemberID: "b"}
	everybody := []domain.Channel{"workspace:ws_1"}
	group := func(member string) domain.GroupChanged { return domain.GroupChanged{Version: 2, MemberID: member} }

	for name, c := range map[string]struct {
		typ     domain.EventType
		id      string
		payload any
		want    []domain.Channel // none: nobody can be told
	}{
		"the workspace":     {domain.EventWorkspaceUpdated, "ws_1", nil, everybody},
		"a member gone":     {domain.EventMemberRemoved, "gone", nil, everybody},
		"a role":            {domain.EventRoleDeleted, "role", nil, everybody},
		"a team":            {domain.EventTeamMemberAdded, "team", nil, everybody},
		"the plan":          {domain.EventSubscriptionUpdated, "sub_1", nil, everybody},
		"an open room":      {domain.EventRoomUpdated, "open", nil, everybody},
		"a private room":    {domain.EventRoomUpdated, "closed", nil, []domain.Channel{"member:a", "member:b"}},
		"who left it":       {domain.EventRoomMemberRemoved, "closed", group("c"), []domain.Channel{"member:a", "member:b", "member:c"}},
		"who came":          {domain.EventRoomMemberAdded, "closed", group("b"), []domain.Channel{"member:a", "member:b"}},
		"who left last":     {domain.EventRoomMemberRemoved, "empty", group("c"), []domain.Channel{"member:c"}},
		"unreadable":        {domain.EventRoomMemberRemoved, "closed", "?", []domain.Channel{"member:a", "member:b"}},
		"an empty room":     {domain.EventRoomUpdated, "empty", nil, nil},
		"a message":         {domain.EventMessageEdited, "msg", nil, []domain.Channel{"room:closed"}},
		"a notification":    {domain.EventMemberNotified, "ntf", nil, []domain.Channel{"member:b"}},
		"nobody's any more": {domain.EventMemberNotified, "gone", nil, nil},

		"an open room deleted":   {domain.EventRoomDeleted, "gone", domain.RoomDeleted{Version: 2}, everybody},
		"a private room deleted": {domain.EventRoomDeleted, "gone", domain.RoomDeleted{Version: 2, Private: true, MemberIDs: []string{"b", "a"}}, []domain.Channel{"member:a", "member:b"}},
		"deleted, left unsaid":   {domain.EventRoomDeleted, "gone", map[string]int{"version": 2}, nil},
		"deleted, malformed":     {domain.EventRoomDeleted, "gone", "?", nil},
		"a room gone":            {domain.EventRoomUpdated, "gone", nil, nil},
		"who left a room gone":   {domain.EventRoomMemberRemoved, "gone", group("c"), []domain.Channel{"member:c"}},
		"a message deleted":      {domain.EventMessageDeleted, "gone", domain.MessageChanged{Version: 2, RoomID: "closed"}, []domain.Channel{"room:closed"}},
		"with its room":          {domain.EventMessageDeleted, "gone", domain.MessageChanged{Version: 2, RoomID: "gone"}, nil},
		"a message gone unsaid":  {domain.EventMessageDeleted, "gone", map[string]int{"version": 2}, nil},
		"a type nobody knows":    {"orders.placed", "order", nil, nil},
		"an aggregate of no id":  {domain.EventMemberUpdated, "<script>", nil, nil},
	} {
		ev := domain.NewEvent(c.typ, w.id, c.id, c.payload)
		got, err := handlers.Concerns(t.Context(), w, ev)
		if c.want == nil {
			require.Equal(t, domain.CodeUnprocessable, domain.CodeOf(err), "%s: %v", name, err)
			require.Empty(t, got, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}

	for _, workspace := range []string{"ws_2", "", "no id"} {
		ev := domain.NewEvent(domain.EventMemberUpdated, workspace, "a", nil)
		got, err := handlers.Concerns(t.Context(), elsewhere{w}, ev)
		require.Equal(t, domain.CodeUnprocessable, domain.CodeOf(err))
		require.Empty(t, got)
	}
	away := domain.Transient(nil, "away")
	_, err := handlers.Concerns(t.Context(), elsewhere{awayReader{err: away}}, domain.NewEvent(domain.EventMemberUpdated, "ws_1", "a", nil))
	require.ErrorIs(t, err, away, "that is no answer")
}

// elsewhere knows the workspace ws_1 alone, and an error if there is one.
type elsewhere struct{ domain.Reader }

func (r elsewhere) Workspace(ctx context.Context, id string) (domain.Workspace, error) {
	if away, ok := r.Reader.(awayReader); ok {
		return domain.Workspace{}, away.err
	}
	if id != "ws_1" {
		return domain.Workspace{}, domain.Errorf(domain.CodeNotFound, "no such workspace")
	}
	return r.Reader.Workspace(ctx, id)
}

// Every event type is about something that Concerns knows.
func TestConcernsKnowsEveryKind(t *testing.T) {
	w := newWorld("a")
	w.rooms["x"] = domain.Room{ID: "x", WorkspaceID: w.id}
	w.messages["x"] = domain.Message{ID: "x", WorkspaceID: w.id, RoomID: "x"}
	w.notifications["x"] = domain.Notification{ID: "x", WorkspaceID: w.id, MemberID: "a"}
	for _, spec := range domain.EventTypes {
		ev := domain.NewEvent(spec.Type, w.id, "x", json.RawMessage(`{}`))
		got, err := handlers.Concerns(t.Context(), w, ev)
		require.NoError(t, err, spec.Type)
		require.NotEmpty(t, got, spec.Type)
	}
}
