package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// TestARollingDeployIsNoEvent replaces one node after the other, twice around,
// while members write and read. Every tab is told to come back after a while of
// its own, and does so elsewhere; nothing is lost, nothing comes twice, and
// nobody sees anybody go.
func TestARollingDeployIsNoEvent(t *testing.T) {
	f := newFleet(t, false, "ORBIT_DRAIN=1s")
	urls := f.bases()
	names := []string{"owner", "admin", "guest"}
	users := make([]*user, 3)
	var members []string
	for i, name := range names {
		users[i] = login(t, urls[i], name)
		members = append(members, users[i].snapshot(t, "acme").Me.MemberID)
	}
	settle(t, f.dsn)
	snap := users[0].snapshot(t, "acme")
	room := snap.room(t, "general")
	var tabs []*tab
	for i := range 45 {
		at := append(append([]string{}, urls[i%3:]...), urls[:i%3]...)
		tabs = append(tabs, roam(t, users[(i/3)%3], snap.Position, []string{room}, always(transports[i%4]), at...))
	}
	for _, tb := range tabs {
		tb.waitLive()
	}
	eventually(t, "all are online for all", func() bool {
		for _, url := range urls {
			u := *users[0]
			u.base = url
			if len(u.snapshot(t, "acme").Presence) != 3 {
				return false
			}
		}
		return true
	})
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	var acknowledged []string
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			u := *users[i%3]
			u.base = urls[i%len(urls)]
			if a, err := u.try("POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": fmt.Sprint(i)}); err == nil && a.status == http.StatusCreated {
				acknowledged = append(acknowledged, a.eventID)
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	before := map[*tab]int{}
	for _, tb := range tabs {
		for _, m := range members {
			before[tb] += len(tb.flips(m))
		}
	}
	for range 2 {
		for _, p := range f.processes {
			p.terminate()
			p.start()
			login(t, p.base(), "owner") // it serves
		}
	}
	stop()
	writing.Wait()
	last := users[0].do(t, http.StatusCreated, "POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": "the end"}).eventID
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
		require.Equal(t, 1, causes[id])
	}
	delays := map[string]bool{}
	for i, tb := range tabs {
		var got []string
		for _, e := range tb.logged() {
			if e.Channel == string(domain.RoomChannel(room)) {
				got = append(got, e.ID)
			}
		}
		require.True(t, slices.Equal(want, got), "tab %d: %d of %d entries", i, len(got), len(want))
		n := 0
		for _, m := range members {
			n += len(tb.flips(m))
		}
		require.Equal(t, before[tb], n, "nobody flipped")
		for _, e := range tb.all() {
			if e.Type == "system.goodbye" {
				delays[string(e.raw)] = true
			}
		}
	}
	require.Greater(t, len(delays), 20, "each is told a time of its own")
	t.Logf("%d tabs, 6 replacements, %d entries: lost 0, twice 0, flips 0", len(tabs), len(want))
}
