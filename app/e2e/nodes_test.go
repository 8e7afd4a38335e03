package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/config"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// relays are what can carry hints between nodes: a function that sets a node up,
// and one that cuts all of them off, and back.
var relays = map[string]func(t *testing.T, dsn string) (setUp func(*config.Config), cut, mend func()){
	"postgres": func(t *testing.T, dsn string) (func(*config.Config), func(), func()) {
		s := storetest.OpenDSN(t, dsn)
		stop := make(chan struct{})
		// There is no taking LISTEN away for good: it is cut again and again.
		cut := func() {
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
						_, _ = s.WriteDB().ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
							WHERE datname = current_database() AND application_name = 'orbit listen'`)
					}
				}
			}()
		}
		return func(*config.Config) {}, cut, func() { close(stop) }
	},
	"nats": func(t *testing.T, _ string) (func(*config.Config), func(), func()) {
		server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
		require.NoError(t, err)
		server.Start()
		require.True(t, server.ReadyForConnections(20*time.Second))
		t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
		plug, url := storetest.NewPlug(t, "nats://"+server.Addr().(*net.TCPAddr).String())
		return func(c *config.Config) { c.NatsURL = url }, plug.Pull, plug.Push
	},
}

// eachRelay runs fn for three nodes in this process over one database.
func eachRelay(t *testing.T, adjust func(*config.Config), fn func(t *testing.T, nodes []*app.App, cut, mend func())) {
	for name, relay := range relays {
		t.Run(name, func(t *testing.T) {
			dsn := storetest.DSN(t, store.Postgres)
			setUp, cut, mend := relay(t, dsn)
			var nodes []*app.App
			for i := range 3 {
				cfg := testConfig(dsn)
				cfg.Node = fmt.Sprint("node-", i)
				setUp(&cfg)
				adjust(&cfg)
				nodes = append(nodes, start(t, cfg))
			}
			fn(t, nodes, cut, mend)
		})
	}
}

func asIs(*config.Config) {}

func bases(nodes []*app.App) (urls []string) {
	for _, n := range nodes {
		urls = append(urls, n.BaseURL())
	}
	return urls
}

// at is the same user at another node.
func (u *user) at(n *app.App) *user {
	other := *u
	other.base = n.BaseURL()
	return &other
}

// TestNodesAreOneProduct writes at each node and reads at each, on every
// transport, with hints and with none: only latency tells them apart. Presence
// is that of all nodes, on each of them.
func TestNodesAreOneProduct(t *testing.T) {
	eachRelay(t, asIs, func(t *testing.T, nodes []*app.App, cut, mend func()) {
		owner, guest := login(t, nodes[0].BaseURL(), "owner"), login(t, nodes[1].BaseURL(), "guest")
		snap := owner.snapshot(t, "acme")
		guestID := guest.snapshot(t, "acme").Me.MemberID
		var tabs []*tab
		for i, n := range nodes {
			for j, transport := range transports {
				if (i+j)%2 == 0 {
					tabs = append(tabs, openTab(t, owner.at(n), "acme", snap.Position, nil, always(transport)))
				}
			}
		}
		for _, tb := range tabs {
			tb.waitLive()
		}
		rename := func(n *app.App, name string) {
			t.Helper()
			cause := owner.at(n).do(t, 200, "PATCH", "/v1/workspaces/acme", map[string]any{"name": name}).eventID
			for _, tb := range tabs {
				tb.waitCause(cause)
			}
		}
		comeAndGo := func(n *app.App) {
			t.Helper()
			var before []int
			for _, tb := range tabs {
				before = append(before, len(tb.flips(guestID)))
			}
			visits := openTab(t, guest.at(n), "acme", "", nil, always("ws"))
			visits.waitLive()
			elsewhere := openTab(t, guest.at(nodes[2]), "acme", "", nil, always("sse"))
			elsewhere.waitLive()
			for _, tb := range tabs {
				tb.waitFor("the guest's arrival", func(*tab) bool { return true })
			}
			eventually(t, "everybody sees the guest", func() bool {
				for i, tb := range tabs {
					if len(tb.flips(guestID)) == before[i] {
						return false
					}
				}
				return true
			})
			for _, n := range nodes {
				require.Contains(t, owner.at(n).snapshot(t, "acme").Presence, guestID)
			}
			visits.close()
			elsewhere.close()
			eventually(t, "and that they are gone", func() bool {
				for i, tb := range tabs {
					if len(tb.flips(guestID)) != before[i]+2 {
						return false
					}
				}
				return true
			})
			for i, tb := range tabs {
				require.Equal(t, []bool{true, false}, tb.flips(guestID)[before[i]:])
			}
		}
		for i, n := range nodes {
			rename(n, fmt.Sprint("Name ", i))
		}
		comeAndGo(nodes[0])
		cut()
		for i, n := range nodes {
			rename(n, fmt.Sprint("Dark ", i))
		}
		comeAndGo(nodes[1])
		mend()
		rename(nodes[0], "Bright again")
		for _, tb := range tabs[1:] {
			requireSameEvents(t, tabs[0].logged(), tb.logged(), "on every node")
		}
	})
}

// TestSignOutAndRemovalReachEveryNode: with the relay cut as well, no tab on any
// node sees more than it may, and all of them end.
func TestSignOutAndRemovalReachEveryNode(t *testing.T) {
	eachRelay(t, asIs, func(t *testing.T, nodes []*app.App, cut, mend func()) {
		defer mend()
		owner := login(t, nodes[0].BaseURL(), "owner")
		for _, dark := range []bool{false, true} {
			if dark {
				cut()
			}
			leaver := login(t, nodes[0].BaseURL(), "admin")
			var tabs []*tab
			for i, n := range nodes {
				tb := openTab(t, leaver.at(n), "acme", "", nil, always(transports[i]))
				tb.waitLive()
				tabs = append(tabs, tb)
			}
			leaver.at(nodes[1]).do(t, http.StatusNoContent, "POST", "/v1/logout", nil)
			for _, tb := range tabs {
				tb.waitEnded()
			}
		}
		guest := login(t, nodes[0].BaseURL(), "guest")
		guestID := guest.snapshot(t, "acme").Me.MemberID
		var tabs []*tab
		for i, n := range nodes {
			tb := openTab(t, guest.at(n), "acme", "", nil, always(transports[i]))
			tb.waitLive()
			tabs = append(tabs, tb)
		}
		removal := owner.at(nodes[2]).do(t, http.StatusNoContent, "DELETE", "/v1/workspaces/acme/members/"+guestID, nil).eventID
		owner.at(nodes[1]).do(t, 200, "PATCH", "/v1/workspaces/acme", map[string]any{"name": "Not for the guest"})
		for _, tb := range tabs {
			tb.waitEnded()
			seen := tb.logged()
			require.NotEmpty(t, seen)
			require.Equal(t, removal, seen[len(seen)-1].Cause, "their own removal is the last they see")
		}
	})
}

// TestAPollerMayReachAnyNode polls one node after the other: nothing is missed,
// nobody flips, and each poll waits.
func TestAPollerMayReachAnyNode(t *testing.T) {
	eachRelay(t, asIs, func(t *testing.T, nodes []*app.App, _, _ func()) {
		owner, guest := login(t, nodes[0].BaseURL(), "owner"), login(t, nodes[0].BaseURL(), "guest")
		guestID := guest.snapshot(t, "acme").Me.MemberID
		snap := owner.snapshot(t, "acme")
		witness := openTab(t, owner.at(nodes[2]), "acme", snap.Position, nil, always("ws"))
		witness.waitLive()
		poller := roam(t, guest, snap.Position, nil, always("poll"), bases(nodes)...)
		poller.waitLive()
		for i := range 7 {
			cause := owner.at(nodes[i%3]).do(t, 200, "PATCH", "/v1/workspaces/acme", map[string]any{"name": fmt.Sprint("Round ", i)}).eventID
			poller.waitCause(cause)
			witness.waitCause(cause)
		}
		requireSameEvents(t, witness.logged(), poller.logged(), "whichever node")
		hellos := 0
		for _, e := range poller.all() {
			if e.Type == "system.hello" {
				hellos++
			}
		}
		require.LessOrEqual(t, hellos, 12, "about one per change: a poll waits at a node that is new to it")
		require.Equal(t, []bool{true}, witness.flips(guestID))
	})
}

// TestOperatorsReachEveryNode ends a session of one node on another's console,
// and sees who serves which lane.
func TestOperatorsReachEveryNode(t *testing.T) {
	eachRelay(t, asIs, func(t *testing.T, nodes []*app.App, _, _ func()) {
		owner := login(t, nodes[0].BaseURL(), "owner")
		tb := openTab(t, owner.at(nodes[2]), "acme", "", nil, always("ws"))
		tb.waitLive()
		session := ""
		for _, e := range tb.all() {
			if e.Type == "system.hello" {
				session = e.Session
			}
		}
		end := func(id string) int {
			req, err := http.NewRequest(http.MethodDelete, nodes[0].AdminURL()+"/admin/v1/sessions/"+id+"?reason=test", strings.NewReader(""))
			require.NoError(t, err)
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			return resp.StatusCode
		}
		require.Equal(t, http.StatusNotFound, end("s_nobody"))
		eventually(t, "the node of that session is known", func() bool { return end(session) < 300 })
		tb.waitFor("another session", func(tb *tab) bool { return tb.lives > 1 })

		second := openTab(t, owner.at(nodes[1]), "acme", "", nil, always("sse"))
		second.waitLive()
		var status domain.OpsStatus
		look := func() {
			resp, err := http.Get(nodes[1].AdminURL() + "/admin/v1/status")
			require.NoError(t, err)
			defer resp.Body.Close()
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&status))
		}
		eventually(t, "four lanes spread over three nodes", func() bool {
			look()
			owners := map[string]int{}
			for _, lane := range status.Lanes {
				owners[lane.Owner]++
			}
			return len(owners) == 3
		})
		eventually(t, "what the nodes tell of themselves", func() bool {
			look()
			held := 0
			for _, n := range status.Cluster.Nodes {
				held += len(n.Lanes)
			}
			return len(status.Cluster.Nodes) == 3 && held == 4 && status.Cluster.Sessions["ws"] == 1 && status.Cluster.Sessions["sse"] == 1
		})
		require.Equal(t, 1, status.Cluster.Members, "on two nodes, and one member")

		resp, err := http.Get(nodes[0].AdminURL() + "/admin/v1/sessions")
		require.NoError(t, err)
		defer resp.Body.Close()
		listed, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		for _, where := range []string{`"node":"node-1"`, `"node":"node-2"`} {
			require.Contains(t, string(listed), where)
		}
	})
}

func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	require.Eventually(t, fn, 60*time.Second, 20*time.Millisecond, what)
}
