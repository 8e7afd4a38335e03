package e2e

import (
	"context"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
)

// TestShutdownOrder holds the message in hand while the server is told to end,
// and looks at each step: unready and refusing first, the message finished and
// delivered, only then the tabs sent away.
func TestShutdownOrder(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		inHand, release := make(chan struct{}), make(chan struct{})
		table := maps.Clone(handlers.Table())
		project := table[domain.EventMemberUpdated]
		table[domain.EventMemberUpdated] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			close(inHand)
			<-release
			return project(ctx, read, ev)
		}
		cfg := testConfig(dsn)
		cfg.HandlerTimeout = time.Minute
		a, err := app.New(cfg, app.LogTo(t.Output()), app.Projectors(table))
		require.NoError(t, err)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		<-a.Ready()
		settle(t, dsn)

		owner := login(t, a.BaseURL(), "owner")
		snap := owner.snapshot(t, "acme")
		ws := openTab(t, owner, "acme", snap.Position, nil, always("ws"))
		sse := openTab(t, owner, "acme", snap.Position, nil, always("sse"))
		ws.waitLive()
		sse.waitLive()
		change := owner.do(t, http.StatusOK, "PATCH", "/v1/workspaces/acme/members/"+snap.Me.MemberID, map[string]any{"name": "The last change"}).eventID
		<-inHand
		stop()

		status := func(url string) int {
			req, err := http.NewRequest(http.MethodGet, url, nil)
			require.NoError(t, err)
			req.AddCookie(owner.cookie)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return 0
			}
			defer resp.Body.Close()
			return resp.StatusCode
		}
		require.Eventually(t, func() bool {
			return status(a.AdminURL()+"/readyz") == http.StatusServiceUnavailable &&
				status(a.BaseURL()+"/v1/probe?workspace=acme") == http.StatusServiceUnavailable
		}, 20*time.Second, 10*time.Millisecond)
		require.Equal(t, http.StatusOK, status(a.AdminURL()+"/healthz"), "unready, but alive")
		for _, tb := range []*tab{ws, sse} {
			for _, e := range tb.all() {
				require.NotEqual(t, "system.goodbye", e.Type, "nobody is sent away before the lanes have ended")
			}
		}
		close(release)
		require.NoError(t, <-ended)
		for _, tb := range []*tab{ws, sse} {
			tb.waitFor("goodbye", func(tb *tab) bool {
				return len(tb.events) > 0 && tb.events[len(tb.events)-1].Type == "system.goodbye"
			})
			tb.waitCause(change)
		}
	})
}
