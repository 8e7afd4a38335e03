package pipeline

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// hasty retries without much waiting.
var hasty = RetryConfig{InitialInterval: time.Millisecond, MaxInterval: time.Millisecond}

// Watermill's Deduplicator marks an event before it is handled. One that
// failed was taken for a duplicate when it came again, and was lost.
func TestFailThenRedeliverIsNotLost(t *testing.T) {
	for name, failure := range map[string]error{
		"tried again in place": errBroken,
		"delivered again":      domain.Transient(errBroken, "away"),
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				var calls atomic.Int32
				start(t, s, projectors("test.flaky", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
					if calls.Add(1) < 3 {
						return nil, failure
					}
					return ok(ctx, r, ev)
				}), Config{Retry: hasty})
				publish(t, s, newEvent("test.ok", "ws", 0), newEvent("test.flaky", "ws", 1), newEvent("test.ok", "ws", 2))
				drained(t, s)
				require.Equal(t, upTo(3), logged(t, s, "ws"), "all, once, in order")
				require.EqualValues(t, 3, calls.Load())
				require.Empty(t, poisoned(t, s))
			})
		})
	}
}

// A panic passes Watermill's Retry and PoisonQueue by unless Recoverer sits inside
// of them: it was delivered for ever.
func TestAPanicIsPoisonedWithItsStack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var calls atomic.Int32
		start(t, s, projectors("test.panic", func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
			calls.Add(1)
			panic("boom")
		}), Config{Retry: hasty})
		bad := newEvent("test.panic", "ws", 1)
		publish(t, s, newEvent("test.ok", "ws", 0), bad, newEvent("test.ok", "ws", 2))
		drained(t, s)
		require.Equal(t, []int{0, 2}, logged(t, s, "ws"), "its lane goes on")

		list := poisoned(t, s)
		require.Len(t, list, 1)
		p := list[0]
		require.Equal(t, bad.ID, p.Event.ID)
		require.Equal(t, bad.Payload, p.Event.Payload)
		require.Equal(t, "panic", p.ErrorClass)
		require.Contains(t, p.Stack, "resilience_test.go")
		require.EqualValues(t, 4, calls.Load(), "no more often than any error")
		require.Len(t, p.Attempts, 4)
	})
}

// Watermill's Timeout leaves a dead context on the message: poisoning failed, and
// the handler was called 139,254 times in two seconds.
func TestATimeoutIsPoisoned(t *testing.T) {
	for name, listens := range map[string]bool{"it listens to its context": true, "it ignores its context": false} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				release := make(chan struct{})
				p := start(t, s, projectors("test.hang", func(ctx context.Context, _ domain.Reader, _ domain.Event) ([]domain.ServerEvent, error) {
					if listens {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					<-release
					return nil, nil
				}), Config{
					HandlerTimeout: 20 * time.Millisecond, Retry: RetryConfig{MaxRetries: 1, InitialInterval: time.Millisecond},
				})
				publish(t, s, newEvent("test.hang", "ws", 0), newEvent("test.ok", "ws", 1))
				drained(t, s)
				require.Equal(t, []int{1}, logged(t, s, "ws"))
				list := poisoned(t, s)
				require.Len(t, list, 1)
				require.Equal(t, "timeout", list[0].ErrorClass)
				require.Len(t, list[0].Attempts, 2)
				if !listens {
					require.EqualValues(t, 2, p.Abandoned(), "goroutines can't be stopped, only left behind")
				}
				close(release)
				require.Eventually(t, func() bool { return p.Abandoned() == 0 }, patiently, tick)
			})
		})
	}
}

// Watermill's PoisonQueue poisons "context canceled". Whenever a server stopped
// while an event was in hand, that event was gone.
func TestShutdownPoisonsAndLosesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		inHand := make(chan struct{}, 1)
		p := start(t, s, projectors("test.slow", func(ctx context.Context, _ domain.Reader, _ domain.Event) ([]domain.ServerEvent, error) {
			inHand <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}), Config{})
		publish(t, s, newEvent("test.ok", "ws", 0), newEvent("test.slow", "ws", 1), newEvent("test.ok", "ws", 2))
		<-inHand
		hurry, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorContains(t, p.Stop(hurry), "the message in hand isn't done")
		require.Equal(t, []int{0}, logged(t, s, "ws"), "what was done is committed")
		require.EqualValues(t, 2, pending(t, s))
		require.Empty(t, poisoned(t, s))

		start(t, s, projectors("test.slow", ok), Config{})
		drained(t, s)
		require.Equal(t, upTo(3), logged(t, s, "ws"))
	})
}

