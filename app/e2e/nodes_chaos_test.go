package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// fleet is three real processes over one database, and what carries hints
// between them.
type fleet struct {
	t         *testing.T
	dsn       string
	processes []*process
	plug      *storetest.Plug // of the NATS server; nil without one
}

func newFleet(t *testing.T, withNATS bool, env ...string) *fleet {
	f := &fleet{t: t, dsn: storetest.DSN(t, store.Postgres)}
	if withNATS {
		server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
		require.NoError(t, err)
		server.Start()
		require.True(t, server.ReadyForConnections(20*time.Second))
		t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
		plug, url := storetest.NewPlug(t, "nats://"+server.Addr().(*net.TCPAddr).String())
		f.plug = plug
		env = append(env, "NATS_URL="+url)
	}
	for i := range 3 {
		p := newProcess(t, f.dsn)
		p.env = append(append(p.env, fmt.Sprint("ORBIT_NODE=node-", i)), env...)
		f.processes = append(f.processes, p)
		p.start()
	}
	return f
}

func (f *fleet) bases() (urls []string) {
	for _, p := range f.processes {
		urls = append(urls, p.base())
	}
	return urls
}

// pause is SIGSTOP: the process stands still, its connections stay.
func (p *process) pause() { require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGSTOP)) }
func (p *process) wake()  { require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGCONT)) }

// visits is a member who opens a tab somewhere and closes it, again and again.
func (f *fleet) visits(ctx context.Context, u *user, random *rand.Rand) {
	for ctx.Err() == nil {
		tb := roam(f.t, u, "", nil, always(transports[random.IntN(4)]), f.bases()[random.IntN(3):]...)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(200+random.IntN(2000)) * time.Millisecond):
		}
		tb.close()
	}
}

// TestThreeNodesUnderFire kills nodes, pauses them, ends them in order and cuts
// the relay, at random, while members write on all of them, come and go. Every
// committed entry reaches every tab once and in order, and when it is over all
// nodes agree on who is online.
func TestThreeNodesUnderFire(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute each")
	}
	for name, withNATS := range map[string]bool{"postgres": false, "nats": true} {
		t.Run(name, func(t *testing.T) {
			const fire = 25 * time.Second
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			f := newFleet(t, withNATS)
			owner, admin, guest := login(t, f.bases()[0], "owner"), login(t, f.bases()[0], "admin"), login(t, f.bases()[0], "guest")
			settle(t, f.dsn)
			snap := owner.snapshot(t, "acme")
			room := snap.room(t, "general")
			var tabs []*tab
			for i := range 24 {
				pick := func(attempt int) string { return transports[(i+attempt*(i%2))%4] }
				urls := f.bases()
				urls = append(urls[i%3:], urls[:i%3]...)
				tabs = append(tabs, roam(t, []*user{owner, admin}[i%2], snap.Position, []string{room}, pick, urls...))
			}
			for _, tb := range tabs {
				tb.waitLive()
			}

			ctx, stop := context.WithTimeout(t.Context(), fire)
			defer stop()
			var busy sync.WaitGroup
			var mu sync.Mutex
			var acknowledged []string
			for w := range 3 {
				busy.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						u := *owner
						u.base, u.http = f.bases()[(w+i)%3], &http.Client{Timeout: 2 * time.Second}
						a, err := u.try("POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": fmt.Sprint(w, "/", i)})
						if err == nil && a.status == http.StatusCreated {
							mu.Lock()
							acknowledged = append(acknowledged, a.eventID)
							mu.Unlock()
						}
						select {
						case <-ctx.Done():
						case <-time.After(20 * time.Millisecond):
						}
					}
				})
			}
			busy.Go(func() { f.visits(ctx, guest, rand.New(rand.NewPCG(seed, 1))) })
			f.attack(ctx, rand.New(rand.NewPCG(seed, 2)))
			busy.Wait()

			last := ""
			eventually(t, "a node answers", func() bool {
				a, err := owner.try("POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": "the end"})
				last = a.eventID
				return err == nil && a.status == http.StatusCreated
			})
			for _, tb := range tabs {
				tb.waitCause(last)
			}
			from, err := domain.ParsePosition(snap.Position)
			require.NoError(t, err)
			entries, epoch := committedLog(t, f.dsn, "acme", domain.RoomChannel(room))
			var want []string
			causes := map[string]int{}
			for _, e := range entries {
				causes[e.EventID]++
				if e.Offset > from.Offset {
					want = append(want, domain.Position{Epoch: epoch, Offset: e.Offset}.String())
				}
			}
			for _, id := range append(acknowledged, last) {
				require.Equal(t, 1, causes[id], "acknowledged event %s is in the log exactly once", id)
			}
			for i, tb := range tabs {
				var got []string
				for _, e := range tb.logged() {
					if e.Channel == string(domain.RoomChannel(room)) {
						got = append(got, e.ID)
					}
				}
				require.True(t, slices.Equal(want, got), "tab %d: %d of %d entries", i, len(got), len(want))
			}
			online := []string{owner.snapshot(t, "acme").Me.MemberID, admin.snapshot(t, "acme").Me.MemberID}
			slices.Sort(online)
			for _, base := range f.bases() {
				u := *owner
				u.base = base
				eventually(t, "every node knows who is online", func() bool {
					return slices.Equal(u.snapshot(t, "acme").Presence, online)
				})
			}
			require.Greater(t, len(want), 50)
			t.Logf("%d tabs, %d entries: lost 0, twice 0", len(tabs), len(want))
		})
	}
}

