package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/store"
)

// Somebody edits a row by hand, and doesn't touch its version: an open tab shows
// it before long, and operators see that it happened.
func TestATabHealsAfterARowWasEditedByHand(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		cfg := testConfig(dsn)
		cfg.AuditRate, cfg.AuditPatience = 100_000, 100*time.Millisecond
		a := start(t, cfg)
		owner := login(t, a.BaseURL(), "owner")
		snap := owner.snapshot(t, "acme")
		tb := openTab(t, owner, "acme", snap.Position, nil, always("ws"))
		tb.waitLive()
		require.Eventually(t, func() bool { return scrape(t, a.AdminURL(), "orbit_audit_checked_total") > 0 }, 30*time.Second, 20*time.Millisecond)
		require.Zero(t, scrape(t, a.AdminURL(), "orbit_audit_repaired_total"), "nothing was wrong")

		s, err := store.Open(context.Background(), store.Config{DSN: dsn})
		require.NoError(t, err)
		defer s.Close()
		_, err = s.WriteDB().ExecContext(t.Context(), `UPDATE workspaces SET name = 'By hand' WHERE slug = 'acme'`)
		require.NoError(t, err)

		tb.waitFor("the edited name", func(tb *tab) bool {
			for _, e := range tb.events {
				if e.Type == "workspace.updated" && strings.Contains(string(e.raw), "By hand") {
					return true
				}
			}
			return false
		})
		require.Eventually(t, func() bool {
			return scrape(t, a.AdminURL(), "orbit_audit_repaired_total") == 1 && scrape(t, a.AdminURL(), "orbit_audit_divergent") == 0
		}, 30*time.Second, 20*time.Millisecond)
	})
}