// Given time, a shutdown lets the message in hand finish, and commits it.
func TestShutdownFinishesTheMessageInHand(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		inHand, release := make(chan struct{}), make(chan struct{})
		p := start(t, s, projectors("test.slow", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			close(inHand)
			select {
			case <-release:
				return ok(ctx, r, ev)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}), Config{})
		publish(t, s, newEvent("test.ok", "ws", 0), newEvent("test.slow", "ws", 1), newEvent("test.ok", "ws", 2))
		<-inHand
		stopped := make(chan error, 1)
		go func() { stopped <- p.Stop(context.Background()) }()
		lane := p.lanes[store.LaneOf("ws", s.Lanes())].subs[0].consumer
		<-lane.work.Done() // draining has begun
		close(release)
		require.NoError(t, <-stopped)
		require.Equal(t, []int{0, 1}, logged(t, s, "ws"), "and not the one after it")
		require.EqualValues(t, 1, pending(t, s))
	})
}

// watermill-sql's queue adapter acks all rows of a batch that was left in the
// middle: one event kept failing, 7 of 10 were lost.
func TestAPartialBatchAcksWhatWasHandled(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		reached := make(chan struct{}, 100)
		p := start(t, s, projectors("test.away", func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
			reached <- struct{}{}
			return nil, domain.Transient(errBroken, "away")
		}), Config{})
		var events []domain.Event
		for n := range 10 {
			typ := domain.EventType("test.ok")
			if n == 3 {
				typ = "test.away"
			}
			events = append(events, newEvent(typ, "ws", n))
		}
		publish(t, s, events...)
		<-reached
		<-reached
		stop(t, p)
		require.Equal(t, upTo(3), logged(t, s, "ws"))
		require.EqualValues(t, 7, pending(t, s))
		require.Empty(t, poisoned(t, s))

		start(t, s, projectors("test.away", ok), Config{})
		drained(t, s)
		require.Equal(t, upTo(10), logged(t, s, "ws"))
	})
}

// What the projector reads is away for a while: nothing is poisoned, nothing is
// lost, and nobody has to do anything.
func TestAwayIsWaitedOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var away atomic.Bool
		away.Store(true)
		var log syncBuffer
		p := start(t, s, projectors("test.reads", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			if away.Load() {
				return nil, domain.Transient(errBroken, "the database is away")
			}
			return ok(ctx, r, ev)
		}), Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		publish(t, s, newEvent("test.ok", "ws", 0), newEvent("test.reads", "ws", 1), newEvent("test.ok", "ws", 2))
		lane := store.LaneOf("ws", s.Lanes())
		require.Eventually(t, func() bool { return strings.Contains(p.Status()[lane].LastError, "away") }, patiently, tick)
		require.Eventually(t, func() bool { return len(logged(t, s, "ws")) == 1 }, patiently, tick, "what came before is flushed")

		away.Store(false)
		drained(t, s)
		require.Equal(t, upTo(3), logged(t, s, "ws"))
		require.Empty(t, poisoned(t, s))
		require.Eventually(t, func() bool { return p.Status()[lane].LastError == "" }, patiently, tick)
		require.Equal(t, 1, strings.Count(log.String(), "lane waits"), "one line a streak")
	})
}

// Two nodes: the lane of one that stops is taken over by the other.
func TestTakeover(t *testing.T) {
	dsn := storetest.DSN(t, store.Postgres)
	a, b := storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)
	first := start(t, a, projectors("test.ok", ok), Config{})
	lane := store.LaneOf("ws", a.Lanes())
	require.Eventually(t, func() bool { return first.Status()[lane].Owned }, patiently, tick)
	second := start(t, b, projectors("test.ok", ok), Config{})

	publish(t, b, newEvent("test.ok", "ws", 0)) // published on b, handled on a
	drained(t, b)
	require.False(t, second.Status()[lane].Owned)

	stop(t, first)
	publish(t, a, newEvent("test.ok", "ws", 1))
	drained(t, b)
	require.True(t, second.Status()[lane].Owned)
	require.Equal(t, upTo(2), logged(t, b, "ws"))
}

// A node that lost its lane without knowing writes nothing, and asks for the
// lane anew.
func TestAFencedLaneStartsOver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var calls atomic.Int32
		start(t, s, projectors("test.fenced", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			if calls.Add(1) == 1 {
				_, err := s.WriteDB().ExecContext(ctx, `UPDATE lanes SET epoch = epoch + 1`)
				if err != nil {
					return nil, err
				}
			}
			return ok(ctx, r, ev)
		}), Config{})
		publish(t, s, newEvent("test.ok", "ws", 0), newEvent("test.fenced", "ws", 1), newEvent("test.ok", "ws", 2))
		drained(t, s)
		require.Equal(t, upTo(3), logged(t, s, "ws"))
		require.EqualValues(t, 2, calls.Load())
	})
}
