package e2e

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scrape reads one metric's value, 0 if it isn't there; series is its name and
// labels as exposed.
func scrape(t *testing.T, admin, series string) float64 {
	t.Helper()
	resp, err := http.Get(admin + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindSubmatch(body)
	if found == nil {
		return 0
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(t, err)
	return value
}

// What a scrape says is what happened: events, deliveries by transport,
// sessions that came, stayed and went.
func TestMetricsTellWhatHappened(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		a := start(t, testConfig(dsn))
		owner := login(t, a.BaseURL(), "owner")
		snap := owner.snapshot(t, "acme")
		general := snap.room(t, "general")
		tabs := map[string]*tab{}
		for _, transport := range transports {
			tabs[transport] = openTab(t, owner, "acme", snap.Position, []string{general}, always(transport))
			tabs[transport].waitLive()
		}
		const posted = `orbit_projections_total{outcome="projected",type="rooms.message.posted"}`
		seeded := scrape(t, a.AdminURL(), posted)
		const n = 5
		for range n {
			id := owner.do(t, 201, "POST", "/v1/workspaces/acme/rooms/"+general+"/messages", map[string]string{"body": "hello"}).eventID
			for _, tb := range tabs {
				tb.waitCause(id)
			}
		}
		is := func(series string, want float64) {
			t.Helper()
			require.Eventually(t, func() bool { return scrape(t, a.AdminURL(), series) == want }, 30*time.Second, 20*time.Millisecond, "%s %v", series, want)
		}
		is(posted, seeded+n)
		for _, transport := range []string{"ws", "sse", "poll"} {
			is(`orbit_sessions{transport="`+transport+`"}`, float64(count(tabs, transport)))
			is(`orbit_commit_to_write_seconds_count{transport="`+transport+`"}`, float64(n*count(tabs, transport)))
		}
		is(`orbit_http_requests_total{method="POST",route="/v1/workspaces/:slug/rooms/:id/messages",status="201"}`, n)
		is(`orbit_http_requests_total{method="GET",route="/v1/ws",status="101"}`, float64(count(tabs, "ws")))
		is(`orbit_lane_owned{lane="0"}`, 1)
		is(`orbit_database_up`, 1)
		require.NotZero(t, scrape(t, a.AdminURL(), `orbit_resumes_total{outcome="resumed"}`))

		for _, tb := range tabs {
			tb.close()
		}
		is(`orbit_sessions{transport="ws"}`, 0)
	})
}

// count tells how many tabs use a transport, whatever dialect of it they speak.
func count(tabs map[string]*tab, transport string) (n int) {
	for name := range tabs {
		if name == transport || transport == "ws" && regexp.MustCompile(`^ws`).MatchString(name) {
			n++
		}
	}
	return n
}
