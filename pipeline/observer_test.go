package pipeline

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// witness keeps what a pipeline tells.
type witness struct {
	mu       sync.Mutex
	attempts map[domain.EventType][]bool // whether each failed
	handled  map[string][]Handled        // by event id
	told     map[string]bool             // event ids that OnAppended was told of before Handled
	seen     map[string]bool
}

func newWitness() *witness {
	return &witness{
		attempts: map[domain.EventType][]bool{}, handled: map[string][]Handled{},
		told: map[string]bool{}, seen: map[string]bool{},
	}
}

func (w *witness) Attempted(t domain.EventType, took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if took < 0 {
		panic("a negative duration")
	}
	w.attempts[t] = append(w.attempts[t], err != nil)
}

func (w *witness) Handled(_ int, committedAt time.Time, events []Handled) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range events {
		if committedAt.Before(h.DoneAt) || h.Outcome != Duplicate && h.DoneAt.Before(h.ClaimedAt) {
			panic("times out of order")
		}
		w.seen[h.Event.ID] = true
		w.handled[h.Event.ID] = append(w.handled[h.Event.ID], h)
	}
}

func (w *witness) appended(all []domain.Appended) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range all {
		for _, e := range a.Entries {
			w.told[e.EventID] = !w.seen[e.EventID]
		}
	}
}

func (w *witness) of(id string) []Handled {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handled[id]
}

func TestObserverHearsOfEveryEventOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWitness()
		table := projectors("test.silent", func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
			return nil, nil
		})
		table["test.bad"] = func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
			return nil, domain.Errorf(domain.CodeConflict, "taken")
		}
		start(t, s, table, Config{Observer: w, OnAppended: w.appended, Retry: RetryConfig{MaxRetries: 2, InitialInterval: time.Millisecond}})

		good, silent, bad := newEvent("test.ok", "ws", 1), newEvent("test.silent", "ws", 2), newEvent("test.bad", "ws", 3)
		publish(t, s, good, silent, bad)
		drained(t, s)
		publish(t, s, good)
		drained(t, s)
		require.Eventually(t, func() bool { return len(w.of(good.ID)) == 2 }, patiently, tick)

		require.Equal(t, Projected, w.of(good.ID)[0].Outcome)
		require.Len(t, w.of(good.ID)[0].Entries, 1)
		require.Equal(t, Duplicate, w.of(good.ID)[1].Outcome)
		require.Equal(t, Silent, w.of(silent.ID)[0].Outcome)
		require.Equal(t, Poisoned, w.of(bad.ID)[0].Outcome)
		require.Equal(t, "conflict", w.of(bad.ID)[0].Class)
		require.Len(t, w.of(silent.ID), 1)
		require.Len(t, w.of(bad.ID), 1)

		w.mu.Lock()
		defer w.mu.Unlock()
		require.Equal(t, map[domain.EventType][]bool{
			"test.ok": {false}, "test.silent": {false}, "test.bad": {true, true, true},
		}, w.attempts)
		require.Equal(t, map[string]bool{good.ID: false}, w.told, "the commit is told before what it appended")
	})
}
