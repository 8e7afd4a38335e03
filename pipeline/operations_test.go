package pipeline

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// tally is a projector that fails until it is mended, and counts what it showed.
type tally struct {
	mu     sync.Mutex
	mended bool
	shown  map[string]int
}

func (c *tally) project(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mended {
		return nil, errBroken
	}
	c.shown[ev.ID]++
	return ok(ctx, r, ev)
}

func (c *tally) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mended = true
}

func poisonMany(t *testing.T, s *store.Store, n int) {
	t.Helper()
	for i := range n {
		publish(t, s, newEvent("test.bug", "ws", i))
	}
	drained(t, s)
}

func operation(t *testing.T, s *store.Store, id string) domain.Operation {
	t.Helper()
	op, err := s.Operation(context.Background(), id)
	require.NoError(t, err)
	return op
}

// The server is stopped in the middle, and another goes on: every message is
// requeued, and handled, once.
func TestOperationsSurviveARestart(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			const n = 60
			dsn := storetest.DSN(t, engine)
			count := &tally{shown: map[string]int{}}
			first := storetest.OpenDSN(t, dsn)
			p := start(t, first, projectors("test.bug", count.project), Config{Retry: hasty})
			poisonMany(t, first, n)
			count.mend()
			op, err := first.CreateOperation(t.Context(), operator, domain.OperationRequest{
				Kind: domain.OperationRequeue, Expect: n, PerSecond: 200,
			})
			require.NoError(t, err)
			require.Eventually(t, func() bool { return operation(t, first, op.ID).Succeeded >= 11 }, patiently, tick)
			stop(t, p)
			require.NoError(t, first.Close())

			second := storetest.OpenDSN(t, dsn)
			half := operation(t, second, op.ID)
			require.Equal(t, domain.OperationRunning, half.State)
			start(t, second, projectors("test.bug", count.project), Config{Retry: hasty})
			require.Eventually(t, func() bool { return operation(t, second, op.ID).State == domain.OperationDone }, patiently, tick)
			require.Equal(t, n, operation(t, second, op.ID).Succeeded)
			require.Len(t, count.shown, n)
			for id, times := range count.shown {
				require.Equal(t, 1, times, id)
			}
			require.Len(t, logged(t, second, "ws"), n)
		})
	}
}

// A fix that is none costs one message, not all of them.
func TestOperationsStopAtTheCanary(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		count := &tally{}
		start(t, s, projectors("test.bug", count.project), Config{Retry: hasty})
		poisonMany(t, s, 12)
		op, err := s.CreateOperation(t.Context(), operator, domain.OperationRequest{Kind: domain.OperationRequeue, Expect: 12})
		require.NoError(t, err)
		require.Eventually(t, func() bool { return operation(t, s, op.ID).State == domain.OperationStopped }, patiently, tick)
		op = operation(t, s, op.ID)
		require.Equal(t, []int{1, 11}, []int{op.Failed, op.Pending})
		require.NotEmpty(t, op.Why)
	})
}

func TestOperationsStartAndStop(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	o := NewOperations(s, quiet)
	o.Stop() // before it was started
	o.Start(t.Context())
	o.Stop()
	o.Stop()
}
