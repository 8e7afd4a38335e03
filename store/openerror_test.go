package store_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// requireAdvice checks an error that an operator reads: one line that names the
// variable and what to do, and tells nobody the password.
func requireAdvice(t *testing.T, dsn, want string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{DSN: dsn, MustExist: true})
	if err == nil {
		require.NoError(t, s.Close())
	}
	require.ErrorContains(t, err, "DATABASE_URL: ", dsn)
	require.ErrorContains(t, err, want, dsn)
	require.NotContains(t, err.Error(), "\n", dsn)
	require.NotContains(t, err.Error(), "s3cret", dsn)
}

func TestOpenErrorsOfPostgresAdvise(t *testing.T) {
	base, err := url.Parse(storetest.EmptyDSN(t, store.Postgres))
	require.NoError(t, err)
	with := func(change func(u *url.URL)) string {
		u := *base
		u.User = url.UserPassword(base.User.Username(), "s3cret")
		change(&u)
		return u.String()
	}
	requireAdvice(t, with(func(u *url.URL) { u.User = url.UserPassword("orbit_nobody", "s3cret") }), `the user "orbit_nobody"`)
	requireAdvice(t, with(func(u *url.URL) { u.Path = "/orbit_nowhere" }), `no database "orbit_nowhere"; create it`)
	requireAdvice(t, with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), "nothing answers at 127.0.0.1:1; start PostgreSQL")
	requireAdvice(t, with(func(u *url.URL) { u.Host = "nowhere.invalid" }), `the host "nowhere.invalid"`)
	requireAdvice(t, "postgres://orbit:s3cret%@127.0.0.1/orbit", "percent-encoded")
	requireAdvice(t, "postgres://orbit:s3cret@127.0.0.1/orbit?sslmode=s3cret", "is not a URL that PostgreSQL takes")
}

// postgres:// is a whole URL to libpq: the database named like the user, on this
// machine. "orbit migrate" once made its tables there.
func TestPostgresURLNamesADatabase(t *testing.T) {
	for _, dsn := range []string{"postgres://", "postgres:///", "postgres://postgres:s3cret@127.0.0.1:5432", "postgres://127.0.0.1/?sslmode=disable"} {
		requireAdvice(t, dsn, "names no database")
	}
}

func TestOpenErrorsOfSQLiteAdvise(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o644))

	requireAdvice(t, text, "is not a SQLite database; name another file")
	requireAdvice(t, dir, "is a folder; name a file in it, such as "+filepath.Join(dir, "orbit.db"))
	requireAdvice(t, filepath.Join(dir, "no", "orbit.db"), "there is no folder "+filepath.Join(dir, "no"))
	requireAdvice(t, filepath.Join(text, "orbit.db"), "there is no folder "+text)
	requireAdvice(t, filepath.Join(dir, "mispelt.db"), `make one with "orbit migrate"`)

	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing was made by looking")
}

func TestFolderThatCantBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o555))
	path := filepath.Join(dir, "orbit.db")
	const advice = "can't be written; give this user the right"
	_, err := store.LockFile(path)
	requireCode(t, domain.CodeUnavailable, err)
	require.ErrorContains(t, err, advice)
	_, err = store.Open(t.Context(), store.Config{DSN: path})
	requireCode(t, domain.CodeUnavailable, err)
	require.ErrorContains(t, err, advice)
}
