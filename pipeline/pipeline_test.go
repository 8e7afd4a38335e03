package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// Many publishers, many workspaces: each workspace's log has every event once,
// in the order of its commits.
func TestWorkspaceOrderUnderConcurrency(t *testing.T) {
	const workspaces, events = 12, 60
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, projectors("test.ok", ok), Config{})
		var publishers sync.WaitGroup
		for w := range workspaces {
			publishers.Go(func() {
				for n := range events {
					publish(t, s, newEvent("test.ok", fmt.Sprintf("ws_%d", w), n))
				}
			})
		}
		publishers.Wait()
		drained(t, s)
		for w := range workspaces {
			require.Equal(t, upTo(events), logged(t, s, fmt.Sprintf("ws_%d", w)))
		}
		require.Empty(t, poisoned(t, s))
	})
}

// A cursor over ids loses what commits late. Here the later row is long handled
// when the earlier one becomes visible, and both are.
func TestALateCommitIsNotSkipped(t *testing.T) {
	s := storetest.Open(t, store.Postgres) // SQLite has one writer: nothing commits late
	start(t, s, projectors("test.ok", ok), Config{SafetyPoll: 20 * time.Millisecond})
	require.NoError(t, s.Write(t.Context(), func(tx domain.Tx) error {
		if err := tx.Publish(t.Context(), newEvent("test.ok", "ws", 1)); err != nil {
			return err
		}
		publish(t, s, newEvent("test.ok", "ws", 2)) // a transaction of its own, committed at once
		require.Eventually(t, func() bool { return len(logged(t, s, "ws")) == 1 }, patiently, tick)
		return nil
	}))
	drained(t, s)
	require.Equal(t, []int{2, 1}, logged(t, s, "ws"))
}

func TestEqualPayloadsAreTwoEvents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, projectors("test.ok", ok), Config{})
		publish(t, s, newEvent("test.ok", "ws", 1), newEvent("test.ok", "ws", 1))
		drained(t, s)
		require.Equal(t, []int{1, 1}, logged(t, s, "ws"))
	})
}

func TestTheSameEventTwiceIsOneEntry(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var calls atomic.Int32
		start(t, s, projectors("test.once", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			calls.Add(1)
			return ok(ctx, r, ev)
		}), Config{})
		ev := newEvent("test.once", "ws", 1)
		for range 3 {
			publish(t, s, ev, ev)
			drained(t, s)
		}
		require.Equal(t, []int{1}, logged(t, s, "ws"))
		require.EqualValues(t, 1, calls.Load())
	})
}

// Whoever is told of an entry can read it.
func TestNothingIsToldBeforeTheCommit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		told := make(chan domain.Appended, 100)
		start(t, s, projectors("test.ok", ok), Config{OnAppended: func(all []domain.Appended) {
			for _, a := range all {
				entries, state, err := s.LogAfter(context.Background(), a.WorkspaceID, 0, 1<<40, nil, 1000)
				if err != nil || len(entries) < len(a.Entries) || state.Epoch != a.Epoch {
					t.Errorf("told of %d entries, the log has %d (%v)", len(a.Entries), len(entries), err)
				}
				told <- a
			}
		}})
		publish(t, s, newEvent("test.ok", "ws", 0), newEvent("test.ok", "ws", 1), newEvent("test.ok", "ws", 2))
		var offsets []int64
		for len(offsets) < 3 {
			for _, e := range (<-told).Entries {
				offsets = append(offsets, e.Offset)
			}
		}
		require.Equal(t, []int64{1, 2, 3}, offsets, "in order")
	})
}

// One event of a kind must not stop the others; its own lane waits for about
// the retry budget, other lanes not at all.
func TestABadEventDoesNotHoldOtherLanes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		release := make(chan struct{})
		start(t, s, projectors("test.stuck", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			select {
			case <-release:
				return ok(ctx, r, ev)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}), Config{HandlerTimeout: patiently})
		other := otherLane(s, "ws")
		publish(t, s, newEvent("test.stuck", "ws", 0), newEvent("test.ok", "ws", 1))
		publish(t, s, newEvent("test.ok", other, 2))
		require.Eventually(t, func() bool { return slices.Equal(logged(t, s, other), []int{2}) }, patiently, tick)
		require.Empty(t, logged(t, s, "ws"))
		close(release)
		drained(t, s)
		require.Equal(t, []int{0, 1}, logged(t, s, "ws"), "in order, all the same")
	})
}

// watermill-sql's default PostgreSQL schema reads below pg_snapshot_xmin. Any open
// write transaction in the cluster stopped all delivery until it ended.
func TestAForeignTransactionDelaysNobody(t *testing.T) {
	s := storetest.Open(t, store.Postgres)
	start(t, s, projectors("test.ok", ok), Config{})
	require.NoError(t, s.Write(t.Context(), func(tx domain.Tx) error {
		// It has an xid and a snapshot, and stays open. It even published.
		if err := tx.Publish(t.Context(), newEvent("test.ok", "ws_other", 7)); err != nil {
			return err
		}
		for n := range 20 {
			publish(t, s, newEvent("test.ok", "ws", n))
		}
		require.Eventually(t, func() bool { return len(logged(t, s, "ws")) == 20 }, patiently, tick)
		return nil
	}))
	drained(t, s)
	require.Equal(t, upTo(20), logged(t, s, "ws"))
	require.Equal(t, []int{7}, logged(t, s, "ws_other"))
}

func TestConfigLanesLaysOutTheOutbox(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for n := range 20 {
			publish(t, s, newEvent("test.ok", fmt.Sprintf("ws_%d", n), n))
		}
		p := start(t, s, projectors("test.ok", ok), Config{Lanes: 7})
		drained(t, s)
		require.Equal(t, 7, s.Lanes())
		require.Len(t, p.Status(), 7)
		for n := range 20 {
			require.Equal(t, []int{n}, logged(t, s, fmt.Sprintf("ws_%d", n)))
		}
	})
}

func TestStatus(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	p, err := New(s, projectors("test.ok", ok), Config{Logger: quiet})
	require.NoError(t, err)
	require.Empty(t, p.Status())
	require.NoError(t, p.Start(t.Context()))
	require.Eventually(t, func() bool {
		return !slices.ContainsFunc(p.Status(), func(l LaneStatus) bool { return !l.Owned })
	}, patiently, tick)
	require.Equal(t, LaneStatus{Lane: 2, Owned: true, BatchSize: firstBatch}, p.Status()[2])
	stop(t, p)
	for _, lane := range p.Status() {
		require.False(t, lane.Owned)
	}
}

func TestLifecycle(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	_, err := New(s, nil, Config{Lanes: 65})
	require.ErrorContains(t, err, "lanes")

	idle, err := New(s, nil, Config{Logger: quiet})
	require.NoError(t, err)
	require.NoError(t, idle.Stop(t.Context()), "never started")
	require.Error(t, idle.Start(t.Context()), "stopped")

	p, err := New(s, nil, Config{Logger: quiet})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, p.Start(ctx))
	require.Error(t, p.Start(ctx), "started once")
	cancel() // ends nothing: the order of a shutdown is Stop's
	publish(t, s, newEvent("test.unknown", "ws", 1))
	require.Eventually(t, func() bool { return len(poisoned(t, s)) == 1 }, patiently, tick)
	var stops sync.WaitGroup
	for range 3 {
		stops.Go(func() { stop(t, p) })
	}
	stops.Wait()
}
