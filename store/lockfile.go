package store

import (
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/orbit/realtime/domain"
)

// LockFile makes sure that one process alone serves a SQLite file: its lanes,
// its wake-ups and its single writer are of that process. The lock is the
// operating system's, on "<file>.lock": it ends with the process, however that
// ends. A file that is being served already is CodeConflict. On PostgreSQL,
// which any number of processes may serve, it does nothing.
func LockFile(dsn string) (release func() error, err error) {
	if DialectOf(dsn) == Postgres {
		return func() error { return nil }, nil
	}
	path, _, err := parseSQLite(dsn)
	if err != nil {
		return nil, err
	}
	if err := checkFile(path, false); err != nil {
		return nil, err
	}
	// By its real name: a link would lead to another lock and the same file.
	real := path
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		real = resolved
	}
	lock := flock.New(real + ".lock")
	ok, err := lock.TryLock()
	if err != nil {
		return nil, openError(err, err, unwritable(real+".lock"))
	}
	if !ok {
		return nil, domain.Errorf(domain.CodeConflict,
			"DATABASE_URL: another process serves the database file %s already (it holds %s.lock); stop it, or use PostgreSQL to run several", path, real)
	}
	return lock.Unlock, nil
}
