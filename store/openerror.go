package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/orbit/realtime/domain"
)

// What can be wrong with a database that is opened is mostly what the operator
// wrote into DATABASE_URL. These errors name it, say what to do, and hold the
// driver's cause once, on one line, and no password.

// postgresOpenError says why a server doesn't let us in.
func postgresOpenError(conf *pgx.ConnConfig, err error) error {
	server := net.JoinHostPort(conf.Host, fmt.Sprint(conf.Port))
	mend := fmt.Sprintf("the database at %s can't be opened; check it, and the URL", server)
	var cause error
	var pg *pgconn.PgError
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case errors.As(err, &pg):
		cause = pg
		switch pg.Code {
		case "28000", "28P01": // invalid authorization, invalid password
			mend = fmt.Sprintf("%s refuses the user %q; correct user and password, or create the role", server, conf.User)
		case "3D000":
			mend = fmt.Sprintf("%s has no database %q; create it, or name another", server, conf.Database)
		case "42501":
			mend = fmt.Sprintf("the user %q may not connect to %q; grant it, or use another user", conf.User, conf.Database)
		}
	case errors.As(err, &dns):
		cause, mend = dns, fmt.Sprintf("the host %q is unknown; correct it", conf.Host)
	case errors.As(err, &dial):
		cause = dial
		mend = fmt.Sprintf("nothing answers at %s; start PostgreSQL there, or correct host and port", server)
		if dial.Timeout() {
			mend = fmt.Sprintf("%s does not answer in time; correct host and port, or look at the firewalls between", server)
		}
	case pgconn.Timeout(err):
		cause = errors.New("timeout")
		mend = fmt.Sprintf("%s does not answer in time; correct host and port, or look at the firewalls between", server)
	default:
		// Whatever else it is, pgconn tells it once for each address and TLS
		// mode that was tried.
		cause = innermost(err)
	}
	return openError(err, cause, mend)
}

// sqliteOpenError says why a file can't be used.
func sqliteOpenError(path string, err error) error {
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return MapError(err)
	}
	mend := fmt.Sprintf("the file %s can't be opened; check it", path)
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		mend = fmt.Sprintf("the file %s is not a SQLite database; name another file", path)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		mend = unwritable(path)
	}
	return openError(err, lite, mend)
}

// checkFile finds what is wrong with the path of a SQLite file before anything
// is made beside it. It doesn't open the file: to close it again would take
// away the locks that this process holds on it (POSIX).
func checkFile(path string, mustExist bool) error {
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return openError(nil, nil, fmt.Sprintf("%s is a folder; name a file in it, such as %s", path, filepath.Join(path, "orbit.db")))
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
		return openError(err, err, fmt.Sprintf("the file %s can't be opened; check it", path))
	}
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return openError(nil, nil, fmt.Sprintf("there is no folder %s; create it, or name a file in another", folder))
	}
	if mustExist {
		return openError(nil, nil, fmt.Sprintf(`there is no database file %s; correct the path, or make one with "orbit migrate"`, path))
	}
	return nil
}

func unwritable(path string) string {
	return fmt.Sprintf("%s can't be written; give this user the right to write the file and its folder, or name another file", path)
}

// openError is transient where err is: a database that is starting may be
// waited for.
func openError(err, cause error, mend string) error {
	opening := domain.Wrap(cause, domain.CodeUnavailable, "DATABASE_URL: %s", mend)
	opening.Transient = domain.IsTransient(MapError(err))
	return opening
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		var joined interface{ Unwrap() []error }
		if next == nil && errors.As(err, &joined) {
			next = joined.Unwrap()[0]
		}
		if next == nil {
			return err
		}
		err = next
	}
}
