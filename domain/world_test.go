package domain_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// world is the demo in a real database: acme with owner, admin and guest, and
// globex, where only the owner is a member.
type world struct {
	*testing.T
	domain.Commands
	store *store.Store
	clock time.Time
}

// eachWorld runs fn on both engines, each with a fresh world whose outbox has
// been read.
func eachWorld(t *testing.T, fn func(w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := &world{T: t, store: s, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		w.Commands = domain.Commands{UoW: rehearsed{s}, Now: func() time.Time { return w.clock }}
		require.NoError(t, w.SeedDemo(t.Context()))
		w.news()
		fn(w)
	})
}

// rehearsed runs each transaction twice: the first time it is rolled back.
// Databases do that after a deadlock, so no command may carry anything over
// from an attempt that came to nothing.
type rehearsed struct{ domain.UnitOfWork }

func (u rehearsed) Write(ctx context.Context, fn func(domain.Tx) error) error {
	err := u.UnitOfWork.Write(ctx, func(tx domain.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errRollBack
	})
	if !errors.Is(err, errRollBack) {
		return err
	}
	return u.UnitOfWork.Write(ctx, fn)
}

// errRollBack ends a transaction that is to come to nothing.
var errRollBack = errors.New("roll back")

// news takes what is in the outbox, oldest first.
func (w *world) news() []domain.Event {
	w.Helper()
	var events []domain.Event
	for lane := range w.store.Lanes() {
		query, args := w.store.OutboxSelect(store.Topic, lane, 1000)
		rows, err := w.store.ReadDB().QueryContext(w.Context(), query, args...)
		require.NoError(w, err)
		var taken []int64
		for rows.Next() {
			row, err := store.ScanOutboxRow(rows.Scan)
			require.NoError(w, err)
			taken = append(taken, row.Seq)
			events = append(events, row.Event)
		}
		require.NoError(w, rows.Err())
		require.NoError(w, rows.Close())
		if len(taken) > 0 {
			query, args = w.store.OutboxDelete(taken)
			_, err = w.store.WriteDB().ExecContext(w.Context(), query, args...)
			require.NoError(w, err)
		}
	}
	return events
}

// told is what a test expects of an event.
type told struct {
	event     domain.EventType
	aggregate string
	payload   any
}

// tells checks that exactly these events were published since the last look,
// and that main is the id of the one at index at, or "" when there are none.
func (w *world) tells(main string, at int, want ...told) {
	w.Helper()
	var got, expected []told
	events := w.news()
	for _, ev := range events {
		require.Equal(w, w.workspace().ID, ev.WorkspaceID)
		got = append(got, told{ev.Type, ev.AggregateID, string(ev.Payload)})
	}
	for _, ev := range want {
		raw, err := json.Marshal(ev.payload)
		require.NoError(w, err)
		expected = append(expected, told{ev.event, ev.aggregate, string(raw)})
	}
	require.Equal(w, expected, got)
	if len(events) == 0 {
		require.Empty(w, main)
		return
	}
	require.Equal(w, events[at].ID, main)
}

// refuses checks an error's code and field, and that nothing was published.
func (w *world) refuses(err error, code domain.Code, field string) {
	w.Helper()
	var coded *domain.Error
	require.ErrorAs(w, err, &coded)
	require.Equal(w, code, coded.Code, coded.Message)
	require.Equal(w, field, coded.Field, coded.Message)
	require.NotEmpty(w, coded.Message)
	require.Empty(w, w.news())
}

// as is a demo user acting in acme.
func (w *world) as(short string) domain.Actor { return w.in("acme", short) }

func (w *world) in(slug, short string) domain.Actor {
	w.Helper()
	user, err := w.store.Reader().UserByEmail(w.Context(), short+"@acme.test")
	require.NoError(w, err)
	return domain.Actor{UserID: user.ID, Workspace: slug}
}

// stranger is a user who is a member of nothing.
func (w *world) stranger() domain.Actor {
	w.Helper()
	user := domain.User{ID: domain.NewID("usr"), Email: "stranger@else.test", Name: "Stranger"}
	require.NoError(w, w.store.Write(w.Context(), func(tx domain.Tx) error { return tx.InsertUser(w.Context(), user) }))
	return domain.Actor{UserID: user.ID, Workspace: "acme"}
}

func (w *world) workspace() domain.Workspace {
	w.Helper()
	workspace, err := w.store.Reader().WorkspaceBySlug(w.Context(), "acme")
	require.NoError(w, err)
	return workspace
}

func (w *world) member(short string) domain.Member {
	w.Helper()
	member, err := w.store.Reader().MemberByUser(w.Context(), w.workspace().ID, w.as(short).UserID)
	require.NoError(w, err)
	return member
}

func (w *world) role(name string) domain.Role {
	w.Helper()
	roles, err := w.store.Reader().Roles(w.Context(), w.workspace().ID)
	require.NoError(w, err)
	i := slices.IndexFunc(roles, func(r domain.Role) bool { return r.Name == name })
	require.GreaterOrEqual(w, i, 0, name)
	return roles[i]
}

func (w *world) room(name string) domain.Room {
	w.Helper()
	rooms, err := w.store.Reader().Rooms(w.Context(), w.workspace().ID)
	require.NoError(w, err)
	i := slices.IndexFunc(rooms, func(r domain.Room) bool { return r.Name == name })
	require.GreaterOrEqual(w, i, 0, name)
	return rooms[i]
}

func (w *world) team() domain.Team {
	w.Helper()
	teams, err := w.store.Reader().Teams(w.Context(), w.workspace().ID)
	require.NoError(w, err)
	require.NotEmpty(w, teams)
	return teams[0]
}

// must returns what a command made, or fails the test.
func must[T any](w *world) func(entity T, eventID string, err error) T {
	return func(entity T, _ string, err error) T {
		w.Helper()
		require.NoError(w, err)
		w.news()
		return entity
	}
}

func ptr[T any](v T) *T { return &v }
