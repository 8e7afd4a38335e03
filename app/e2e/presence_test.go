package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
