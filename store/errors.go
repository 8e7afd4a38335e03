package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/orbit/realtime/domain"
)

// failure is what an engine's error comes down to.
type failure int

const (
	failUnknown   failure = iota
	failAway              // the database can't be reached, is shutting down, full or overloaded
	failRerun             // serialization failure, deadlock, writer lock: run the transaction again
	failUnique            // a unique value is taken
	failReference         // a foreign key points nowhere, or is still pointed at
)

// postgresFailures maps SQLSTATE codes, or their two-character classes
// (PostgreSQL manual, appendix A).
var postgresFailures = map[string]failure{
	"08":    failAway, // connection exception
	"53":    failAway, // insufficient resources: too many connections, disk full, out of memory
	"57P01": failAway, // admin shutdown
	"57P02": failAway, // crash shutdown
	"57P03": failAway, // cannot connect now: starting up
	"57P05": failAway, // idle session timeout
	"57014": failAway, // query canceled by statement_timeout (our own cancel ends in a context error)
	"58":    failAway, // system error: I/O
	"25006": failAway, // read-only transaction: a standby, a failover is going on
	"55P03": failAway, // lock not available: lock_timeout
	"3D000": failAway, // no such database: being created or restored
	"40001": failRerun,
	"40P01": failRerun,
	"23505": failUnique,
	"23503": failReference,
}

// sqliteFailures maps result codes, extended or primary (sqlite.org/rescode.html).
var sqliteFailures = map[int]failure{
	sqlite3.SQLITE_BUSY:                  failRerun,
	sqlite3.SQLITE_LOCKED:                failRerun,
	sqlite3.SQLITE_FULL:                  failAway,
	sqlite3.SQLITE_IOERR:                 failAway,
	sqlite3.SQLITE_CANTOPEN:              failAway,
	sqlite3.SQLITE_NOMEM:                 failAway,
	sqlite3.SQLITE_READONLY:              failAway,
	sqlite3.SQLITE_CONSTRAINT_UNIQUE:     failUnique,
	sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: failUnique,
	sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: failReference,
}

// uniques tells what to say about a unique value that is taken. PostgreSQL
// names the constraint, SQLite the columns.
var uniques = []struct{ postgres, sqlite, field, message string }{
	{"users_email", "users.email", "email", "this e-mail address is taken"},
	{"workspaces_slug", "workspaces.slug", "slug", "this slug is taken"},
	{"roles_name", "roles.workspace_id, roles.name_key", "name", "a role of this name exists"},
	{"teams_name", "teams.workspace_id, teams.name_key", "name", "a team of this name exists"},
	{"rooms_name", "rooms.workspace_id, rooms.name_key", "name", "a room of this name exists"},
	{"members_user", "members.workspace_id, members.user_id", "userId", "this user is a member already"},
	{"subscriptions_pkey", "subscriptions.workspace_id", "workspaceId", "the workspace has a subscription already"},
}

// MapError turns an error of a driver, database/sql or the network into a
// *domain.Error: unique violations into CodeConflict with Field set, references
// to missing rows into CodeNotFound, a database that is away into a transient
// CodeUnavailable, anything else into CodeInternal. A canceled context passes
// through untouched (errors.Is(err, context.Canceled) holds), and so does what
// is mapped already. The package's own methods have applied it.
func MapError(err error) error {
	var coded *domain.Error
	switch {
	case err == nil, errors.As(err, &coded), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return domain.Transient(err, "the database did not answer in time")
	}
	switch classify(err) {
	case failAway:
		return domain.Transient(err, "the database is not available")
	case failRerun:
		return domain.Transient(err, "the database is busy")
	case failUnique:
		for _, u := range uniques {
			if violates(err, u.postgres, u.sqlite) {
				taken := domain.Wrap(err, domain.CodeConflict, "%s", u.message)
				taken.Field = u.field
				return taken
			}
		}
		return domain.Wrap(err, domain.CodeConflict, "it exists already")
	case failReference:
		return domain.Wrap(err, domain.CodeNotFound, "something it refers to does not exist")
	}
	return domain.Wrap(err, domain.CodeInternal, "unexpected database error")
}

// retryable reports whether running the transaction again may help.
func retryable(err error) bool { return classify(err) == failRerun }

func classify(err error) failure {
	// Before the code: whatever a server says while it refuses a connection
	// (not now, not you, not this database), nothing was done, and it may be
	// mended without us.
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return failAway
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if f, ok := postgresFailures[pg.Code]; ok {
			return f
		}
		return postgresFailures[pg.Code[:min(2, len(pg.Code))]]
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		if f, ok := sqliteFailures[lite.Code()]; ok {
			return f
		}
		return sqliteFailures[lite.Code()&0xff]
	}
	if isConnectionError(err) {
		return failAway
	}
	return failUnknown
}

// isConnectionError knows the shapes in which a lost connection shows itself.
func isConnectionError(err error) bool {
	var network net.Error
	switch {
	case errors.As(err, &network):
		return true
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return true
	}
	// Unexported by pgconn and database/sql.
	text := err.Error()
	return strings.Contains(text, "conn closed") || strings.Contains(text, "sql: database is closed")
}

// violates reports whether a unique violation is of the constraint given by its
// PostgreSQL name and its columns on SQLite.
func violates(err error, constraint, columns string) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.ConstraintName == constraint
	}
	// "constraint failed: UNIQUE constraint failed: users.email (2067)"
	_, rest, ok := strings.Cut(err.Error(), "UNIQUE constraint failed: ")
	return ok && strings.HasPrefix(rest, columns+" (")
}
