package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"

	"github.com/orbit/realtime/domain"
)

func TestMapError(t *testing.T) {
	pg := func(code string) error { return fmt.Errorf("exec: %w", &pgconn.PgError{Code: code}) }
	for _, c := range []struct {
		err       error
		code      domain.Code
		transient bool
		rerun     bool
	}{
		{pg("08006"), domain.CodeUnavailable, true, false},
		{pg("53300"), domain.CodeUnavailable, true, false}, // too many connections
		{pg("53100"), domain.CodeUnavailable, true, false}, // disk full
		{pg("57P01"), domain.CodeUnavailable, true, false},
		{pg("57P03"), domain.CodeUnavailable, true, false},
		{pg("40001"), domain.CodeUnavailable, true, true},
		{pg("40P01"), domain.CodeUnavailable, true, true},
		{pg("23505"), domain.CodeConflict, false, false},
		{pg("23503"), domain.CodeNotFound, false, false},
		{pg("42P01"), domain.CodeInternal, false, false}, // undefined table: nobody has migrated
		{pg(""), domain.CodeInternal, false, false},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, domain.CodeUnavailable, true, false},
		{driver.ErrBadConn, domain.CodeUnavailable, true, false},
		{io.ErrUnexpectedEOF, domain.CodeUnavailable, true, false},
		{errors.New("conn closed"), domain.CodeUnavailable, true, false},
		{context.DeadlineExceeded, domain.CodeUnavailable, true, false},
		{errors.New("what?"), domain.CodeInternal, false, false},
	} {
		err := MapError(c.err)
		require.Equal(t, c.code, domain.CodeOf(err), "%v", c.err)
		require.Equal(t, c.transient, domain.IsTransient(err), "%v", c.err)
		require.Equal(t, c.rerun, retryable(err), "%v", c.err)
		require.ErrorIs(t, err, c.err, "the cause is kept for the log")
		require.Same(t, err, MapError(err), "mapped once")
	}
	require.NoError(t, MapError(nil))
	canceled := fmt.Errorf("query: %w", context.Canceled)
	require.Same(t, canceled, MapError(canceled))
}

// SQLite's own errors can only be had from SQLite.
func TestMapSQLiteErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	open := func(query string) *sql.DB {
		c, err := sqlite.NewConnector(path + query)
		require.NoError(t, err)
		db := sql.OpenDB(c)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	a, b := open("?_txlock=immediate"), open("?_txlock=immediate&_busy_timeout=0")
	_, err := a.Exec(`CREATE TABLE t (x INTEGER PRIMARY KEY)`)
	require.NoError(t, err)
	tx, err := a.Begin()
	require.NoError(t, err)
	_, busy := b.Begin()
	require.NoError(t, tx.Rollback())
	require.True(t, retryable(MapError(busy)), "%v", busy)
	require.True(t, domain.IsTransient(MapError(busy)))

	_, err = a.Exec(`PRAGMA max_page_count = 2`)
	require.NoError(t, err)
	_, full := a.Exec(`CREATE TABLE big AS SELECT randomblob(100000)`)
	require.True(t, domain.IsTransient(MapError(full)), "%v", full)
	_, missing := a.Exec(`SELECT * FROM nowhere`)
	require.Equal(t, domain.CodeInternal, domain.CodeOf(MapError(missing)))
}

// Every constraint that users can run into has its row in the table.
func TestUniqueViolationsNameTheField(t *testing.T) {
	err := MapError(&pgconn.PgError{Code: "23505", ConstraintName: "users_email"})
	var coded *domain.Error
	require.ErrorAs(t, err, &coded)
	require.Equal(t, "email", coded.Field)
	require.NotContains(t, coded.Message, "users_email", "names of ours are not for users")
}
