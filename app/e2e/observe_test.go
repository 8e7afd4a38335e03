package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func ask(t *testing.T, url string, into any) int {
	t.Helper()
	status, body := admin(t, http.MethodGet, url, "")
	if status == http.StatusOK {
		require.NoError(t, json.Unmarshal([]byte(body), into), body)
	}
	return status
}

// trace is a part of what the admin API answers.
type trace struct {
	State                               string
	PublishedAt, ClaimedAt, CommittedAt *time.Time
	Node                                string
	Entries                             []struct {
		Channel string
		Writes  []domain.TraceWrite
	}
	Session *struct{ Verdicts []string }
}

// "Why didn't this tab see it?", from outside: the whole way of an event, and
// of one tab that couldn't.
func TestTraceTellsTheWayToTheTabs(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		cfg := testConfig(dsn)
		cfg.Node = "the-node"
		a := start(t, cfg)
		owner, guest := login(t, a.BaseURL(), "owner"), login(t, a.BaseURL(), "guest")
		snap := owner.snapshot(t, "acme")
		general := snap.room(t, "general")
		for _, transport := range transports {
			openTab(t, owner, "acme", snap.Position, []string{general}, always(transport)).waitLive()
		}
		elsewhere := openTab(t, guest, "acme", snap.Position, nil, always("ws")) // not in the room
		elsewhere.waitLive()

		id := owner.do(t, 201, "POST", "/v1/workspaces/acme/rooms/"+general+"/messages", map[string]string{"body": "hello"}).eventID
		var got trace
		require.Eventually(t, func() bool {
			got = trace{}
			if ask(t, a.AdminURL()+"/admin/v1/trace/"+id, &got) != http.StatusOK || len(got.Entries) != 1 {
				return false
			}
			written := map[string]int{}
			for _, w := range got.Entries[0].Writes {
				written[w.Transport] += w.Live
			}
			return written["ws"] == 2 && written["sse"] == 1 && written["poll"] == 1
		}, 30*time.Second, 50*time.Millisecond)
		require.Equal(t, domain.TraceProjected, got.State)
		require.Equal(t, "the-node", got.Node)
		require.Equal(t, "the-node", got.Entries[0].Writes[0].Node)
		require.Equal(t, "room:"+general, got.Entries[0].Channel)
		for _, at := range []*time.Time{got.PublishedAt, got.ClaimedAt, got.CommittedAt} {
			require.NotNil(t, at)
		}
		require.False(t, got.ClaimedAt.Before(got.PublishedAt.Truncate(time.Millisecond)))

		member := guest.snapshot(t, "acme").Me.MemberID
		require.Equal(t, http.StatusOK, ask(t, a.AdminURL()+"/admin/v1/trace/"+id+"?tab="+member, &got))
		require.Len(t, got.Session.Verdicts, 1)
		require.Contains(t, got.Session.Verdicts[0], "may subscribe, and has not")
		require.Equal(t, http.StatusNotFound, ask(t, a.AdminURL()+"/admin/v1/trace/"+domain.NewEventID(), nil))
	})
}

// At 3 a.m. "stalled" is half an answer. Somebody's forgotten transaction holds
// the log's table: the verdict names it, and is healthy again when it is gone.
func TestTheVerdictNamesWhoBlocks(t *testing.T) {
	if len(storetest.Engines(t)) < 2 {
		t.Skip("no PostgreSQL")
	}
	dsn := storetest.DSN(t, store.Postgres)
	cfg := testConfig(dsn)
	cfg.StallLimit, cfg.LagLimit = time.Second, time.Second
	a := start(t, cfg)
	owner := login(t, a.BaseURL(), "owner")

	conf, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	conf.RuntimeParams["application_name"] = "alice at 3 am"
	psql, err := pgx.ConnectConfig(t.Context(), conf)
	require.NoError(t, err)
	defer psql.Close(t.Context())
	_, err = psql.Exec(t.Context(), "BEGIN; LOCK TABLE log_entries IN EXCLUSIVE MODE")
	require.NoError(t, err)
	owner.do(t, 201, "POST", "/v1/workspaces/acme/teams", map[string]string{"name": "Waiting"})

	verdict := func() domain.Verdict {
		var s struct{ Verdict domain.Verdict }
		require.Equal(t, http.StatusOK, ask(t, a.AdminURL()+"/admin/v1/status", &s))
		return s.Verdict
	}
	require.Eventually(t, func() bool {
		v := verdict()
		why := strings.Join(v.Why, "\n")
		return v.State == "stalled" && strings.Contains(why, "nothing has moved for") &&
			strings.Contains(why, "alice at 3 am") && strings.Contains(why, "LOCK TABLE log_entries")
	}, 40*time.Second, 200*time.Millisecond)

	_, err = psql.Exec(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return verdict().State == "healthy" }, 40*time.Second, 100*time.Millisecond)
}
