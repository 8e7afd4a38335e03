package store

import (
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
}

func (s *Store) openPostgres(cfg Config) error {
	conf, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		return domain.Wrap(err, domain.CodeInvalid, "the database URL can't be read")
	}
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = 5 * time.Second
	}
	for name, value := range sessionDefaults {
		if _, given := conf.RuntimeParams[name]; !given {
			conf.RuntimeParams[name] = value
		}
	}
	n := cfg.MaxConns
	if n <= 0 {
		n = defaultMaxConns
	}
	db := stdlib.OpenDB(*conf)
	db.SetMaxOpenConns(n)
	// Idle connections are kept: to open one costs more than most statements.
	db.SetMaxIdleConns(n)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.dialect, s.read, s.write = postgresDialect, db, db
	s.locks.postgres = conf
	return nil
}
