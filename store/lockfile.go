package store

import (
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
	lock := flock.New(path + ".lock")
	ok, err := lock.TryLock()
	if err != nil {
		return nil, openError(err, err, unwritable(path+".lock"))
	}
	if !ok {
		return nil, domain.Errorf(domain.CodeConflict,
			"DATABASE_URL: another process serves the database file %s already (it holds %s.lock); stop it, or use PostgreSQL to run several", path, path)
	}
	return lock.Unlock, nil
}
