package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

func TestHello(t *testing.T) {
	bubble(t, hub.Config{Heartbeat: 25 * time.Second}, func(w *world) {
		w.connect(member("n"))
		w.append(times(3, toAll)...)
		o := from(member("m"), "", "r2", "r1")
		c, err := w.register(o)
		require.NoError(w.t, err)
		require.Equal(w.t, "e1-3", c.Position().String())

		frames, err := c.Next(context.Background(), 64<<10)
		require.NoError(w.t, err)
		require.Len(w.t, frames, 2)
		var hello map[string]any
		require.NoError(w.t, json.Unmarshal(frames[0].Data, &hello))
		require.Equal(w.t, map[string]any{
			"type": "system.hello", "id": "e1-3", "session": c.ID(),
			"workspace": map[string]any{"id": ws, "slug": "acme"}, "member": map[string]any{"id": "m"},
			"resumed": false, "presence": []any{"m", "n"}, "rooms": []any{"r1", "r2"},
			"heartbeatMs": 25000.0, "catalog": domain.CatalogHash(),
		}, hello)
		require.JSONEq(w.t, `{"type":"system.live"}`, string(frames[1].Data))
	})
}

func TestHelloHasListsEvenIfEmpty(t *testing.T) {
	w := &world{t: t, log: newLog(ws), rights: &fakeRights{}}
	w.hub = hub.New(w.log, w.rights, hub.Config{}) // without presence
	defer w.hub.Stop()
	c, err := w.register(member("m"))
	require.NoError(t, err)
	frames, err := c.Next(context.Background(), 1)
	require.NoError(t, err)
	require.Contains(t, string(frames[0].Data), `"presence":[],"rooms":[]`)
}

func TestResume(t *testing.T) {
	// The log has 20 entries, of which 5 are trimmed. The ring is shorter than
	// the replay, or longer: the client can't tell.
	tests := map[string]struct {
		position string
		joined   int64
		want     string
	}{
		"from now on":               {"", 0, "hello@20 live"},
		"at the head":               {"e1-20", 0, "hello@20+resumed live"},
		"a short replay":            {"e1-18", 0, "hello@18+resumed 19 20 live"},
		"a long replay":             {"e1-10", 0, "hello@10+resumed 11 12 13 14 15 16 17 18 19 20 live"},
		"at the floor":              {"e1-5", 0, "hello@5+resumed 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 live"},
		"below the floor":           {"e1-4", 0, "hello@20 resync:position_expired@20 live"},
		"from the beginning":        {"e1-0", 0, "hello@20 resync:position_expired@20 live"},
		"not a position":            {"20", 0, "hello@20 resync:position_invalid@20 live"},
		"another epoch":             {"e0-20", 0, "hello@20 resync:epoch_changed@20 live"},
		"above the head":            {"e1-21", 0, "hello@20 resync:ahead_of_log@20 live"},
		"from before the member":    {"e1-17", 18, "hello@20 resync:position_expired@20 live"},
		"from when the member came": {"e1-18", 18, "hello@18+resumed 19 20 live"},
	}
	for name, test := range tests {
		for _, ring := range []int{4, 100} {
			t.Run(fmt.Sprint(name, ", ring ", ring), func(t *testing.T) {
				bubble(t, hub.Config{RingSize: ring}, func(w *world) {
					w.log.add(ws, times(20, toAll)...)
					w.log.trim(ws, 5)
					o := from(member("m"), test.position)
					o.JoinedOffset = test.joined
					c, err := w.register(o)
					require.NoError(w.t, err)
					got := c.read()
					require.Equal(w.t, test.want, strings.Join(got, " "))
					require.Equal(w.t, "e1-20", c.Position().String())
					w.append(toAll)
					require.Equal(w.t, list("21"), c.read(), "live after the replay")
				})
			})
		}
	}
}

// The floor in memory grows old while a feed is active: without a look at the
// database, a position that has been trimmed meanwhile would be "resumed" and
// then cut as a slow consumer.
func TestResumeAsksForTheFloorNow(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4, SafetyRead: time.Hour}, func(w *world) {
		w.connect(member("n"))
		w.append(times(30, toAll)...)
		w.log.trim(ws, 20)
		c, _ := w.register(from(member("m"), "e1-15"))
		require.Equal(w.t, list("hello@30 resync:position_expired@30 live"), c.read())
	})
}

// A client connects with the position of a snapshot it has just read, which can
// be above what the feed has heard of: that is not "ahead of the log".
func TestResumeAheadOfTheFeed(t *testing.T) {
	bubble(t, hub.Config{SafetyRead: time.Hour}, func(w *world) {
		n := w.connect(member("n"))
		late := w.log.add(ws, times(3, toAll)...) // the hint is still on its way
		c, err := w.register(from(member("m"), "e1-2"))
		require.NoError(w.t, err)
		require.Equal(w.t, list("hello@2+resumed 3 live"), c.read())
		w.hub.Deliver(late)
		require.Empty(w.t, c.read())
		require.Equal(w.t, list("1 2 3 +m"), n.read(), "the others got them by the way")
	})
}

// Likewise after a reset that the feed hasn't heard of.
func TestResumeInAnEpochNewToTheFeed(t *testing.T) {
	bubble(t, hub.Config{SafetyRead: time.Hour}, func(w *world) {
		w.connect(member("n"))
		w.log.replace(ws, domain.LogState{Epoch: "e2", Head: 7, Floor: 7})
		c, err := w.register(from(member("m"), "e2-7"))
		require.NoError(w.t, err)
		require.Equal(w.t, list("hello@7+resumed live"), c.read())
	})
}

