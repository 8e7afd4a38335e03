package prove_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/app/failpoint"
	"github.com/orbit/realtime/app/prove"
	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/config"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server runs a whole server in this process, with failpoints in the middle.
func server(t *testing.T, change func(*config.Config)) (*prove.Server, string, *failpoint.Set) {
	t.Helper()
	c := prove.Settings(config.Default())
	c.DatabaseURL = storetest.DSN(t, store.SQLite) + "?synchronous=normal"
	c.Addr, c.AdminAddr = "127.0.0.1:0", "127.0.0.1:0"
	c.LogLevel, c.Drain = "error", 0
	if change != nil {
		change(&c)
	}
	points := failpoint.New("")
	a, err := app.New(c, app.Between(points.Middle()), app.LogTo(t.Output()))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	select {
	case <-a.Ready():
	case err := <-done:
		t.Fatalf("the server ended at once: %v", err)
	}
	return &prove.Server{URL: a.BaseURL(), AdminURL: a.AdminURL()}, c.DatabaseURL, points
}

// run watches the server for some seconds.
func run(t *testing.T, s *prove.Server, dsn string, nemeses ...string) *prove.Report {
	t.Helper()
	report, err := prove.Run(t.Context(), prove.Options{
		Server: s, DatabaseURL: dsn, Engine: store.SQLite, Seed: 3, Duration: 7 * time.Second, Nemeses: nemeses,
		Workspaces: 2, Clients: 9, Rate: 100, Progress: t.Output(),
	})
	require.NoError(t, err)
	return report
}

// The checker finds nothing in a server that does well.
func TestNothingIsFoundInASoundServer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	s, dsn, _ := server(t, nil)
	report := run(t, s, dsn, "cut", "republish", "trim")
	require.Empty(t, report.Rounds[0].Violations)
	require.Greater(t, report.Rounds[0].Deliveries, 1000)
}

// The checker is checked: each mistake that somebody could make is planted, once
// in the whole run where once is enough, and found for what it is.
func TestEveryPlantedBugIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds each")
	}
	once := "every=150"
	for _, bug := range []struct {
		name, option string
		found        string // by this invariant, whatever else breaks with it
		nemeses      []string
		config       func(*config.Config)
	}{
		{"drop", once, check.Complete, nil, nil},
		{"swap", once, check.Ordered, nil, nil},
		{"repeat", "every=20", check.Once, nil, nil},
		{"leak", once, check.Isolated, nil, nil},
		{"phantom", once, check.Phantom, nil, nil},
		{"removed", "every=1", check.Isolated, nil, nil},
		{"offline", "every=1", check.Presence, nil, nil},
		{"dedupe", once, check.Complete, nil, nil},
		{"silent", once, check.Complete, nil, nil},
		{"expire", "every=1", check.Complete, []string{"partition"}, func(c *config.Config) { c.RingSize = 16 }},
	} {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			s, dsn, points := server(t, bug.config)
			require.NoError(t, points.Order(fmt.Sprintf("bug %s %s", bug.name, bug.option)))
			nemeses := bug.nemeses
			if nemeses == nil {
				nemeses = []string{"cut"}
			}
			report := run(t, s, dsn, nemeses...)
			require.Contains(t, report.Broken(), bug.found, "%v", report.Rounds[0].Violations)
			require.NotContains(t, report.Broken(), check.Harness)
		})
	}
}
