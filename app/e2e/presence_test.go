package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/store"
)

// flips returns what a tab was told of a member's presence, in order.
func (tb *tab) flips(memberID string) (online []bool) {
	for _, e := range tb.all() {
		if e.Type == "presence.update" && e.MemberID == memberID {
			online = append(online, e.Online)
		}
	}
	return online
}

// lived tells how often the tab was live.
func (tb *tab) lived() int {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.lives
}

// recordedOnline returns the members who are on record as online on any node.
func recordedOnline(t *testing.T, dsn string) map[string]bool {
	s, err := store.Open(context.Background(), store.Config{DSN: dsn})
	require.NoError(t, err)
	defer s.Close()
	changes, err := s.PresenceSince(context.Background(), "", nil)
	require.NoError(t, err)
	online := map[string]bool{}
	for _, c := range changes {
		if c.Online {
			online[c.MemberID] = true
		}
	}
	return online
}

func (tb *tab) waitFlips(memberID string, want ...bool) {
	tb.t.Helper()
	require.Eventually(tb.t, func() bool { return len(tb.flips(memberID)) >= len(want) }, 30*time.Second, 10*time.Millisecond)
	require.Equal(tb.t, want, tb.flips(memberID))
}

// TestPresenceFlipsOnFirstAndLastSession opens a member's tabs on all
// transports, one after the other, and closes them again: the workspace hears
// of the first and of the last, and of nothing in between.
func TestPresenceFlipsOnFirstAndLastSession(t *testing.T) {
	cfg := testConfig(sqliteDSN(t))
	cfg.PresenceGrace, cfg.PollLease = 200*time.Millisecond, 200*time.Millisecond
	a := start(t, cfg)
	owner, guest := login(t, a.BaseURL(), "owner"), login(t, a.BaseURL(), "guest")
	snap, guestID := owner.snapshot(t, "acme"), guest.snapshot(t, "acme").Me.MemberID
	witness := openTab(t, owner, "acme", snap.Position, nil, always("ws"))
	witness.waitLive()

	var tabs []*tab
	for _, transport := range transports {
		tb := openTab(t, guest, "acme", "", nil, always(transport))
		tb.waitLive()
		require.Empty(t, tb.flips(guestID), "one's own arrival is in system.hello")
		tabs = append(tabs, tb)
	}
	require.Contains(t, owner.snapshot(t, "acme").Presence, guestID)
	for _, tb := range tabs {
		tb.close()
	}
	witness.waitFlips(guestID, true, false)
	require.NotContains(t, owner.snapshot(t, "acme").Presence, guestID)
}

// TestABlipFlipsNobody drops a member's only connection without a word and
// brings it back within the grace.
func TestABlipFlipsNobody(t *testing.T) {
	cfg := testConfig(sqliteDSN(t))
	cfg.PresenceGrace = time.Minute
	a := start(t, cfg)
	owner, guest := login(t, a.BaseURL(), "owner"), login(t, a.BaseURL(), "guest")
	guestID := guest.snapshot(t, "acme").Me.MemberID
	witness := openTab(t, owner, "acme", "", nil, always("ws"))
	witness.waitLive()
	for range 3 {
		tb := openTab(t, guest, "acme", "", nil, always("ws"))
		tb.waitLive()
		tb.close() // cuts the connection; no close frame
	}
	end := owner.do(t, 200, "PATCH", "/v1/workspaces/acme", map[string]any{"name": "After the blips"}).eventID
	witness.waitCause(end)
	witness.waitFlips(guestID, true)
	require.True(t, slices.Contains(owner.snapshot(t, "acme").Presence, guestID))
}

// TestARestartFlipsNobody ends the server, once in order and once by kill -9,
// while two members are online. Both come back within the grace, one after the
// other: neither sees the other leave or arrive, nor a hello without them.
func TestARestartFlipsNobody(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		p := newProcess(t, dsn)
		p.env = append(p.env, "ORBIT_PRESENCE_GRACE=1m")
		p.start()
		owner, guest := login(t, p.base(), "owner"), login(t, p.base(), "guest")
		ownerID, guestID := owner.snapshot(t, "acme").Me.MemberID, guest.snapshot(t, "acme").Me.MemberID
		first := openTab(t, owner, "acme", "", nil, always("ws"))
		first.waitLive()
		second := openTab(t, guest, "acme", "", nil, always("sse"))
		second.waitLive()
		first.waitFlips(guestID, true)
		require.Eventually(t, func() bool { return len(recordedOnline(t, dsn)) == 2 }, 20*time.Second, 20*time.Millisecond)

		for _, end := range []func(){p.terminate, p.kill} {
			before := map[*tab]int{first: first.lived(), second: second.lived()}
			end()
			p.start()
			for tb, lives := range before {
				tb.waitFor("another connection", func(tb *tab) bool { return tb.lives > lives })
			}
		}
		for _, tb := range []*tab{first, second} {
			for _, e := range tb.all() {
				if e.Type == "system.hello" && e.Resumed {
					require.Contains(t, string(e.raw), ownerID)
					require.Contains(t, string(e.raw), guestID)
				}
			}
		}
		require.Equal(t, []bool{true}, first.flips(guestID))
		require.Empty(t, second.flips(ownerID))
	})
}
