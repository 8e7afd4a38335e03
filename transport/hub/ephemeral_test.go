package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

func TestEphemeral(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.hub.Broadcast(ws, presence(ws, "x", true), "x")
		synctest.Wait()
		require.Equal(w.t, 1, m.wakes())
		require.Equal(w.t, list("+x"), m.read())
		require.Empty(w.t, m.read())

		// Of several with one key the last wins; the order is that of the last.
		w.hub.Broadcast(ws, presence(ws, "x", false), "x")
		w.hub.Broadcast(ws, presence(ws, "y", true), "y")
		w.hub.Broadcast(ws, presence(ws, "x", true), "x")
		w.append(toAll)
		require.Equal(w.t, list("1 +y +x"), m.read())

		ev := presence(ws, "z", true)
		ev.Channel = domain.RoomChannel("r")
		w.hub.Broadcast(ws, ev, "z")
		w.hub.Broadcast("w2", presence("w2", "z", true), "z")
		w.hub.Broadcast("nowhere", presence("nowhere", "z", true), "z")
		w.hub.Broadcast(ws, domain.ServerEvent{Type: "bad", Payload: 7, Channel: domain.WorkspaceChannel(ws)}, "bad")
		require.Empty(w.t, m.read(), "not on a channel of this session's")
	})
}

// Each session has its own place among the states.
func TestEphemeralSessionsLagOnTheirOwn(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		fast, slow := w.connect(member("a")), w.connect(member("b"))
		require.Equal(w.t, list("+b"), fast.read())
		flip := func(key string, online bool) { w.hub.Broadcast(ws, presence(ws, key, online), key) }
		flip("x", true)
		require.Equal(w.t, list("+x"), fast.read())
		flip("y", true)
		require.Equal(w.t, list("+x"), slow.next(0))
		flip("x", false)
		require.Equal(w.t, list("+y -x"), fast.read())
		require.Equal(w.t, list("+y -x"), slow.read())
		flip("x", true)
		require.Equal(w.t, list("+x"), slow.read())
		require.Equal(w.t, list("+x"), fast.read())
	})
}

// The set in system.hello and the updates after it fit together: a member's own
// arrival is in the set, and not announced to them again.
func TestHelloAndPresenceFitTogether(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m, _ := w.register(member("m"))
		n, _ := w.register(member("n"))
		require.Equal(w.t, list("hello@0 live"), m.read(), "n came before m's hello")
		require.Equal(w.t, list("hello@0 live"), n.read())
		n.Close(true)
		require.Equal(w.t, list("-n"), m.read())
	})
}

// The states kept for slow sessions are bounded; who lags further is told so.
func TestEphemeralStatesAreBounded(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		fast, slow := w.connect(member("a")), w.connect(member("b"))
		fast.read()
		for i := range 1<<15 + 1 {
			w.hub.Broadcast(ws, presence(ws, fmt.Sprint(i), true), fmt.Sprint(i))
			if i%1000 == 0 {
				fast.read()
			}
		}
		require.NotEmpty(w.t, fast.read())
		require.Empty(w.t, slow.read())
		synctest.Wait()
		require.Equal(w.t, list("slow_consumer"), slow.codes())
		require.Empty(w.t, fast.codes())
	})
}

// One key that flips for ever takes no room from others.
func TestEphemeralFlapping(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		for i := range 10_000 {
			w.hub.Broadcast(ws, presence(ws, "x", i%2 == 0), "x")
		}
		require.Equal(w.t, list("-x"), m.read())
	})
}
