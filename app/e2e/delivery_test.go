package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// TestEveryEventOnEveryTransport drives each command once and expects each
// server event of the catalog on every transport, on both engines.
func TestEveryEventOnEveryTransport(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		a := start(t, testConfig(dsn))
		owner := login(t, a.BaseURL(), "owner")
		snap := owner.snapshot(t, "acme")
		general := snap.room(t, "general")

		var tabs []*tab
		for _, transport := range transports {
			tb := openTab(t, owner, "acme", snap.Position, []string{general}, always(transport))
			tb.waitLive()
			tabs = append(tabs, tb)
		}

		causes := driveEveryCommand(t, owner, snap, general, tabs[0].waitCause)

		want := map[string]bool{}
		for _, spec := range domain.Catalog {
			if len(spec.Causes) > 0 {
				want[string(spec.Type)] = true
			}
		}
		for i, tb := range tabs {
			for _, cause := range causes {
				tb.waitCause(cause)
			}
			got := map[string]bool{}
			for _, e := range tb.logged() {
				got[e.Type] = true
			}
			require.Equal(t, want, got, "all types arrive over %s; for a new one, add a command that leads to it to driveEveryCommand", transports[i])
		}
		first := tabs[0].logged()
		for i, tb := range tabs[1:] {
			requireSameEvents(t, first, tb.logged(), transports[i+1])
		}
	})
}

func requireSameEvents(t *testing.T, want, got []event, about string) {
	t.Helper()
	ids := func(events []event) (out []string) {
		for _, e := range events {
			out = append(out, e.ID+" "+e.Type)
		}
		return out
	}
	require.Equal(t, ids(want), ids(got), about)
}

// driveEveryCommand leads to every domain event; it returns their ids in order.
// Each is waited for before the next, because a change of something that is
// gone by the time it is projected is told by nobody: its deletion is.
func driveEveryCommand(t *testing.T, owner *user, snap snapshot, room string, wait func(eventID string)) (causes []string) {
	w := "/v1/workspaces/acme"
	do := func(status int, method, path string, body any) answer {
		t.Helper()
		a := owner.do(t, status, method, w+path, body)
		require.NotEmpty(t, a.eventID, "%s %s names its event", method, path)
		causes = append(causes, a.eventID)
		wait(a.eventID)
		return a
	}
	type m = map[string]any
	do(http.StatusOK, "PATCH", "", m{"name": "Acme Corporation"})
	role := do(http.StatusCreated, "POST", "/roles", m{"name": "Editor", "permissions": []string{"teams.manage"}}).id("role")
	do(http.StatusOK, "PATCH", "/roles/"+role, m{"name": "Chief editor"})
	member := do(http.StatusCreated, "POST", "/members", m{"email": "new@acme.test", "name": "Nova New"}).id("member")
	do(http.StatusOK, "PATCH", "/members/"+member, m{"roleId": role})
	do(http.StatusOK, "PATCH", "/members/"+member, m{"name": "Nova"})
	team := do(http.StatusCreated, "POST", "/teams", m{"name": "Rockets"}).id("team")
	do(http.StatusOK, "PATCH", "/teams/"+team, m{"name": "Starships"})
	do(http.StatusOK, "PUT", "/teams/"+team+"/members/"+member, nil)
	do(http.StatusNoContent, "DELETE", "/teams/"+team+"/members/"+member, nil)
	do(http.StatusNoContent, "DELETE", "/teams/"+team, nil)
	do(http.StatusOK, "PATCH", "/subscription", m{"seats": 40})
	other := do(http.StatusCreated, "POST", "/rooms", m{"name": "launch"}).id("room")
	do(http.StatusOK, "PATCH", "/rooms/"+other, m{"name": "lift-off"})
	do(http.StatusNoContent, "DELETE", "/rooms/"+other, nil)
	message := do(http.StatusCreated, "POST", "/rooms/"+room+"/messages", m{"body": "Hello — 你好 👋"}).id("message")
	do(http.StatusOK, "PATCH", "/rooms/"+room+"/messages/"+message, m{"body": "Hello again"})
	do(http.StatusNoContent, "DELETE", "/rooms/"+room+"/messages/"+message, nil)
	do(http.StatusCreated, "POST", "/members/"+snap.Me.MemberID+"/notifications", m{"title": "Ping", "body": "for you"})
	do(http.StatusNoContent, "DELETE", "/members/"+member, nil)
	do(http.StatusNoContent, "DELETE", "/roles/"+role, nil)
	return causes
}

// TestNothingLostOverRestarts keeps two hundred tabs of all transports open
// while events flow and the server is killed, or terminated, again and again.
// Every committed entry must reach every tab exactly once and in order.
func TestNothingLostOverRestarts(t *testing.T) {
	tabCount, restarts := 200, 6
	if testing.Short() {
		tabCount, restarts = 40, 2
	}
	each(t, func(t *testing.T, dsn string) {
		p := newProcess(t, dsn)
		p.start()
		owner := login(t, p.base(), "owner")
		snap := owner.snapshot(t, "acme")
		room := snap.room(t, "general")

		users := []*user{owner, login(t, p.base(), "admin"), login(t, p.base(), "guest")}
		tabs := make([]*tab, tabCount)
		for i := range tabs {
			pick := func(attempt int) string { return transports[(i+attempt*(i%2))%len(transports)] } // odd ones change transport
			tabs[i] = openTab(t, users[i%len(users)], "acme", snap.Position, []string{room}, pick)
		}
		for _, tb := range tabs {
			tb.waitLive()
		}

		ctx, stop := context.WithCancel(context.Background())
		var writers sync.WaitGroup
		var mu sync.Mutex
		var acknowledged []string
		var sent atomic.Int64
		for w := range 4 {
			writers.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					sent.Add(1)
					a, err := users[w%3].try("POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": fmt.Sprintf("%d/%d", w, i)})
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
		random := rand.New(rand.NewPCG(1, 2))
		for i := range restarts {
			// The pause is what the test is about: how long the server lives.
			pause := time.NewTimer(time.Duration(300+random.IntN(900)) * time.Millisecond)
			<-pause.C
			if i%3 == 2 {
				p.terminate()
			} else {
				p.kill()
			}
			p.start()
		}
		stop()
		writers.Wait()

		// One more change, so that every tab has an end to reach.
		last := ""
		require.Eventually(t, func() bool {
			a, err := owner.try("POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": "the end"})
			if err != nil || a.status != http.StatusCreated {
				return false
			}
			last = a.eventID
			return true
		}, 20*time.Second, 50*time.Millisecond)
		for _, tb := range tabs {
			tb.waitCause(last)
		}

		from, err := domain.ParsePosition(snap.Position)
		require.NoError(t, err)
		entries, epoch := committedLog(t, dsn, "acme", domain.RoomChannel(room))
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
		require.Greater(t, len(want), restarts, "events flowed between the restarts")
		for i, tb := range tabs {
			var got []string
			for _, e := range tb.logged() {
				if e.Channel == string(domain.RoomChannel(room)) {
					got = append(got, e.ID)
				}
			}
			require.True(t, slices.Equal(want, got), "tab %d: %d of %d entries", i, len(got), len(want))
		}
		t.Logf("%d tabs, %d restarts, %d commands sent, %d entries: lost 0, twice 0", tabCount, restarts, sent.Load(), len(want))
	})
}
