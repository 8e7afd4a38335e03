package hub_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

func TestFanOut(t *testing.T) {
	bubble(t, hub.Config{SafetyRead: time.Hour}, func(w *world) {
		m, n := w.connect(from(member("m"), "", "r")), w.connect(member("n"))
		m.read()
		synctest.Wait()
		m.wakes()
		n.wakes()

		w.append(toAll)
		synctest.Wait()
		require.Equal(w.t, []int{1, 1}, []int{m.wakes(), n.wakes()})
		require.Equal(w.t, list("1"), m.read())
		require.Equal(w.t, list("1"), n.read())

		w.append(toRoom)
		synctest.Wait()
		require.Equal(w.t, []int{1, 0}, []int{m.wakes(), n.wakes()}, "a broadcast touches its own subscribers only")
		require.Equal(w.t, list("2"), m.read())

		w.append(toN)
		synctest.Wait()
		require.Equal(w.t, []int{0, 1}, []int{m.wakes(), n.wakes()})
		require.Equal(w.t, list("3"), n.read())
		require.Equal(w.t, "e1-2", m.Position().String(), "the newest event handed out")

		reads, _ := w.log.calls()
		require.Zero(w.t, reads, "all of it came from the ring")
	})
}

// OnReady may come often, but one that hasn't been answered isn't repeated.
func TestOneWakePerNext(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		for range 5 {
			w.append(toAll)
			synctest.Wait()
		}
		require.Equal(w.t, 1, m.wakes())
		require.Equal(w.t, offsets(1, 5), m.read())
	})
}

func TestEncodedOnce(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m, n := w.connect(member("m")), w.connect(member("n"))
		m.read()
		w.append(toAll)
		a, _ := m.Next(context.Background(), 1000)
		b, _ := n.Next(context.Background(), 1000)
		require.Len(w.t, a, 1)
		require.Len(w.t, b, 1)
		require.Same(w.t, &a[0].Data[0], &b[0].Data[0])
	})
}

// Relay messages are hints: whatever happens to them, each session gets each
// entry once and in order.
func TestHints(t *testing.T) {
	tests := map[string]func(w *world, hints []domain.Appended){
		"in order": func(w *world, hints []domain.Appended) {
			for _, a := range hints {
				w.hub.Deliver(a)
			}
		},
		"doubled and late": func(w *world, hints []domain.Appended) {
			for i, a := range hints {
				w.hub.Deliver(a)
				w.hub.Deliver(a)
				w.hub.Deliver(hints[i/2])
			}
		},
		"backwards": func(w *world, hints []domain.Appended) {
			for i := range hints {
				w.hub.Deliver(hints[len(hints)-1-i])
			}
		},
		"the last one only": func(w *world, hints []domain.Appended) { w.hub.Deliver(hints[len(hints)-1]) },
		"of an old epoch": func(w *world, hints []domain.Appended) {
			hints[0].Epoch = "e0"
			w.hub.Deliver(hints[0])
		},
		"for another workspace": func(w *world, _ []domain.Appended) {
			w.hub.Deliver(domain.Appended{WorkspaceID: "unknown", Epoch: "e1", Entries: []domain.Entry{{Offset: 1}}})
			time.Sleep(time.Second) // the safety read
		},
		"all lost": func(*world, []domain.Appended) { time.Sleep(time.Second) },
	}
	for name, deliver := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, hub.Config{}, func(w *world) {
				m := w.connect(member("m"))
				var hints []domain.Appended
				for range 6 {
					hints = append(hints, w.log.add(ws, times(2, toAll)...))
				}
				deliver(w, hints)
				synctest.Wait()
				require.Equal(w.t, 1, m.wakes())
				require.Equal(w.t, offsets(1, 12), m.read())
				w.append(toAll)
				require.Equal(w.t, list("13"), m.read())
			})
		})
	}
}

// One query a second for all workspaces together, not one for each.
func TestSafetyReadIsOneQuery(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		w.connect(member("m"))
		o := member("m")
		o.WorkspaceID = "w2"
		w.connect(o)
		_, before := w.log.calls()
		time.Sleep(10*time.Second + time.Millisecond)
		reads, after := w.log.calls()
		require.Equal(w.t, 10, after-before)
		require.Zero(w.t, reads)
	})
}

// A hint that arrives while the feed finds out where the log stands is about
// an entry that the answer may not include.
func TestHintWhileLoading(t *testing.T) {
	bubble(t, hub.Config{SafetyRead: time.Hour}, func(w *world) {
		missed := domain.Appended{WorkspaceID: ws, Epoch: "e1", Entries: []domain.Entry{{Offset: 1}}}
		w.log.before = func() {
			w.log.set(func(l *fakeLog) { l.before = nil })
			w.hub.Deliver(missed)
		}
		m := w.connect(member("m"))
		synctest.Wait()
		reads, _ := w.log.calls()
		require.Equal(w.t, 1, reads, "it looked again")
		w.append(toAll)
		require.Equal(w.t, list("1"), m.read())
	})
}

