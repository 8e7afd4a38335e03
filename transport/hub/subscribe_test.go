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

func (c *client) subscribe(room, position string, ref *int64) {
	require.NoError(c.t, c.Subscribe(context.Background(), room, position, ref))
}

func TestSubscribe(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(toRoom, toAll)
		require.Equal(w.t, list("2"), m.read())
		m.subscribe("r", "", ref(1))
		synctest.Wait()
		require.NotZero(w.t, m.wakes())
		w.append(toRoom)
		require.Equal(w.t, list("subscribed:r#1"), m.read(), "begins with the answer")
		w.append(toRoom, toAll)
		require.Equal(w.t, list("4 5"), m.read())

		m.subscribe("r", "", ref(2))
		require.Equal(w.t, list("subscribed:r#2"), m.read(), "to subscribe again is no error")
		w.append(toRoom)
		require.Equal(w.t, list("6"), m.read(), "and doubles nothing")

		require.NoError(w.t, m.Unsubscribe("r", ref(3)))
		require.NoError(w.t, m.Unsubscribe("r", ref(4)))
		w.append(toRoom)
		require.Equal(w.t, list("unsubscribed:r#3 unsubscribed:r#4"), m.read())
	})
}

// Between the answer in line and the answer handed out, entries of the room
// come: either they are behind the answer, or they are not handed out at all.
func TestSubscribeWithAPosition(t *testing.T) {
	tests := map[string]struct {
		position string
		want     string
	}{
		"from now on":     {"", "subscribed:r"},
		"backfill":        {"e1-4", "subscribed:r 5 7 9"},
		"at the position": {"e1-10", "subscribed:r"},
		"at the floor":    {"e1-2", "subscribed:r 3 5 7 9"},
		"expired":         {"e1-1", "subscribed:r resync:position_expired@10"},
		"not a position":  {"x", "subscribed:r resync:position_invalid@10"},
		"another epoch":   {"e0-4", "subscribed:r resync:epoch_changed@10"},
		"above the head":  {"e1-11", "subscribed:r resync:ahead_of_log@10"},
	}
	for name, test := range tests {
		for _, ring := range []int{2, 100} {
			t.Run(fmt.Sprint(name, ", ring ", ring), func(t *testing.T) {
				bubble(t, hub.Config{RingSize: ring}, func(w *world) {
					for range 5 {
						w.log.add(ws, toRoom, toAll)
					}
					w.log.trim(ws, 2)
					m := w.connect(member("m"))
					m.subscribe("r", test.position, nil)
					require.Equal(w.t, list(test.want), m.read())
					require.Equal(w.t, "e1-10", m.Position().String(), "a backfill doesn't set it back")
					w.append(toRoom)
					require.Equal(w.t, list("11"), m.read())
				})
			})
		}
	}
}

// A client can know a room up to a point that its lagging session has yet to
// reach: what it knows isn't sent again.
func TestSubscribeAheadOfTheSession(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(toAll, toRoom, toRoom, toAll)
		m.subscribe("r", "e1-2", nil)
		require.Equal(w.t, list("subscribed:r 1 3 4"), m.read())
	})
}

// A lagging session gets the room's entries from its own position on.
func TestSubscribeWhileLagging(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(toRoom, toAll, toRoom, toAll)
		require.Equal(w.t, list("2"), m.next(0))
		w.append(toRoom)
		m.subscribe("r", "e1-0", nil)
		require.Equal(w.t, list("subscribed:r 1 3 4 5"), m.read())
	})
}

// The backfill's entries are trimmed while it is under way.
func TestBackfillExpires(t *testing.T) {
	bubble(t, hub.Config{RingSize: 2}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(20, toRoom)...)
		w.append(toAll)
		m.read()
		m.subscribe("r", "e1-0", nil)
		require.Equal(w.t, list("subscribed:r"), m.next(0))
		require.Equal(w.t, list("1"), m.next(0))
		w.log.trim(ws, 10)
		require.Equal(w.t, list("resync:position_expired@21"), m.read())
		w.append(toRoom)
		require.Equal(w.t, list("22"), m.read())
	})
}

func TestUnsubscribeEndsABackfill(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(9, toRoom)...)
		m.subscribe("r", "e1-0", nil)
		require.Equal(w.t, list("subscribed:r"), m.next(0))
		require.Equal(w.t, list("1"), m.next(0))
		require.NoError(w.t, m.Unsubscribe("r", nil))
		require.Equal(w.t, list("unsubscribed:r"), m.read())
	})
}

// Whether a room is closed to the member or doesn't exist is nobody's business.
func TestRefusedRoom(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.rights.set(func(r *fakeRights) { r.closed = map[string]bool{"r": true} })
		m.subscribe("r", "e1-0", ref(5))
		w.append(toRoom)
		require.Equal(w.t, list("error:not_found#5"), m.read())
		w.rights.set(func(r *fakeRights) { r.closed, r.down = nil, true })
		m.subscribe("r", "", ref(6))
		require.Equal(w.t, list("error:unavailable#6"), m.read())
		w.rights.set(func(r *fakeRights) { r.down = false })
		w.log.set(func(l *fakeLog) { l.down = true })
		m.subscribe("r", "e1-99", ref(7))
		require.Equal(w.t, list("error:unavailable#7"), m.read())
		w.append(toRoom)
		require.Empty(w.t, m.read())
	})
}

func TestTooManyRooms(t *testing.T) {
	bubble(t, hub.Config{MaxRooms: 2}, func(w *world) {
		m := w.connect(from(member("m"), "", "a"))
		m.subscribe("b", "", ref(1))
		m.subscribe("c", "", ref(2))
		m.subscribe("b", "", ref(3))
		require.Equal(w.t, list("subscribed:b#1 error:too_large#2 subscribed:b#3"), m.read())
	})
}

// A client that asks and asks, and doesn't read the answers.
func TestTooManyReplies(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		for range 64 {
			m.SendError(domain.CodeInvalid, "no", ref(1))
		}
		synctest.Wait()
		require.Empty(w.t, m.codes())
		m.SendError(domain.CodeInvalid, "no", nil)
		synctest.Wait()
		require.Equal(w.t, list("rate_limited"), m.codes())
	})
}

func TestSendError(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		m.SendError(domain.CodeInvalid, "what?", ref(9))
		frames, err := m.Next(context.Background(), 1000)
		require.NoError(w.t, err)
		require.Len(w.t, frames, 1)
		require.JSONEq(w.t, `{"type":"system.error","code":"invalid","message":"what?","ref":9}`, string(frames[0].Data))
	})
}

// A reset in the middle of a subscription: nobody knows what the check's answer
// is worth.
func TestResetDuringASubscription(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.rights.set(func(r *fakeRights) {
			r.during = func() {
				w.rights.set(func(r *fakeRights) { r.during = nil })
				w.log.replace(ws, domain.LogState{Epoch: "e2"})
				time.Sleep(2 * time.Second)
			}
		})
		m.subscribe("r", "", nil)
		w.append(toRoom)
		require.Equal(w.t, list("resync:epoch_changed@0 error:unavailable"), m.read())
	})
}
