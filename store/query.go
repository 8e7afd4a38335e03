package store

import (
	"cmp"
	"context"
	"database/sql"
	"time"

	"github.com/orbit/realtime/domain"
)

// conn is where a statement runs: a pool (autocommit) or a transaction.
type conn struct {
	DB
	d dialect
}

// patience is how long a statement or a transaction may take, unless the caller
// says otherwise: a database that swallows packets without closing the
// connection must not hold anybody for ever.
const patience = 15 * time.Second

// upkeepPatience is patience for what goes through whole tables.
const upkeepPatience = 10 * time.Minute

// bounded gives ctx a deadline if it has none.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}

// scanner reads the columns of the current row.
type scanner func(dest ...any) error

// one runs a query for at most one row. Its absence is CodeNotFound, and what
// names the thing in the message.
func one[T any](ctx context.Context, c conn, what string, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	all, err := many(ctx, c, scan, query, args...)
	if err != nil || len(all) == 0 {
		var none T
		if err == nil {
			err = domain.Errorf(domain.CodeNotFound, "no such %s", what)
		}
		return none, err
	}
	return all[0], nil
}

// many runs a query and collects its rows. The result is never nil.
func many[T any](ctx context.Context, c conn, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, MapError(err)
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		v, err := scan(rows.Scan)
		if err != nil {
			// When the context ends, database/sql closes the rows under the
			// scan, and only Err knows why.
			return nil, MapError(cmp.Or(rows.Err(), err))
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, MapError(err)
	}
	return all, nil
}

// exec runs a statement and returns how many rows it touched.
func (c conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	res, err := c.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, MapError(err)
	}
	n, err := res.RowsAffected()
	return n, MapError(err)
}

// scanValue scans a row of one column.
func scanValue[T any](scan scanner) (v T, err error) {
	err = scan(&v)
	return v, err
}

// update runs an UPDATE of an aggregate that is guarded by its version, and
// tells a missing row from one whose version is not lower than the new one.
// The first three arguments of the statement are version, workspace and id.
func (c conn) update(ctx context.Context, table, what string, query string, version int64, workspaceID, id string, rest ...any) error {
	n, err := c.exec(ctx, query, append([]any{version, workspaceID, id}, rest...)...)
	if err != nil || n > 0 {
		return err
	}
	stored, err := one(ctx, c, what, scanValue[int64],
		`SELECT version FROM `+table+` WHERE workspace_id = $1 AND id = $2`, workspaceID, id)
	if err != nil {
		return err
	}
	return staleVersion(what, version, stored)
}

func staleVersion(what string, version, stored int64) error {
	return domain.Errorf(domain.CodeConflict, "the %s was changed meanwhile: it is at version %d, not below %d", what, stored, version)
}

// remove runs a DELETE that must hit a row.
func (c conn) remove(ctx context.Context, what, query string, args ...any) error {
	n, err := c.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return domain.Errorf(domain.CodeNotFound, "no such %s", what)
	}
	return err
}

// inTx runs fn in one transaction, again when the engine asks for it.
func (s *Store) inTx(ctx context.Context, fn func(conn) error) error {
	return s.inTxOf(ctx, s.write, fn)
}

func (s *Store) inTxOf(ctx context.Context, db *sql.DB, fn func(conn) error) error {
	return s.rerun(ctx, func() error {
		return transact(ctx, db, writeOptions, func(tx *sql.Tx) error {
			return fn(conn{tx, s.dialect})
		})
	})
}

// transact commits when fn returns nil, and rolls back otherwise, also when fn
// panics.
func transact(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return MapError(err)
	}
	// After a commit this does nothing; otherwise its error adds nothing to
	// the one on its way.
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return endedBy(ctx, err)
	}
	return endedBy(ctx, MapError(tx.Commit()))
}
