package hub_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

func TestHeartbeat(t *testing.T) {
	bubble(t, hub.Config{Heartbeat: 10 * time.Second}, func(w *world) {
		m := w.connect(member("m"))
		for i := range 3 {
			w.append(toN)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			require.Equal(w.t, 1, m.wakes(), "one each interval")
			require.Equal(w.t, []string{"heartbeat@" + fmt.Sprint(i+1)}, m.read())
		}
		require.Equal(w.t, "e1-3", m.Position().String())
	})
}

// Ten thousand heartbeats at once would be a load peak every 25 s.
func TestHeartbeatsAreSpread(t *testing.T) {
	bubble(t, hub.Config{Heartbeat: 10 * time.Second}, func(w *world) {
		var clients []*client
		for i := range 300 {
			clients = append(clients, w.connect(member(fmt.Sprint(i))))
		}
		for i := range clients {
			if i%3 == 0 { // who leaves makes no difference
				clients[i].Close(true)
			}
		}
		synctest.Wait()
		for _, c := range clients {
			c.read()
			c.wakes()
		}
		for range 10 {
			time.Sleep(time.Second)
			synctest.Wait()
			woken := 0
			for _, c := range clients {
				woken += c.wakes()
				if len(c.codes()) == 0 {
					_, _ = c.Next(context.Background(), 1000)
				}
			}
			require.InDelta(w.t, 20, woken, 2)
		}
	})
}

func TestEndedSignInIsNoticed(t *testing.T) {
	bubble(t, hub.Config{Heartbeat: 10 * time.Second}, func(w *world) {
		m, n := w.connect(member("m")), w.connect(member("n"))
		w.rights.set(func(r *fakeRights) { r.ended = map[string]bool{"a_m": true} })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(w.t, list("unauthenticated"), m.codes())
		require.Empty(w.t, n.codes())
	})
}

// A removal that the log never tells of, for the outbox is stalled or its event
// was poisoned, left the removed member connected for good. Two looks in a row
// must find the membership ended: what the log tells, it tells better.
func TestEndedMembershipIsNoticed(t *testing.T) {
	bubble(t, hub.Config{Heartbeat: 10 * time.Second}, func(w *world) {
		m, n := w.connect(member("m")), w.connect(member("n"))
		gone := func(member string, ended bool) {
			w.rights.set(func(r *fakeRights) { r.gone = map[string]bool{member: ended} })
		}
		gone("n", true)
		time.Sleep(10 * time.Second)
		gone("n", false) // a replica that lagged, say
		time.Sleep(10 * time.Second)
		gone("m", true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Empty(w.t, m.codes(), "the log may still tell")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
		require.Empty(w.t, n.codes())
	})
}

// All sessions of one share are asked for in one call.
func TestRecheckIsBatched(t *testing.T) {
	bubble(t, hub.Config{Heartbeat: 10 * time.Second}, func(w *world) {
		for i := range 1000 {
			w.connect(member(fmt.Sprint(i)))
		}
		o := member("anonymous")
		o.AuthSessionID = ""
		anonymous := w.connect(o)
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		require.Equal(w.t, 100, w.rights.asked)
		require.Empty(w.t, anonymous.codes(), "without a sign-in session there is nothing to end")
	})
}

// A node that has lost the database doesn't keep sessions that it can't verify:
// they are sent where that can be done.
func TestUnverifiedSessionsAreSentAway(t *testing.T) {
	bubble(t, hub.Config{Heartbeat: 10 * time.Second}, func(w *world) {
		m := w.connect(member("m"))
		time.Sleep(15 * time.Second)
		late := w.connect(member("n"))
		w.rights.set(func(r *fakeRights) { r.down = true })
		time.Sleep(25 * time.Second)
		synctest.Wait()
		require.Empty(w.t, m.codes(), "the database may be back soon")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Equal(w.t, list("service_restart"), m.codes())
		require.Equal(w.t, list("service_restart"), late.codes())
		require.Equal(w.t, []string{"m dropped", "n dropped"}, w.presence.goodbyes(), "they come back: nobody flips")
	})
}

// While the database is away everybody stays for a while, and somebody is told.
func TestRecheckDuringAnOutage(t *testing.T) {
	var logged recordedLog
	bubble(t, hub.Config{Heartbeat: 10 * time.Second, Logger: slog.New(slog.NewTextHandler(&logged, nil))}, func(w *world) {
		m := w.connect(member("m"))
		w.rights.set(func(r *fakeRights) { r.down, r.ended = true, map[string]bool{"a_m": true} })
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Empty(w.t, logged.String())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Contains(w.t, logged.String(), "level=ERROR")
		require.Empty(w.t, m.codes())
		w.rights.set(func(r *fakeRights) { r.down = false })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(w.t, list("unauthenticated"), m.codes())
	})
}

type recordedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *recordedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *recordedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestCloseAuthSession(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		a, b, n := w.connect(member("m")), w.connect(member("m")), w.connect(member("n"))
		w.hub.CloseAuthSession("a_m", domain.CloseUnauthenticated)
		w.hub.CloseAuthSession("a_m", domain.CloseUnauthenticated)
		synctest.Wait()
		require.Equal(w.t, list("unauthenticated"), a.codes(), "OnClose is called once")
		require.Equal(w.t, list("unauthenticated"), b.codes())
		require.Empty(w.t, n.codes())
		require.Equal(w.t, []string{"m clean", "m clean"}, w.presence.goodbyes())
	})
}
