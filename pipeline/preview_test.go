package pipeline

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// What the preview shows is what a requeue then appends, and showing it changes
// nothing.
func TestPreviewIsWhatARequeueAppends(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w, owner, _ := storetest.SeedWorkspace(t, s)
		m := &moods{}
		broken := "member"
		m.failing.Store(&broken)
		start(t, s, m.table(), Config{Concerns: handlers.Concerns, Retry: hasty})
		preview := NewPreviewer(s, m.table(), 0, quiet)
		ev := domain.NewEvent(domain.EventMemberUpdated, w.ID, owner.ID, domain.Changed{Version: 1})
		publish(t, s, ev)
		drained(t, s)
		p := poisoned(t, s)[0]

		sample, err := preview.Preview(t.Context(), p.Event)
		require.NoError(t, err)
		require.Equal(t, errBroken.Error(), sample.Error)
		require.Equal(t, p.ErrorClass, sample.ErrorClass)
		require.Empty(t, sample.Events)

		m.failing.Store(nil)
		sample, err = preview.Preview(t.Context(), p.Event)
		require.NoError(t, err)
		require.Empty(t, sample.Error)
		require.False(t, sample.Superseded)
		require.Len(t, sample.Events, 1)
		require.Equal(t, domain.WorkspaceChannel(w.ID), sample.Events[0].Channel)
		log, err := s.Reader().LogState(t.Context(), w.ID)
		require.NoError(t, err)
		require.EqualValues(t, 1, log.Head, "the badge; looking appended nothing")

		require.NoError(t, s.RequeuePoison(t.Context(), operator, p.ID))
		drained(t, s)
		entries, _, err := s.LogAfter(t.Context(), w.ID, 1, 100, nil, 100)
		require.NoError(t, err)
		require.Len(t, entries, 2)
		require.Equal(t, string(sample.Events[0].Data), string(entries[0].Data))
		require.Equal(t, domain.ServerSystemHealed, entries[1].Type)
		sample, err = preview.Preview(t.Context(), p.Event)
		require.NoError(t, err)
		require.True(t, sample.Superseded)
	})
}

func TestPreviewOfWhatFails(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	table := map[domain.EventType]domain.Projector{
		"test.panics": func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) { panic("boom") },
		"test.hangs": func(ctx context.Context, _ domain.Reader, _ domain.Event) ([]domain.ServerEvent, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"test.encodes": func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
			return []domain.ServerEvent{{Type: "x", Payload: 7}}, nil
		},
		"test.away": func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
			return nil, domain.Transient(errBroken, "away")
		},
	}
	preview := NewPreviewer(s, table, 20*time.Millisecond, quiet)
	for _, c := range []struct{ typ, workspace, class, text string }{
		{"test.panics", "ws", "panic", "boom"},
		{"test.hangs", "ws", "timeout", "didn't end within"},
		{"test.encodes", "ws", "*errors.errorString", "not a JSON object"},
		{"test.unknown", "ws", "invalid", "no projector"},
		{"test.panics", "no id", "invalid", "not a workspace's id"},
	} {
		sample, err := preview.Preview(t.Context(), newEvent(domain.EventType(c.typ), c.workspace, 1))
		require.NoError(t, err)
		require.Contains(t, sample.Error, c.text)
		require.Equal(t, c.class, sample.ErrorClass, c.typ)
		require.NotContains(t, sample.Error, "goroutine")
		require.NotNil(t, sample.Events)
	}
	_, err := preview.Preview(t.Context(), newEvent("test.away", "ws", 1))
	require.ErrorIs(t, err, errBroken, "it can't tell")
}

func TestAggregateNow(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	cmd := domain.Commands{UoW: s}
	require.NoError(t, cmd.SeedDemo(t.Context()))
	w, err := s.Reader().WorkspaceBySlug(t.Context(), "acme")
	require.NoError(t, err)
	members, err := s.Reader().Members(t.Context(), w.ID)
	require.NoError(t, err)
	preview := NewPreviewer(s, nil, 0, quiet)
	for _, spec := range domain.EventTypes {
		got, err := preview.AggregateNow(t.Context(), domain.NewEvent(spec.Type, w.ID, "gone", nil))
		require.NoError(t, err)
		if strings.HasPrefix(string(spec.Type), "workspaces.updated") || spec.Aggregate == "subscription" {
			require.NotNil(t, got, spec.Type) // a workspace has but one of it
			continue
		}
		require.Nil(t, got, spec.Type)
	}
	got, err := preview.AggregateNow(t.Context(), domain.NewEvent(domain.EventMemberUpdated, w.ID, members[0].ID, nil))
	require.NoError(t, err)
	require.Equal(t, members[0], got)
	for _, ev := range []domain.Event{domain.NewEvent("orders.placed", w.ID, "x", nil), domain.NewEvent(domain.EventMemberUpdated, "no id", "x", nil)} {
		got, err := preview.AggregateNow(t.Context(), ev)
		require.NoError(t, err)
		require.Nil(t, got)
	}
}

// Events too broken to belong anywhere can be listed, shown, looked at and
// discarded; nobody is told of them.
func TestWhatIsTooBrokenToBelongAnywhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, handlers.Table(), Config{Concerns: handlers.Concerns, Retry: hasty})
		unknown, homeless, orphan := newEvent("orders.placed", "ws", 1), newEvent(domain.EventMemberUpdated, "no id!", 2), newEvent(domain.EventRoomUpdated, "ws_unknown", 3)
		orphan.Payload = []byte{0, 0xff}
		orphan.Type = domain.EventRoomDeleted
		publish(t, s, unknown, homeless, orphan)
		drained(t, s)
		list := poisoned(t, s)
		require.Len(t, list, 3)
		preview := NewPreviewer(s, handlers.Table(), 0, quiet)
		by := operator
		by.Reason = "not ours"
		for _, p := range list {
			require.NotEmpty(t, p.Untold)
			require.Empty(t, p.Told)
			require.Empty(t, logged(t, s, p.Event.WorkspaceID))
			sample, err := preview.Preview(t.Context(), p.Event)
			require.NoError(t, err)
			require.NotEmpty(t, sample.Error)
			require.NoError(t, s.DiscardPoison(t.Context(), by, p.ID))
		}
	})
}