// The log was restored from a backup: nobody may guess what was in between.
func TestEpochChange(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(from(member("m"), "", "r"))
		w.append(times(9, toAll)...)
		n, err := w.register(from(member("n"), "e1-5", "r")) // has not read its hello yet
		require.NoError(w.t, err)
		w.log.replace(ws, domain.LogState{Epoch: "e2", Head: 4, Floor: 2})
		w.append(toAll)
		synctest.Wait()
		require.Equal(w.t, list("resync:epoch_changed@5 +n"), m.read())
		require.Equal(w.t, "e2-5", m.Position().String())
		require.Equal(w.t, list("hello@5+r resync:epoch_changed@5 live"), n.read())
		w.append(toRoom, toAll)
		require.Equal(w.t, list("6 7"), m.read())
		require.Equal(w.t, list("6 7"), n.read())
	})
}

// The log lost its newest entries without getting a new epoch. What the feed
// has seen is no race with the query: it was there before.
func TestHeadGoesBack(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(9, toAll)...)
		m.read()
		w.log.replace(ws, domain.LogState{Epoch: "e1", Head: 4})
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(w.t, list("resync:ahead_of_log@4"), m.read())
		w.append(toAll)
		require.Equal(w.t, list("5"), m.read())
	})
}

// The safety read's answer can be older than a hint that came meanwhile.
func TestSafetyReadOvertakenByAHint(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.log.set(func(l *fakeLog) {
			l.before = func() {
				w.log.set(func(l *fakeLog) { l.before = nil })
				a := w.log.add(ws, toAll)
				w.hub.Deliver(a)
				w.log.replace(ws, domain.LogState{Epoch: "e1"}) // what a snapshot from before shows
			}
		})
		time.Sleep(time.Second + time.Millisecond)
		w.log.replace(ws, domain.LogState{Epoch: "e1", Head: 1})
		synctest.Wait()
		require.Equal(w.t, list("1"), m.read())
	})
}

// The node heard nothing for so long that the log was trimmed past its head.
// Everybody has a hole, and is told.
func TestTrimmedPastTheFeed(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.log.add(ws, times(20, toAll)...)
		w.log.trim(ws, 15)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(w.t, 1, m.wakes())
		require.Empty(w.t, m.read())
		synctest.Wait()
		require.Equal(w.t, list("slow_consumer"), m.codes())
		n, _ := w.register(from(member("n"), "e1-15"))
		require.Equal(w.t, list("hello@15+resumed 16 17 18 19 20 live"), n.read())
	})
}

// While the database is away sessions stay; afterwards they get everything.
func TestOutage(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.log.set(func(l *fakeLog) { l.down = true })
		lost := w.log.add(ws, times(700, toAll)...)
		lost.Entries = lost.Entries[699:]
		w.hub.Deliver(lost)
		time.Sleep(time.Hour)
		reads, _ := w.log.calls()
		require.Less(w.t, reads, 3600, "it doesn't hammer a database that is away")
		require.Empty(w.t, m.read())
		w.log.set(func(l *fakeLog) { l.down = false })
		time.Sleep(5 * time.Second)
		require.Equal(w.t, offsets(1, 700), m.read())
	})
}

// A feed outlives its last session for a while, so that a reload finds the ring
// warm; then it goes.
func TestLinger(t *testing.T) {
	bubble(t, hub.Config{Linger: 10 * time.Second, SafetyRead: time.Second}, func(w *world) {
		w.connect(member("m")).Close(true)
		w.append(times(5, toAll)...)
		time.Sleep(5 * time.Second)
		synctest.Wait() // a safety read is due at this very moment
		_, before := w.log.calls()
		c := w.connect(from(member("m"), "e1-2"))
		reads, states := w.log.calls()
		require.Equal(w.t, []int{0, before}, []int{reads, states}, "from the ring")
		c.Close(true)

		time.Sleep(12 * time.Second)
		_, before = w.log.calls()
		time.Sleep(time.Minute)
		_, states = w.log.calls()
		require.Equal(w.t, before, states, "nothing is read for a workspace that nobody is in")
		c = w.connect(from(member("m"), "e1-2"))
		require.Equal(w.t, "e1-5", c.Position().String())
	})
}

func TestUnknownWorkspace(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		o := member("m")
		o.WorkspaceID = "nowhere"
		_, err := w.register(o)
		require.Equal(w.t, domain.CodeForbidden, domain.CodeOf(err))
	})
}

// A panic in a transport's callback is that session's trouble, not the node's.
func TestCallbackPanics(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		o := member("m")
		o.OnReady = func() { panic("ready") }
		o.OnClose = func(domain.CloseCode, hub.CloseInfo) { panic("close") }
		s, err := w.hub.Register(context.Background(), o)
		require.NoError(w.t, err)
		n := w.connect(member("n"))
		_, _ = s.Next(context.Background(), 1000)
		w.append(toAll)
		w.hub.CloseAuthSession("a_m", domain.CloseUnauthenticated)
		synctest.Wait()
		require.Equal(w.t, list("1"), n.read())
	})
}

func TestStopIsIdempotentAndFinal(t *testing.T) {
	w := newWorld(t, hub.Config{})
	stop := w.start()
	m := w.connect(member("m"))
	stop()
	stop()
	w.append(toAll)
	require.Zero(t, m.wakes())
	_, err := w.register(member("n"))
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	require.True(t, domain.IsTransient(err))
}

func TestStartEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{})
		ctx, cancel := context.WithCancel(context.Background())
		require.NoError(t, w.hub.Start(ctx))
		w.connect(member("m"))
		cancel()
		synctest.Wait()
		_, before := w.log.calls()
		time.Sleep(time.Minute)
		_, after := w.log.calls()
		require.Equal(t, before, after)
		w.hub.Stop()
	})
}
