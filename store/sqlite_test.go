package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestParseSQLite(t *testing.T) {
	for dsn, want := range map[string][2]string{
		"orbit.db":                           {"orbit.db", "full"},
		"./data/orbit.db":                    {"./data/orbit.db", "full"},
		"file:orbit.db":                      {"orbit.db", "full"},
		"sqlite:orbit.db?synchronous=normal": {"orbit.db", "normal"},
		"sqlite:///var/lib/orbit.db":         {"/var/lib/orbit.db", "full"},
		"file:///tmp/x.db?synchronous=FULL":  {"/tmp/x.db", "full"},
		"/tmp/with space/ü.db":               {"/tmp/with space/ü.db", "full"},
	} {
		path, synchronous, err := parseSQLite(dsn)
		require.NoError(t, err, dsn)
		require.Equal(t, want, [2]string{path, synchronous}, dsn)
		require.Equal(t, SQLite, DialectOf(dsn))
	}
	require.Equal(t, Postgres, DialectOf("postgres://x"))
	require.Equal(t, Postgres, DialectOf("postgresql://x"))
}

func openTemp(t *testing.T, params string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{DSN: filepath.Join(t.TempDir(), "a b#c%d.db") + params})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestSQLiteIsSetUp(t *testing.T) {
	for params, synchronous := range map[string]string{"": "2", "?synchronous=normal": "1"} {
		s := openTemp(t, params)
		for _, db := range []*sql.DB{s.write, s.read} {
			for pragma, want := range map[string]string{
				"journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "1000", "synchronous": synchronous,
			} {
				var got string
				require.NoError(t, db.QueryRow("PRAGMA "+pragma).Scan(&got))
				require.Equal(t, want, got, pragma)
			}
		}
		_, err := s.read.Exec(`CREATE TABLE t (x INTEGER)`)
		require.Error(t, err, "readers can't write")
	}
}

// Statements are kept per connection, and one whose rows are open is not run a
// second time over them.
func TestPreparedStatements(t *testing.T) {
	s := openTemp(t, "")
	_, err := s.write.Exec(`CREATE TABLE t (x INTEGER)`)
	require.NoError(t, err)
	tx, err := s.write.Begin()
	require.NoError(t, err)
	for i := range 3 {
		_, err := tx.Exec(`INSERT INTO t (x) VALUES ($1)`, i)
		require.NoError(t, err)
	}
	const query = `SELECT x FROM t WHERE x >= $1 ORDER BY x`
	var from func(low int) int
	from = func(low int) (sum int) { // f(3) = 0, f(2) = 20, f(1) = 10+f(2)+20, …
		rows, err := tx.Query(query, low)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var x int
			require.NoError(t, rows.Scan(&x))
			sum += 10*x + from(x+1)
		}
		require.NoError(t, rows.Err())
		return sum
	}
	require.Equal(t, 100, from(0))
	require.NoError(t, tx.Commit())

	// A schema that changed doesn't break a kept statement.
	_, err = s.write.Exec(`ALTER TABLE t ADD COLUMN y INTEGER DEFAULT 7`)
	require.NoError(t, err)
	var n int
	require.NoError(t, s.write.QueryRow(query, 2).Scan(&n))
	require.Equal(t, 2, n)

	// More texts than are kept; kept ones are really used.
	c, err := s.write.Conn(t.Context())
	require.NoError(t, err)
	for i := range maxPrepared + 10 {
		_, err := c.ExecContext(t.Context(), `SELECT `+toJSON(i))
		require.NoError(t, err)
	}
	require.NoError(t, c.Raw(func(raw any) error {
		require.Len(t, raw.(*preparedConn).stmts, maxPrepared)
		require.Contains(t, raw.(*preparedConn).stmts, query)
		return nil
	}))
	require.NoError(t, c.Close())
}

// An interrupted statement leaves its connection, and its kept statements, in
// order.
func TestPreparedStatementIsInterrupted(t *testing.T) {
	s := openTemp(t, "")
	const endless = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n WHERE i < $1`
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 1e7)
		_, err := one(ctx, conn{s.read, s.dialect}, "x", scanValue[int], endless, 1)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, domain.IsTransient(err))
		n, err := one(t.Context(), conn{s.read, s.dialect}, "x", scanValue[int], `SELECT $1`, 42)
		require.NoError(t, err)
		require.Equal(t, 42, n)
	}
}
