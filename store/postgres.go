package store

import (
	"database/sql"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/orbit/realtime/domain"
)

const defaultMaxConns = 20

// sessionDefaults are settings of every connection, unless the URL has others.
// When a node's host vanishes without a goodbye, the server finds out within
// about ten seconds and drops its locks; by default that takes two hours.
var sessionDefaults = map[string]string{
	"application_name":        "orbit",
	"tcp_keepalives_idle":     "4", // seconds
	"tcp_keepalives_interval": "2", // seconds
	"tcp_keepalives_count":    "3",
	// Whoever waits longer for a row gets "try later" rather than an answer at
	// some time.
	"lock_timeout": "3s",
	// A node that hangs in the middle of a transaction keeps its locks from
	// nobody for longer than this.
	"idle_in_transaction_session_timeout": "10s",
}

// namesDatabase reports whether a PostgreSQL URL says which database it means.
func namesDatabase(dsn string) bool {
	u, err := url.Parse(dsn)
	if err != nil {
		return false
	}
	query := u.Query()
	return strings.Trim(u.Path, "/") != "" || query.Get("dbname") != "" || query.Get("database") != ""
}

// parsePostgres reads a URL and adds our defaults.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	conf, err := pgx.ParseConfig(dsn)
	if err != nil {
		// Without the cause, which may hold the password.
		return nil, domain.InvalidField("dsn", "DATABASE_URL: is not a URL that PostgreSQL takes; use postgres://user:password@host:5432/database, with special characters percent-encoded")
	}
	if !namesDatabase(dsn) {
		// libpq's default is the database named like the user, and that one
		// may well belong to something else.
		return nil, domain.InvalidField("dsn", "DATABASE_URL: names no database; use postgres://user:password@host:5432/database")
	}
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = 5 * time.Second
	}
	for name, value := range sessionDefaults {
		if _, given := conf.RuntimeParams[name]; !given {
			conf.RuntimeParams[name] = value
		}
	}
	return conf, nil
}

func (s *Store) openPostgres(cfg Config) error {
	conf, err := parsePostgres(cfg.DSN)
	if err != nil {
		return err
	}
	n := cfg.MaxConns
	if n <= 0 {
		n = defaultMaxConns
	}
	pool := func(conns int) *sql.DB {
		db := stdlib.OpenDB(*conf)
		db.SetMaxOpenConns(conns)
		// Idle connections are kept: to open one costs more than most statements.
		db.SetMaxIdleConns(conns)
		db.SetConnMaxIdleTime(5 * time.Minute)
		return db
	}
	// Commands that queue for one workspace's lock can take every connection of
	// their pool. Readers, and the bus, have others to go on with.
	s.dialect = postgresDialect
	s.commands, s.read, s.write = pool(max(1, n/2)), pool(max(1, n/4)), pool(max(1, n-n/2-n/4))
	s.locks.postgres = conf
	return nil
}