// Ten thousand sessions that come back after a restart find the ring empty: the
// first to ask fills it for all.
func TestReconnectsShareOneRead(t *testing.T) {
	bubble(t, hub.Config{SafetyRead: time.Hour}, func(w *world) {
		w.log.add(ws, times(50, toAll)...)
		for i := range 200 {
			c, err := w.register(from(member(fmt.Sprint("m", i)), "e1-10"))
			require.NoError(w.t, err)
			require.Len(w.t, c.next(1<<20), 42)
		}
		reads, states := w.log.calls()
		require.Equal(w.t, []int{1, 1}, []int{reads, states})
	})
}

func TestOutdated(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		o := from(member("m"), "nonsense")
		o.Catalog = "abc"
		c, _ := w.register(o)
		require.Equal(w.t, list("hello@0 resync:position_invalid@0 outdated live"), c.read())
		o = member("m")
		o.Catalog = domain.CatalogHash()
		c, _ = w.register(o)
		require.Equal(w.t, list("hello@0 live"), c.read())
	})
}

func TestRoomsAtRegistration(t *testing.T) {
	bubble(t, hub.Config{MaxRooms: 3}, func(w *world) {
		w.rights.closed = map[string]bool{"secret": true}
		w.log.add(ws, toRoom, toRoom)
		c, err := w.register(from(member("m"), "e1-0", "r", "secret", "r", "b", "toomany"))
		require.NoError(w.t, err)
		require.Equal(w.t, "hello@0+resumed+b,r 1 2 live error:too_large error:not_found", strings.Join(c.read(), " "))
		w.append(toRoom)
		require.Equal(w.t, list("3"), c.read())
	})
}

func TestRegisterFails(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		code := func(fn func()) domain.Code {
			fn()
			_, err := w.register(from(member("m"), "e1-0", "r"))
			require.Error(w.t, err)
			return domain.CodeOf(err)
		}
		require.Equal(w.t, domain.CodeUnavailable, code(func() { w.log.set(func(l *fakeLog) { l.down = true }) }))
		w.log.set(func(l *fakeLog) { l.down = false })
		require.Equal(w.t, domain.CodeForbidden, code(func() { w.rights.gone = map[string]bool{"m": true} }))
		require.Equal(w.t, domain.CodeUnavailable, code(func() { w.rights.down = true }))
		require.Empty(w.t, w.hub.Stats().Sessions)
		require.Zero(w.t, w.hub.Stats().Workspaces)
		require.Empty(w.t, w.presence.goodbyes(), "who never came doesn't leave")
	})
}

func TestLimits(t *testing.T) {
	tests := map[string]hub.Config{
		"node":      {MaxSessions: 2},
		"workspace": {MaxWorkspaceSessions: 2},
		"user":      {MaxUserSessions: 2},
	}
	for name, cfg := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, cfg, func(w *world) {
				a := w.connect(member("m"))
				require.NoError(w.t, w.hub.CanRegister(member("m").Identity))
				w.connect(member("m"))
				require.Equal(w.t, domain.CodeRateLimited, domain.CodeOf(w.hub.CanRegister(member("m").Identity)))
				_, err := w.register(member("m"))
				require.Equal(w.t, domain.CodeRateLimited, domain.CodeOf(err))
				a.Close(true)
				_, err = w.register(member("m"))
				require.NoError(w.t, err, "a place that was left is free")
			})
		})
	}
}

// A transport learns of its session only when Register returns: callbacks
// before would find nothing to act on.
func TestNoCallbackBeforeTheFirstNext(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		c, err := w.register(member("m"))
		require.NoError(w.t, err)
		w.append(toAll)
		w.hub.CloseAuthSession("a_m", domain.CloseUnauthenticated)
		synctest.Wait()
		require.Zero(w.t, c.wakes())
		require.Empty(w.t, c.codes())
		require.Empty(w.t, c.read())
		synctest.Wait()
		require.Equal(w.t, list("unauthenticated"), c.codes())
	})
}

func TestSignOutDuringRegistration(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		w.rights.during = func() { w.hub.CloseAuthSession("a_m", domain.CloseUnauthenticated) }
		_, err := w.register(member("m"))
		require.Equal(w.t, domain.CodeUnauthenticated, domain.CodeOf(err))
		require.Empty(w.t, w.hub.Stats().Sessions)
	})
}

// A product's Entitlements may panic; the server's recovery then answers the
// request, and nobody would ever close the session that was half registered.
func TestPanicDuringRegistration(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		w.rights.during = func() { panic("a bug in the product") }
		require.Panics(w.t, func() { _, _ = w.register(member("m")) })
		require.Empty(w.t, w.hub.Stats().Sessions)
		require.Zero(w.t, w.hub.Stats().Workspaces)
	})
}

func TestStats(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		a, o := w.connect(member("m")), member("n")
		o.Transport = hub.SSE
		b := w.connect(o)
		require.Equal(w.t, hub.Stats{Sessions: map[hub.Transport]int{hub.WS: 1, hub.SSE: 1}, Workspaces: 1}, w.hub.Stats())
		a.Close(true)
		a.Close(true)
		b.Close(false)
		require.Equal(w.t, hub.Stats{Sessions: map[hub.Transport]int{}}, w.hub.Stats())
		require.Equal(w.t, []string{"m clean", "n dropped"}, w.presence.goodbyes())
		_, err := a.Next(context.Background(), 1)
		require.ErrorIs(w.t, err, hub.ErrClosed)
		require.ErrorIs(w.t, a.Subscribe(context.Background(), "r", "", nil), hub.ErrClosed)
		require.ErrorIs(w.t, a.Unsubscribe("r", nil), hub.ErrClosed)
	})
}
