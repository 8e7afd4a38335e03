package pgcluster

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// What a cluster acknowledged is in its replica, whenever the cluster dies; and
// the replica, promoted, can have one of its own.
func TestNothingAcknowledgedIsLostByAFailover(t *testing.T) {
	if _, err := Tool("pg_basebackup"); err != nil {
		t.Skip(err)
	}
	primary, err := Start(Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = primary.Remove() }) // it has crashed
	exec := func(c *Cluster, sql string) {
		conn, err := pgx.Connect(t.Context(), c.URL().String())
		require.NoError(t, err)
		defer func() { _ = conn.Close(t.Context()) }()
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	exec(primary, "CREATE TABLE kept (n int)")
	for n := range 2 {
		standby, err := primary.Standby()
		require.NoError(t, err)
		t.Cleanup(func() { _ = standby.Remove() })
		for range 50 {
			exec(primary, "INSERT INTO kept VALUES (1)")
		}
		require.NoError(t, primary.Crash())
		require.NoError(t, standby.Promote())
		conn, err := pgx.Connect(t.Context(), standby.URL().String())
		require.NoError(t, err)
		var rows int
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM kept").Scan(&rows))
		require.Equal(t, 50*(n+1), rows)
		require.NoError(t, conn.Close(t.Context()))
		primary = standby
	}
}
