package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/user"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/migrations"
	"github.com/orbit/realtime/store/pgcluster"
)

// TestDatabaseURL names the environment variable with the PostgreSQL server
// that tests may create databases on.
const TestDatabaseURL = "ORBIT_TEST_DATABASE_URL"

// found is the server of this test process, looked for once.
var found = sync.OnceValues(findServer)

// server returns the URL of a PostgreSQL server: the one the environment names,
// else one that answers on this machine, else a throwaway cluster.
func server(t testing.TB) *url.URL {
	t.Helper()
	u, err := found()
	if err == nil {
		return u
	}
	if required() {
		t.Fatalf("no PostgreSQL to test on, and it must not be skipped (CI=true, or %s is set): %v", TestDatabaseURL, err)
	}
	t.Skipf("no PostgreSQL to test on: %v", err)
	return nil
}

// required reports whether tests fail without PostgreSQL: in CI, and for
// whoever named a server, and would take a skip for a pass.
func required() bool { return os.Getenv("CI") == "true" || os.Getenv(TestDatabaseURL) != "" }

func findServer() (*url.URL, error) {
	if given := os.Getenv(TestDatabaseURL); given != "" {
		u, err := url.Parse(given)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", TestDatabaseURL, err)
		}
		if err := answers(u); err != nil {
			return nil, fmt.Errorf("%s: %w", TestDatabaseURL, err)
		}
		return u, nil
	}
	names := []string{"postgres"}
	if me, err := user.Current(); err == nil {
		names = append(names, me.Username)
	}
	for _, name := range names {
		u := &url.URL{Scheme: "postgres", User: url.User(name), Host: "127.0.0.1:5432", Path: "/postgres", RawQuery: "sslmode=disable"}
		if answers(u) == nil {
			return u, nil
		}
	}
	return startCluster()
}

// startCluster makes a cluster that the keeper removes after this process.
func startCluster() (*url.URL, error) {
	c, err := pgcluster.Start(pgcluster.Config{Made: func(pgCtl, dir string) error { return tellKeeper("stop", pgCtl, dir) }})
	if err != nil {
		return nil, fmt.Errorf("nothing answers on 127.0.0.1:5432, and no cluster can be made: %w", err)
	}
	return c.URL(), nil
}

func answers(u *url.URL) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// createDatabase makes a database that the test drops, or the keeper.
func createDatabase(t testing.TB, u *url.URL, from string) string {
	t.Helper()
	name := "orbit_test_" + domain.NewEpoch() + domain.NewEpoch()
	require.NoError(t, tellKeeper("drop", u.String(), name))
	admin(t, u, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, from))
		return err
	})
	return name
}

// emptyPostgres names a database without a schema, for one test.
func emptyPostgres(t testing.TB) string {
	t.Helper()
	u := server(t)
	name := createDatabase(t, u, "template1")
	t.Cleanup(func() { drop(t, u, name) })
	return database(u, name)
}

// spare are migrated databases that a test of this process is done with. To
// create one takes half a second, to empty one some milliseconds.
var spare struct {
	sync.Mutex
	names []string
}

// migratedPostgres names an empty, migrated database, for one test at a time.
func migratedPostgres(t testing.TB) string {
	t.Helper()
	u := server(t)
	spare.Lock()
	var name string
	if n := len(spare.names); n > 0 {
		name, spare.names = spare.names[n-1], spare.names[:n-1]
	}
	spare.Unlock()
	if name == "" {
		name = createDatabase(t, u, template(t, u))
	}
	t.Cleanup(func() {
		if err := empty(u, name); err != nil {
			t.Logf("%s is dropped instead of used again: %v", name, err)
			drop(t, u, name)
			return
		}
		spare.Lock()
		defer spare.Unlock()
		spare.names = append(spare.names, name)
	})
	return database(u, name)
}

// empty ends what is still connected, locks and all, and deletes every row.
// TRUNCATE would take ten times as long: it makes new files.
func empty(u *url.URL, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, database(u, name))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }() // the statement's error counts
	_, err = c.Exec(ctx, `DO $$
		DECLARE t TEXT;
		BEGIN
			IF NOT (SELECT COALESCE(bool_and(pg_terminate_backend(pid, 5000)), true) FROM pg_stat_activity
					WHERE datname = current_database() AND pid <> pg_backend_pid()
						AND backend_type = 'client backend') THEN
				RAISE 'a connection does not end';
			END IF;
			SET LOCAL session_replication_role = replica; -- no foreign keys to mind the order for
			FOR t IN SELECT tablename FROM pg_tables
					WHERE schemaname = 'public' AND tablename NOT IN ('settings', 'goose_db_version') LOOP
				EXECUTE format('DELETE FROM %I', t);
			END LOOP;
			UPDATE settings SET lanes = DEFAULT;
		END $$`)
	return err
}

func drop(t testing.TB, u *url.URL, name string) {
	t.Helper()
	admin(t, u, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		return err
	})
}

// template returns the name of a migrated database to copy. It is named after
// the migrations and stays on the server, for the next package and the next run.
func template(t testing.TB, u *url.URL) string {
	t.Helper()
	name := "orbit_template_" + migrationsHash(t)
	admin(t, u, func(ctx context.Context, c *pgx.Conn) error {
		// Packages are tested side by side: one makes it, the others wait.
		if _, err := c.Exec(ctx, "SELECT pg_advisory_lock(hashtext('orbit_template'))"); err != nil {
			return err
		}
		var n int
		if err := c.QueryRow(ctx, "SELECT COUNT(*) FROM pg_database WHERE datname = $1", name).Scan(&n); err != nil || n > 0 {
			return err
		}
		// It gets its name when it is complete: a test that was killed in
		// between leaves no half-made template behind.
		draft := name + "_draft"
		for _, stmt := range []string{"DROP DATABASE IF EXISTS " + draft, "CREATE DATABASE " + draft} {
			if _, err := c.Exec(ctx, stmt); err != nil {
				return err
			}
		}
		migrate(t, database(u, draft))
		_, err := c.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", draft, name))
		return err
	})
	return name
}

func migrationsHash(t testing.TB) string {
	t.Helper()
	h := sha256.New()
	require.NoError(t, fs.WalkDir(migrations.FS, "postgres", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(migrations.FS, path)
		fmt.Fprintf(h, "%s %d\n", path, len(raw))
		h.Write(raw)
		return err
	}))
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func admin(t testing.TB, u *url.URL, fn func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, u.String())
	require.NoError(t, err)
	defer func() { _ = c.Close(ctx) }() // the statement's error counts
	require.NoError(t, fn(ctx, c))
}

func database(u *url.URL, name string) string {
	named := *u
	named.Path = "/" + strings.TrimPrefix(name, "/")
	return named.String()
}
