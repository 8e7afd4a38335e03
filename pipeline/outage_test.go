package pipeline

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// A real outage, while a backlog is being worked off, three times: connections
// break in the middle of reads, commits and lane locks. Nothing is poisoned,
// lost, doubled or out of order, and nobody has to do anything.
func TestPostgresAway(t *testing.T) {
	const events = 3000
	dsn := storetest.DSN(t, store.Postgres)
	direct := storetest.OpenDSN(t, dsn)
	plug, through := storetest.NewPlug(t, dsn)
	s := storetest.OpenDSN(t, through)

	// The projector reads, so that the outage reaches it as well.
	p := start(t, s, projectors("test.reads", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		if _, err := r.Members(ctx, ev.WorkspaceID); err != nil {
			return nil, err
		}
		return ok(ctx, r, ev)
	}), Config{})
	var backlog []domain.Event
	for n := range events {
		backlog = append(backlog, newEvent("test.reads", "ws", n))
	}
	publish(t, direct, backlog...)
	for i := range 3 {
		before := events * i / 4
		require.Eventually(t, func() bool { return len(logged(t, direct, "ws")) > before }, patiently, time.Millisecond)
		plug.Pull()
		lane := store.LaneOf("ws", s.Lanes())
		require.Eventually(t, func() bool { return p.Status()[lane].LastError != "" }, patiently, tick)
		plug.Push()
	}
	drained(t, direct)
	require.Equal(t, upTo(events), logged(t, direct, "ws"))
	require.Empty(t, poisoned(t, direct))
	require.Eventually(t, func() bool {
		return !slices.ContainsFunc(p.Status(), func(l LaneStatus) bool { return !l.Owned || l.LastError != "" })
	}, patiently, tick)
}
