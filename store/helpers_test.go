package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// operator is who acts on the poison queue.
var operator = domain.Act{Operator: "ada", Role: "operator", Via: "api"}

func because(reason string) domain.Act {
	by := operator
	by.Reason = reason
	return by
}

// write runs fn in a transaction that must succeed.
func write(t testing.TB, s *store.Store, fn func(ctx context.Context, tx domain.Tx) error) {
	t.Helper()
	require.NoError(t, tryWrite(t, s, fn))
}

func tryWrite(t testing.TB, s *store.Store, fn func(ctx context.Context, tx domain.Tx) error) error {
	t.Helper()
	return s.Write(t.Context(), func(tx domain.Tx) error { return fn(t.Context(), tx) })
}

// execSQL runs a statement of the test's own, outside of the Store's methods.
func execSQL(t testing.TB, s *store.Store, query string, args ...any) {
	t.Helper()
	_, err := s.WriteDB().ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// value reads one value.
func value[T any](t testing.TB, s *store.Store, query string, args ...any) T {
	t.Helper()
	all := values[T](t, s.ReadDB(), query, args...)
	require.Len(t, all, 1, query)
	return all[0]
}

func values[T any](t testing.TB, db store.DB, query string, args ...any) (all []T) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var v T
		require.NoError(t, rows.Scan(&v))
		all = append(all, v)
	}
	require.NoError(t, rows.Err())
	return all
}

func requireCode(t testing.TB, code domain.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, domain.CodeOf(err), "%v", err)
}

func requireConflict(t testing.TB, field string, err error) {
	t.Helper()
	requireCode(t, domain.CodeConflict, err)
	var coded *domain.Error
	require.ErrorAs(t, err, &coded)
	require.Equal(t, field, coded.Field)
}

// addMember makes a user and their membership with the guest role.
func addMember(t testing.TB, s *store.Store, workspaceID, roleID, name string) domain.Member {
	t.Helper()
	u := domain.User{ID: domain.NewID("usr"), Email: domain.NewID("m") + "@example.com", Name: name}
	m := domain.Member{
		ID: domain.NewID("mem"), Version: 1, WorkspaceID: workspaceID, UserID: u.ID,
		Name: name, Email: u.Email, RoleID: roleID, JoinedAt: domain.At(time.Now()),
	}
	write(t, s, func(ctx context.Context, tx domain.Tx) error {
		if err := tx.InsertUser(ctx, u); err != nil {
			return err
		}
		return tx.InsertMember(ctx, m)
	})
	return m
}

func addRoom(t testing.TB, s *store.Store, workspaceID, name string, members ...string) domain.Room {
	t.Helper()
	r := domain.Room{ID: domain.NewID("room"), Version: 1, WorkspaceID: workspaceID, Name: name, Private: members != nil, MemberIDs: members}
	if members == nil {
		r.MemberIDs = []string{}
	}
	write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.InsertRoom(ctx, r) })
	return r
}

func event(workspaceID string) domain.Event {
	return domain.NewEvent(domain.EventMemberUpdated, workspaceID, domain.NewID("mem"), domain.Changed{Version: 2})
}

func events(n int, workspaceID string) []domain.Event {
	all := make([]domain.Event, n)
	for i := range all {
		all[i] = event(workspaceID)
	}
	return all
}

// projection is an event handled with n entries, on the workspace's channel.
func projection(ev domain.Event, n int) store.Projection {
	p := store.Projection{EventID: ev.ID, WorkspaceID: ev.WorkspaceID}
	for i := range n {
		p.Entries = append(p.Entries, domain.Entry{
			Channel: domain.WorkspaceChannel(ev.WorkspaceID), Type: domain.ServerMemberUpdated,
			Data: fmt.Appendf(nil, `{"type":"workspace.member.updated","cause":%q,"i":%d}`, ev.ID, i), EventID: ev.ID,
			At: time.Now().UTC().Truncate(time.Microsecond),
		})
	}
	return p
}

// commit appends n entries, each of an event of its own, in one commit.
func commit(t testing.TB, s *store.Store, workspaceID string, n int) domain.Appended {
	t.Helper()
	e := store.Effects{Topic: store.Topic}
	for _, ev := range events(n, workspaceID) {
		e.Projected = append(e.Projected, projection(ev, 1))
	}
	appended, err := s.CommitEffects(t.Context(), e)
	require.NoError(t, err)
	require.Len(t, appended, 1)
	return appended[0]
}

func offsets(entries []domain.Entry) []int64 {
	list := make([]int64, len(entries))
	for i, e := range entries {
		list[i] = e.Offset
	}
	return list
}

func eventIDs(rows []store.OutboxRow) []string {
	list := make([]string, len(rows))
	for i, r := range rows {
		list[i] = r.Event.ID
	}
	return list
}

func ids(events []domain.Event) []string {
	list := make([]string, len(events))
	for i, ev := range events {
		list[i] = ev.ID
	}
	return list
}

// soon is how long tests wait for what other goroutines and the server do.
const soon = 20 * time.Second

func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	require.Eventually(t, fn, soon, 5*time.Millisecond, what)
}

func receive[T any](t testing.TB, ch <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(soon):
		require.FailNow(t, "timed out", what)
	}
	return v
}
