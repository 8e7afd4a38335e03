package store

import (
	"crypto/md5"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"net/url"
	"runtime"
	"strings"

	"modernc.org/sqlite"

	"github.com/orbit/realtime/domain"
)

func init() {
	// PostgreSQL has orbit_hash in SQL; SQLite has no MD5 and asks Go, so that
	// the statements which choose a lane read the same.
	sqlite.MustRegisterDeterministicScalarFunction("orbit_hash", 1,
		func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			id, ok := args[0].(string)
			if !ok {
				return nil, fmt.Errorf("orbit_hash: a text is needed, not %T", args[0])
			}
			return int64(laneHash(id)), nil
		})
}

// laneHash is the first four bytes, big endian, of the MD5 of a workspace's id.
func laneHash(workspaceID string) uint32 {
	sum := md5.Sum([]byte(workspaceID))
	return binary.BigEndian.Uint32(sum[:4])
}

// openSQLite opens two pools on the file. All writes go through a single
// connection, whose transactions start with BEGIN IMMEDIATE: a transaction that
// starts as a reader and then wants to write fails with SQLITE_BUSY_SNAPSHOT
// whenever somebody else wrote in between, and no waiting mends that. Readers
// have connections of their own that can't write; in WAL mode neither waits
// for the other.
func (s *Store) openSQLite(cfg Config) error {
	path, synchronous, err := parseSQLite(cfg.DSN)
	if err != nil {
		return err
	}
	if err := checkFile(path, cfg.MustExist); err != nil {
		return err
	}
	// With synchronous=FULL the WAL is synced at every commit: what was
	// committed survives a power cut.
	common := url.Values{
		"_busy_timeout": {"1000"}, // milliseconds; the transaction is run again after that
		"_foreign_keys": {"1"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {synchronous},
		"_dqs":          {"0"}, // "x" is a column or an error, never a string
	}
	open := func(conns int, extra ...string) (*sql.DB, error) {
		q := url.Values{}
		for k, v := range common {
			q[k] = v
		}
		for i := 0; i < len(extra); i += 2 {
			q.Set(extra[i], extra[i+1])
		}
		base, err := sqlite.NewConnector(path + "?" + q.Encode())
		if err != nil {
			return nil, domain.Wrap(err, domain.CodeInvalid, "the database file %s can't be opened", path)
		}
		db := sql.OpenDB(preparing{base})
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		return db, nil
	}
	if s.write, err = open(1, "_txlock", "immediate"); err != nil {
		return err
	}
	s.commands = s.write // there is but one writer
	// Readers are bound by CPU, not by waiting: more of them than this only
	// cost memory (each has a page cache of 2 MB).
	if s.read, err = open(max(4, runtime.NumCPU()), "_query_only", "1"); err != nil {
		return err
	}
	s.dialect, s.sqlitePath = sqliteDialect, path
	return nil
}

// parseSQLite takes a DSN apart: "orbit.db", "file:orbit.db?synchronous=normal",
// "sqlite:orbit.db", "sqlite:///var/lib/orbit.db".
func parseSQLite(dsn string) (path, synchronous string, err error) {
	path, query, _ := strings.Cut(dsn, "?")
	for _, scheme := range []string{"file:", "sqlite:"} {
		if rest, ok := strings.CutPrefix(path, scheme); ok {
			path = strings.TrimPrefix(rest, "//") // an authority, which must be empty
			break
		}
	}
	switch {
	case path == "":
		return "", "", domain.InvalidField("dsn", "the database URL is empty; give a file such as orbit.db, or postgres://…")
	case strings.Contains(path, ":memory:"):
		return "", "", domain.InvalidField("dsn", "an in-memory database can't be shared by several connections; give a file")
	case strings.Contains(path, "://"):
		return "", "", domain.InvalidField("dsn", "the database URL must be postgres://… or a SQLite file")
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return "", "", domain.Wrap(err, domain.CodeInvalid, "the parameters of the database URL can't be read")
	}
	synchronous = "full"
	for name, values := range params {
		if name != "synchronous" {
			return "", "", domain.InvalidField("dsn", "unknown parameter %q; a SQLite file takes synchronous=full or synchronous=normal", name)
		}
		synchronous = strings.ToLower(values[0])
	}
	if synchronous != "full" && synchronous != "normal" {
		return "", "", domain.InvalidField("dsn", "synchronous must be full or normal, not %q", synchronous)
	}
	return path, synchronous, nil
}
