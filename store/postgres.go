package store

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/orbit/realtime/domain"
)

const defaultMaxConns = 20

func (s *Store) openPostgres(cfg Config) error {
	conf, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		return domain.Wrap(err, domain.CodeInvalid, "the database URL can't be read")
	}
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = 5 * time.Second
	}
	if _, ok := conf.RuntimeParams["application_name"]; !ok {
		conf.RuntimeParams["application_name"] = "orbit"
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
