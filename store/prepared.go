package store

import (
	"context"
	"database/sql/driver"
	"io"
)

// maxPrepared bounds the statements kept per connection. Ours are about a
// hundred; texts beyond the bound are prepared for each use.
const maxPrepared = 256

// preparing is a connector whose connections keep the statements they ran. To
// parse and plan takes SQLite longer than to run most of our statements. pgx
// does the same for PostgreSQL by itself; done here, below database/sql, it
// works alike for pools and transactions, with no *sql.Stmt to carry around.
type preparing struct{ driver.Connector }

func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &preparedConn{sqliteConn: c.(sqliteConn), stmts: map[string]*preparedStmt{}}, nil
}

// sqliteConn is what a connection of modernc.org/sqlite can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// preparedConn is used by one goroutine at a time, as database/sql promises.
type preparedConn struct {
	sqliteConn
	stmts map[string]*preparedStmt
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type preparedStmt struct {
	sqliteStmt
	// busy while rows of it are open: it can't be run a second time then.
	busy bool
}

// statement returns the kept statement for a text, or nil when there is none
// to be had.
func (c *preparedConn) statement(ctx context.Context, query string) (*preparedStmt, error) {
	if s, ok := c.stmts[query]; ok {
		if s.busy {
			return nil, nil
		}
		return s, nil
	}
	if len(c.stmts) >= maxPrepared {
		return nil, nil
	}
	raw, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &preparedStmt{sqliteStmt: raw.(sqliteStmt)}
	c.stmts[query] = s
	return s, nil
}

func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &preparedRows{Rows: rows, stmt: s}, nil
}

// Close finalizes the kept statements first: SQLite doesn't close a database
// that still has some.
func (c *preparedConn) Close() error {
	for _, s := range c.stmts {
		_ = s.Close() // reports the statement's last failure, long told to its caller
	}
	clear(c.stmts)
	return c.sqliteConn.Close()
}

type preparedRows struct {
	driver.Rows
	stmt   *preparedStmt
	closed bool
}

func (r *preparedRows) Next(dest []driver.Value) error {
	if r.closed {
		return io.EOF
	}
	return r.Rows.Next(dest)
}

func (r *preparedRows) Close() error {
	if r.closed {
		return nil
	}
	r.closed, r.stmt.busy = true, false
	return r.Rows.Close()
}