// attack does one thing after the other until ctx ends, and then mends all.
func (f *fleet) attack(ctx context.Context, random *rand.Rand) {
	wait := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	for ctx.Err() == nil {
		wait(time.Duration(500+random.IntN(1500)) * time.Millisecond)
		p := f.processes[random.IntN(3)]
		kinds := 3
		if f.plug != nil {
			kinds = 4
		}
		switch random.IntN(kinds) {
		case 0:
			p.kill()
			wait(time.Duration(random.IntN(3000)) * time.Millisecond)
			p.start()
		case 1:
			p.pause()
			// Sometimes longer than the lease: it wakes up in another world.
			wait(time.Duration(1000+random.IntN(8000)) * time.Millisecond)
			p.wake()
		case 2:
			p.terminate()
			p.start()
		case 3:
			f.plug.Pull()
			wait(3 * time.Second)
			f.plug.Push()
		}
	}
}

// TestADeadNodesMembers kills a node. Those of its members who come back on
// another in time flip for nobody; the one who doesn't goes offline once, on
// every node.
func TestADeadNodesMembers(t *testing.T) {
	for name, withNATS := range map[string]bool{"postgres": false, "nats": true} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, withNATS, "ORBIT_PRESENCE_GRACE=4s")
			urls := f.bases()
			owner, admin, guest := login(t, urls[0], "owner"), login(t, urls[0], "admin"), login(t, urls[0], "guest")
			settle(t, f.dsn)
			adminID, guestID := admin.snapshot(t, "acme").Me.MemberID, guest.snapshot(t, "acme").Me.MemberID
			var witnesses []*tab
			for _, base := range urls[:2] {
				w := roam(t, owner, "", nil, always("ws"), base)
				w.waitLive()
				witnesses = append(witnesses, w)
			}
			comesBack := roam(t, admin, "", nil, always("ws"), urls[2], urls[0])
			stays := roam(t, guest, "", nil, always("sse"), urls[2])
			comesBack.waitLive()
			stays.waitLive()
			for _, w := range witnesses {
				w.waitFlips(adminID, true)
				w.waitFlips(guestID, true)
			}
			f.processes[2].kill()
			killed := time.Now()
			comesBack.waitFor("another node", func(tb *tab) bool { return tb.lives > 1 })
			for _, w := range witnesses {
				w.waitFlips(guestID, true, false)
			}
			t.Logf("offline after %s", time.Since(killed).Round(100*time.Millisecond))
			end := owner.do(t, 200, "PATCH", "/v1/workspaces/acme", map[string]any{"name": "After the death"}).eventID
			for _, w := range witnesses {
				w.waitCause(end)
				w.waitFlips(adminID, true)
				w.waitFlips(guestID, true, false)
			}
			stays.close()
		})
	}
}

// TestTakeover kills the node that serves a lane, or makes it stand still: what
// waits in the lane is projected by another within seconds, and the one that
// wakes can't write what it had in hand.
func TestTakeover(t *testing.T) {
	f := newFleet(t, false, "ORBIT_NODE_LEASE=2s")
	urls := f.bases()
	owner := login(t, urls[0], "owner")
	settle(t, f.dsn)
	snap := owner.snapshot(t, "acme")
	s := storetest.OpenDSN(t, f.dsn)
	serving := func() int {
		health, err := s.Health(t.Context())
		require.NoError(t, err)
		w, err := s.Reader().WorkspaceBySlug(t.Context(), "acme")
		require.NoError(t, err)
		var i int
		if n, _ := fmt.Sscanf(health.Owners[store.LaneOf(w.ID, s.Lanes())], "node-%d", &i); n == 1 {
			return i
		}
		return -1
	}
	for _, what := range []struct {
		name      string
		end, mend func(p *process)
	}{
		{"kill", (*process).kill, (*process).start},
		{"pause", (*process).pause, (*process).wake},
	} {
		eventually(t, "somebody serves the lane", func() bool { return serving() >= 0 })
		i := serving()
		u := *owner
		u.base = urls[(i+1)%3]
		tb := roam(t, &u, snap.Position, nil, always("ws"), u.base)
		tb.waitLive()
		what.end(f.processes[i])
		began := time.Now()
		tb.waitCause(u.do(t, 200, "PATCH", "/v1/workspaces/acme", map[string]any{"name": "Served after a " + what.name}).eventID)
		t.Logf("%s: served again after %s", what.name, time.Since(began).Round(10*time.Millisecond))
		what.mend(f.processes[i])
		login(t, urls[i], "owner")
		tb.waitCause(u.do(t, 200, "PATCH", "/v1/workspaces/acme", map[string]any{"name": "After " + what.name}).eventID)
		tb.logged() // in order, and once
		tb.close()
	}
}
