package hub_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

func TestBatchSize(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4}, func(w *world) {
		m := w.connect(member("m"))
		size := len(`{"id":"e1-1","type":"test"}`)
		w.append(times(9, toAll)...)
		require.Equal(w.t, list("1 2"), m.next(2*size), "from the log")
		require.Equal(w.t, list("3"), m.next(2*size-1))
		require.Equal(w.t, list("4"), m.next(0), "at least one frame")
		require.Equal(w.t, list("5"), m.next(-1))
		require.Equal(w.t, list("6 7 8 9"), m.next(1<<20), "from the ring")
		require.Empty(w.t, m.next(1<<20))
	})
}

func TestReplayInPages(t *testing.T) {
	bubble(t, hub.Config{RingSize: 10}, func(w *world) {
		w.log.add(ws, times(2000, toAll)...)
		w.log.add(ws, times(2000, toN)...)
		w.log.add(ws, times(2000, toAll)...)
		m, _ := w.register(from(member("m"), "e1-0"))
		want := append(list("hello@0+resumed"), offsets(1, 2000)...)
		want = append(append(want, offsets(4001, 6000)...), "live")
		require.Equal(w.t, want, m.read())
		reads, _ := w.log.calls()
		require.Less(w.t, reads, 40)
	})
}

// What is appended during the replay comes after system.live.
func TestLiveComesAfterTheReplayOnly(t *testing.T) {
	bubble(t, hub.Config{RingSize: 2}, func(w *world) {
		w.append(toAll, toAll, toAll)
		m, _ := w.register(from(member("m"), "e1-1"))
		w.append(toAll)
		require.NoError(w.t, m.Subscribe(context.Background(), "r", "", nil))
		w.hub.Broadcast(ws, presence(ws, "x", true), "presence:x")
		require.Equal(w.t, list("hello@1+resumed 2 3 live subscribed:r 4"), m.read())
	})
}

// A session on quiet channels never falls out of the ring, and never reads the
// log because of what others have to say.
func TestQuietSessionReadsNothing(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4, SafetyRead: time.Hour}, func(w *world) {
		m := w.connect(member("m"))
		w.append(toAll)
		require.Equal(w.t, list("1"), m.read())
		w.append(times(500, toN)...)
		w.append(toAll)
		w.append(toN, toN)
		synctest.Wait()
		require.Equal(w.t, list("502"), m.read())
		m.Heartbeat()
		require.Equal(w.t, list("heartbeat@504"), m.read(), "an idle session's position doesn't grow old")
		reads, _ := w.log.calls()
		require.Zero(w.t, reads)
	})
}

// A slow session costs nothing but its own lag: out of the ring it reads the
// log, with no entry lost or doubled, whatever the size of its bites.
func TestSlowReader(t *testing.T) {
	bubble(t, hub.Config{RingSize: 16}, func(w *world) {
		m := w.connect(member("m"))
		var got []string
		for i := range 100 {
			w.append(times(7, toAll)...)
			w.append(times(3, toN)...)
			if i%3 == 0 {
				got = append(got, m.next(60)...)
			}
		}
		got = append(got, m.read()...)
		var want []string
		for i := range 100 {
			want = append(want, offsets(i*10+1, i*10+7)...)
		}
		require.Equal(w.t, want, got)
	})
}

func TestSlowConsumer(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(20, toAll)...)
		require.Equal(w.t, list("1"), m.next(0))
		w.log.trim(ws, 1)
		require.Equal(w.t, list("2"), m.next(0), "what it needs is still there")
		w.log.trim(ws, 10)
		require.Empty(w.t, m.next(0))
		synctest.Wait()
		require.Equal(w.t, list("slow_consumer"), m.codes())
		require.Equal(w.t, []string{"m dropped"}, w.presence.goodbyes(), "it will be back")
	})
}

// The ring serves what the log has trimmed.
func TestTrimBelowTheRingIsNoLoss(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(20, toAll)...)
		w.log.trim(ws, 20)
		time.Sleep(2 * time.Second)
		require.Equal(w.t, offsets(1, 20), m.read())
	})
}

// While the log can't be read, Next has nothing and no error: the transport
// keeps the session, OnReady comes by itself, and heartbeats go on.
func TestSessionOutlivesAnOutage(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(20, toAll)...)
		synctest.Wait()
		m.wakes()
		w.log.set(func(l *fakeLog) { l.down = true })
		require.Empty(w.t, m.read())
		before, _ := w.log.calls()
		for range 100 {
			require.Empty(w.t, m.read())
		}
		after, _ := w.log.calls()
		require.Equal(w.t, before, after, "asking again doesn't hammer the database")
		m.Heartbeat()
		require.Equal(w.t, list("heartbeat@0"), m.read())

		got := []string{}
		for range 50 {
			time.Sleep(4 * time.Second)
			require.NotZero(w.t, m.wakes())
			got = append(got, m.read()...)
		}
		require.NotContains(w.t, got, "1")
		w.log.set(func(l *fakeLog) { l.down = false })
		time.Sleep(4 * time.Second)
		require.NotZero(w.t, m.wakes())
		require.Equal(w.t, strings.Join(offsets(1, 20), " "), strings.Join(m.read(), " "))
	})
}

func TestNextReturnsItsContextsError(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(20, toAll)...)
		ctx, cancel := context.WithCancel(context.Background())
		w.log.set(func(l *fakeLog) { l.down, l.before = true, cancel })
		_, err := m.Next(ctx, 1000)
		require.ErrorIs(w.t, err, context.Canceled)
		w.log.set(func(l *fakeLog) { l.down, l.before = false, nil })
		require.Equal(w.t, offsets(1, 20), m.read(), "nothing was skipped")
	})
}

// The log is reset while a session reads a page of it: the page is of another
// history.
func TestResetDuringARead(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(20, toAll)...)
		w.log.set(func(l *fakeLog) {
			l.before = func() {
				w.log.set(func(l *fakeLog) { l.before = nil })
				w.log.replace(ws, domain.LogState{Epoch: "e2", Head: 3})
			}
		})
		got := m.read()
		time.Sleep(2 * time.Second)
		got = append(got, m.read()...)
		w.append(toAll)
		require.Equal(w.t, list("resync:epoch_changed@3 4"), append(got, m.read()...))
	})
}
