package pipeline

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// sharing runs a pipeline whose quota can be changed.
func sharing(t *testing.T, dsn string, quota int64) (*Pipeline, *atomic.Int64) {
	var q atomic.Int64
	q.Store(quota)
	p, err := New(storetest.OpenDSN(t, dsn), projectors("test.ok", ok), Config{
		Lanes: 4, LaneQuota: func() int { return int(q.Load()) }, Logger: quiet,
	})
	require.NoError(t, err)
	p.bus.share.settle = 300 * time.Millisecond
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(func() { stop(t, p) })
	return p, &q
}

func owned(p *Pipeline) (n int) {
	for _, lane := range p.Status() {
		if lane.Owned {
			n++
		}
	}
	return n
}

// Lanes spread over the nodes as their quotas say, and move on when these
// change; all the while every event is projected once, in order.
func TestLanesAreSharedOut(t *testing.T) {
	dsn := storetest.DSN(t, store.Postgres)
	s := storetest.OpenDSN(t, dsn)
	require.NoError(t, s.SetLanes(t.Context(), 4))
	w, _, _ := storetest.SeedWorkspace(t, s)
	published := 0
	more := func() {
		for range 20 {
			published++
			publish(t, s, newEvent("test.ok", w.ID, published))
		}
	}
	a, quotaA := sharing(t, dsn, 4)
	require.Eventually(t, func() bool { return owned(a) == 4 }, patiently, tick)
	more()
	quotaA.Store(2)
	b, quotaB := sharing(t, dsn, 2)
	require.Eventually(t, func() bool { return owned(a) == 2 && owned(b) == 2 }, patiently, tick)
	more()
	quotaA.Store(1)
	quotaB.Store(3)
	require.Eventually(t, func() bool { return owned(a) == 1 && owned(b) == 3 }, patiently, tick)
	more()

	// b goes, and a doesn't know yet: it takes over what is beyond its share.
	stop(t, b)
	more()
	require.Eventually(t, func() bool { return pending(t, s) == 0 }, patiently, tick)
	numbers := logged(t, s, w.ID)
	require.Len(t, numbers, published)
	for i, n := range numbers {
		require.Equal(t, i+1, n)
	}
}

// Without a quota, and when nobody shares, a process takes all lanes at once.
func TestALoneProcessTakesEveryLane(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		began := newShare(nil)
		for range 64 {
			require.True(t, began.take(false))
		}
		require.False(t, began.shed())
		p := start(t, s, projectors("test.ok", ok), Config{})
		require.Eventually(t, func() bool { return owned(p) == s.Lanes() }, patiently, tick)
	})
}
