package store_test

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// listen runs Listen until the test ends and returns what it hears.
func listen(t *testing.T, s *store.Store) <-chan int {
	t.Helper()
	heard, ended := make(chan int, 100), make(chan error)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- s.Listen(ctx, func(lane int) { heard <- lane }) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, receive(t, ended, "Listen returns"), context.Canceled)
	})
	return heard
}

func TestListenOnSQLiteOnlyWaits(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	heard := listen(t, s)
	require.NoError(t, s.Notify(t.Context(), []int{1}))
	publishAll(t, s, events(1, "ws"))
	require.Empty(t, heard)
}

func TestNotifyWakesOtherProcesses(t *testing.T) {
	dsn := storetest.DSN(t, store.Postgres)
	s, other := storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)
	heard := listen(t, other)
	require.Equal(t, store.AnyLane, receive(t, heard, "connected"))

	require.NoError(t, s.Notify(t.Context(), nil))
	require.NoError(t, s.Notify(t.Context(), []int{3, 0}))
	require.ElementsMatch(t, []int{3, 0}, []int{receive(t, heard, "a lane"), receive(t, heard, "a lane")})

	p := poison(event("ws"))
	addPoison(t, s, p)
	require.NoError(t, s.RequeuePoison(t.Context(), operator, p.ID))
	require.Equal(t, store.LaneOf("ws", 4), receive(t, heard, "an operator's requeue"))
}

func TestListenReconnects(t *testing.T) {
	s := storetest.Open(t, store.Postgres)
	heard := listen(t, s)
	require.Equal(t, store.AnyLane, receive(t, heard, "connected"))
	execSQL(t, s, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'orbit listen'`)
	require.Equal(t, store.AnyLane, receive(t, heard, "what went unheard meanwhile may be on any lane"))
	require.NoError(t, s.Notify(t.Context(), []int{2}))
	require.Equal(t, 2, receive(t, heard, "a lane"))
}

// psql runs a script as a product in another language would.
func psql(t *testing.T, dsn, script string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not installed")
	}
	cmd := exec.Command(path, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", dsn)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// orbit_publish joins the transaction of whoever calls it: what is rolled back
// was never there, what is committed is in the outbox and wakes the right lane.
func TestOrbitPublish(t *testing.T) {
	dsn := storetest.DSN(t, store.Postgres)
	s := storetest.OpenDSN(t, dsn)
	require.NoError(t, s.SetLanes(t.Context(), 7))
	heard := listen(t, s)
	require.Equal(t, store.AnyLane, receive(t, heard, "connected"))

	_, err := psql(t, dsn, `CREATE TEMP TABLE invoices (id INT);
		BEGIN; INSERT INTO invoices VALUES (1);
		SELECT orbit_publish('invoices.paid', 'ws_1', 'inv_1'); ROLLBACK;`)
	require.NoError(t, err)
	require.Zero(t, value[int](t, s, `SELECT COUNT(*) FROM outbox`))

	id, err := psql(t, dsn, `CREATE TEMP TABLE invoices (id INT);
		BEGIN; INSERT INTO invoices VALUES (2);
		SELECT orbit_publish('invoices.paid', 'ws_2', 'inv_2', '{"version": 3}'); COMMIT;`)
	require.NoError(t, err)
	lane := store.LaneOf("ws_2", 7)
	require.Equal(t, lane, receive(t, heard, "the committed event's lane, and nothing of the one rolled back"))
	row := waiting(t, s, lane, 10)[0]
	require.Equal(t, id, row.Event.ID)
	require.Equal(t, domain.EventType("invoices.paid"), row.Event.Type)
	require.Equal(t, []string{"ws_2", "inv_2"}, []string{row.Event.WorkspaceID, row.Event.AggregateID})
	require.JSONEq(t, `{"version":3}`, string(row.Event.Payload))
	require.False(t, row.Event.CreatedAt.IsZero())
	require.Empty(t, row.Event.Metadata)

	// The id is a UUIDv7 of now: it sorts beside those made in Go.
	require.Len(t, id, 36)
	require.Equal(t, byte('7'), id[14])
	require.Contains(t, "89ab", id[19:20])
	millis := func(id string) int64 {
		n, err := strconv.ParseInt(strings.ReplaceAll(id[:13], "-", ""), 16, 64)
		require.NoError(t, err)
		return n
	}
	require.InDelta(t, row.Event.CreatedAt.UnixMilli(), millis(id), 1000)

	// An id given twice is one event, and no second wake.
	out, err := psql(t, dsn, `SELECT orbit_publish('a', 'ws_2', 'x', event_id => 'my-id'); SELECT orbit_publish('a', 'ws_2', 'x', '{}', 'my-id');
		SELECT orbit_publish(type => 'b', workspace_id => 'ws_1', aggregate_id => 'y')`)
	require.NoError(t, err)
	require.Equal(t, []string{"my-id", "my-id"}, strings.Split(out, "\n")[:2])
	require.Equal(t, lane, receive(t, heard, "my-id"))
	require.Equal(t, store.LaneOf("ws_1", 7), receive(t, heard, "the next event"))
	require.Equal(t, 3, value[int](t, s, `SELECT COUNT(*) FROM outbox`))

	for args, complaint := range map[string]string{
		`'', 'ws', 'x'`:                     "type must not be empty",
		`NULL, 'ws', 'x'`:                   "type must not be empty",
		`'t', '', 'x'`:                      "workspace_id must not be empty",
		`'t', 'ws', NULL`:                   "aggregate_id must not be empty",
		`'t', 'ws', 'x', '[1]'`:             "payload must be a JSON object",
		`'t', 'ws', 'x', NULL`:              "payload must be a JSON object",
		`'t', 'ws', 'x', '{}', 'no spaces'`: "event_id must be",
	} {
		out, err := psql(t, dsn, `SELECT orbit_publish(`+args+`)`)
		require.Error(t, err, args)
		require.Contains(t, out, complaint)
	}
}
