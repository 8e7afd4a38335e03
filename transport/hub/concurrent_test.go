package hub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

// Everything at once and for real: publishers whose hints overtake each other
// or get lost, pumps as the transports have them, subscriptions, sessions that
// come and go. Every session that stays gets every entry, in order. Run it with
// the race detector.
func TestConcurrentUse(t *testing.T) {
	const publishers, batches, stayers, visitors = 4, 100, 20, 8
	w := newWorld(t, hub.Config{RingSize: 32, SafetyRead: 5 * time.Millisecond, Heartbeat: 200 * time.Millisecond})
	defer w.start()()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var got [stayers]atomic.Int64
	var pumps sync.WaitGroup
	pump := func(o hub.Options, each func(hub.Frame)) *hub.Session {
		wake := make(chan struct{}, 1)
		o.OnReady = func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
		s, err := w.hub.Register(ctx, o)
		require.NoError(t, err)
		wake <- struct{}{}
		pumps.Go(func() {
			for {
				frames, err := s.Next(ctx, rand.IntN(500))
				if err != nil {
					return
				}
				for _, f := range frames {
					each(f)
				}
				if len(frames) == 0 {
					select {
					case <-wake:
					case <-ctx.Done():
						return
					}
				}
			}
		})
		return s
	}

	var sessions []*hub.Session
	for i := range stayers {
		sessions = append(sessions, pump(member(fmt.Sprint("m", i)), func(f hub.Frame) {
			if p, err := domain.ParsePosition(f.ID); err == nil && string(f.Data) == `{"id":"`+f.ID+`","type":"test"}` {
				if !got[i].CompareAndSwap(p.Offset-1, p.Offset) {
					t.Errorf("session %d got %d after %d", i, p.Offset, got[i].Load())
				}
			}
		}))
	}

	var busy sync.WaitGroup
	for range publishers {
		busy.Go(func() {
			for range batches {
				a := w.log.add(ws, times(1+rand.IntN(4), toAll)...)
				if rand.IntN(5) > 0 {
					w.hub.Deliver(a)
				}
			}
		})
	}
	for i := range visitors {
		busy.Go(func() {
			for range 25 {
				s := pump(from(member(fmt.Sprint("v", i)), "e1-0", "r"), func(hub.Frame) {})
				_ = s.Subscribe(ctx, "r2", s.Position().String(), nil)
				_ = s.Unsubscribe("r", nil)
				s.Heartbeat()
				w.hub.Stats()
				s.Close(i%2 == 0)
			}
		})
	}
	busy.Wait()
	states, err := w.log.LogStates(ctx, []string{ws})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		for i := range got {
			if got[i].Load() < states[ws].Head {
				return false
			}
		}
		return true
	}, 20*time.Second, time.Millisecond)
	cancel()
	for _, s := range sessions {
		s.Close(true)
	}
	pumps.Wait()
	require.Empty(t, w.hub.Stats().Sessions)
}
