package hub_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

func TestDrain(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		var clients []*client
		for i := range 2000 {
			clients = append(clients, w.connect(member(fmt.Sprint(i))))
		}
		drained := make(chan struct{})
		go func() { w.hub.Drain(context.Background(), 10*time.Second); close(drained) }()
		closed := func() (n int) {
			for _, c := range clients {
				n += len(c.codes())
			}
			return n
		}
		for second := range 10 {
			time.Sleep(500 * time.Millisecond)
			require.InDelta(w.t, second*200+100, closed(), 10)
			time.Sleep(500 * time.Millisecond)
		}
		<-drained
		synctest.Wait()
		require.Equal(w.t, 2000, closed())
		delays := map[time.Duration]bool{}
		for _, c := range clients {
			require.Equal(w.t, list("draining"), c.codes())
			require.GreaterOrEqual(w.t, c.info.Delay, 250*time.Millisecond)
			require.Less(w.t, c.info.Delay, 3*time.Second)
			delays[c.info.Delay] = true
		}
		require.Greater(w.t, len(delays), 1900, "jittered")
		for _, goodbye := range w.presence.goodbyes() {
			require.Contains(w.t, goodbye, "dropped", "a deploy flickers nobody")
		}
		_, err := w.register(member("late"))
		require.Equal(w.t, domain.CodeUnavailable, domain.CodeOf(err))
	})
}

// A few sessions need no pace: the node shall not linger for them.
func TestDrainOfAFewIsShort(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		for i := range 50 {
			w.connect(member(fmt.Sprint(i)))
		}
		start := time.Now()
		w.hub.Drain(context.Background(), 10*time.Second)
		require.InDelta(w.t, 500*time.Millisecond, time.Since(start), float64(20*time.Millisecond))
	})
}

// Refusing comes first in a shutdown; who is there stays until the drain.
func TestRefuse(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.hub.Refuse()
		_, err := w.register(member("n"))
		require.Equal(w.t, domain.CodeUnavailable, domain.CodeOf(err))
		require.Equal(w.t, domain.CodeUnavailable, domain.CodeOf(w.hub.CanRegister(member("n").Identity)))
		w.append(toAll)
		require.Equal(w.t, list("1"), m.read())
		require.Empty(w.t, m.codes())
	})
}

func TestDrainHurriesWhenItsContextEnds(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		var clients []*client
		for i := range 400 {
			clients = append(clients, w.connect(member(fmt.Sprint(i))))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		w.hub.Drain(ctx, time.Hour)
		require.Equal(w.t, time.Second, time.Since(start))
		synctest.Wait()
		for _, c := range clients {
			require.Equal(w.t, list("draining"), c.codes())
		}
	})
}

// A session that is being registered when the drain begins must not slip
// through it.
func TestDrainDuringRegistration(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		w.rights.during = func() { w.hub.Drain(context.Background(), 0) }
		_, err := w.register(member("m"))
		require.Equal(w.t, domain.CodeUnavailable, domain.CodeOf(err))
	})
}
