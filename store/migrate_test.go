package store_test

import (
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/migrations"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// Nodes that start at once, each with a Store of its own: one applies, the
// others wait for it and find nothing to do.
func TestMigrateAtOnce(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			dsn := storetest.EmptyDSN(t, engine)
			applied := make([]int, 3)
			var g errgroup.Group
			for i := range applied {
				s := storetest.OpenDSN(t, dsn)
				current, err := s.SchemaCurrent(t.Context())
				require.NoError(t, err)
				require.False(t, current)
				g.Go(func() (err error) {
					applied[i], err = s.Migrate(t.Context())
					return err
				})
			}
			require.NoError(t, g.Wait())
			files, err := filepath.Glob("../migrations/" + string(engine) + "/*.sql")
			require.NoError(t, err)
			require.Equal(t, len(files), applied[0]+applied[1]+applied[2])

			s := storetest.OpenDSN(t, dsn)
			current, err := s.SchemaCurrent(t.Context())
			require.NoError(t, err)
			require.True(t, current)
			storetest.SeedWorkspace(t, s)
		})
	}
}

// Asking doesn't change anything: a read replica or a dry run may ask.
func TestSchemaCurrentOnlyLooks(t *testing.T) {
	for engine, query := range map[store.Dialect]string{
		store.SQLite:   `SELECT COUNT(*) FROM sqlite_master`,
		store.Postgres: `SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'`,
	} {
		t.Run(string(engine), func(t *testing.T) {
			s := storetest.OpenDSN(t, storetest.EmptyDSN(t, engine))
			_, err := s.SchemaCurrent(t.Context())
			require.NoError(t, err)
			require.Zero(t, value[int](t, s, query))
			require.Equal(t, 4, s.Lanes())
			_, err = s.Reader().Workspace(t.Context(), "ws")
			requireCode(t, domain.CodeInternal, err)
		})
	}
}

// Whoever needs the schema is told what to run, and where it was looked for.
func TestRequireSchema(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			s := storetest.OpenDSN(t, storetest.EmptyDSN(t, engine))
			err := s.RequireSchema(t.Context())
			requireCode(t, domain.CodeUnavailable, err)
			require.False(t, domain.IsTransient(err), "waiting doesn't help")
			require.ErrorContains(t, err, "no Orbit schema in")
			require.ErrorContains(t, err, `run "orbit migrate"`)

			_, err = s.Migrate(t.Context())
			require.NoError(t, err)
			require.NoError(t, s.RequireSchema(t.Context()))

			execSQL(t, s, `DELETE FROM goose_db_version WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)`)
			require.ErrorContains(t, s.RequireSchema(t.Context()), "older than this build")
		})
	}
}

// The engines have the same tables and columns, and every migration can be
// taken back and applied again.
func TestMigrationsAgree(t *testing.T) {
	columns := map[store.Dialect]string{
		store.SQLite: `SELECT group_concat(t.name || '.' || c.name, ' ' ORDER BY t.name, c.name)
			FROM sqlite_master t JOIN pragma_table_info(t.name) c
			WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE 'goose%'`,
		store.Postgres: `SELECT string_agg(table_name || '.' || column_name, ' ' ORDER BY table_name COLLATE "C", column_name COLLATE "C")
			FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'`,
	}
	found := map[store.Dialect]string{}
	for _, engine := range storetest.Engines(t) {
		s := storetest.OpenDSN(t, storetest.EmptyDSN(t, engine))
		_, err := s.Migrate(t.Context())
		require.NoError(t, err)
		found[engine] = value[string](t, s, columns[engine])

		files, err := fs.Sub(migrations.FS, string(engine))
		require.NoError(t, err)
		dialect := map[store.Dialect]goose.Dialect{store.SQLite: goose.DialectSQLite3, store.Postgres: goose.DialectPostgres}[engine]
		provider, err := goose.NewProvider(dialect, s.WriteDB().(*sql.DB), files)
		require.NoError(t, err)
		_, err = provider.DownTo(t.Context(), 0)
		require.NoError(t, err)
		require.Empty(t, value[sql.NullString](t, s, columns[engine]).String)
		_, err = s.Migrate(t.Context())
		require.NoError(t, err)
		require.Equal(t, found[engine], value[string](t, s, columns[engine]))
	}
	if len(found) == 2 {
		require.Equal(t, strings.Fields(found[store.SQLite]), strings.Fields(found[store.Postgres]))
	}
}

func TestLockFile(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "orbit.db")
	release, err := store.LockFile(dsn)
	require.NoError(t, err)
	for _, same := range []string{dsn, "file:" + dsn, "sqlite://" + dsn + "?synchronous=normal"} {
		_, err = store.LockFile(same)
		requireCode(t, domain.CodeConflict, err)
		require.ErrorContains(t, err, dsn)
	}
	// A link is the same file under another name.
	require.NoError(t, os.WriteFile(dsn, nil, 0o600))
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(dsn, link))
	_, err = store.LockFile(link)
	requireCode(t, domain.CodeConflict, err)
	require.NoError(t, release())
	release, err = store.LockFile(dsn)
	require.NoError(t, err)
	require.NoError(t, release())

	_, err = store.LockFile(filepath.Join(dsn, "no", "folder.db"))
	requireCode(t, domain.CodeUnavailable, err)
	require.ErrorContains(t, err, "there is no folder")
	folder := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(folder, 0o755))
	_, err = store.LockFile(folder)
	requireCode(t, domain.CodeUnavailable, err)
	require.ErrorContains(t, err, "is a folder")
	require.NoFileExists(t, folder+".lock")
	_, err = store.LockFile("")
	requireCode(t, domain.CodeInvalid, err)
	for range 2 {
		release, err = store.LockFile("postgres://localhost/x")
		require.NoError(t, err)
		defer func() { require.NoError(t, release()) }()
	}
}

func TestScratch(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			dsn := storetest.EmptyDSN(t, engine)
			scratch, drop, err := store.Scratch(t.Context(), dsn)
			require.NoError(t, err)
			require.NotEqual(t, dsn, scratch)
			s := storetest.OpenDSN(t, scratch)
			require.NoError(t, s.RequireSchema(t.Context()))
			require.NoError(t, s.Close())
			require.NoError(t, drop(t.Context()))
			if engine == store.SQLite {
				require.NoFileExists(t, scratch)
				return
			}
			_, err = store.Open(t.Context(), store.Config{DSN: scratch})
			require.Error(t, err)
		})
	}
}

func TestCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	s := storetest.OpenDSN(t, filepath.Join(dir, "orbit.db"))
	_, err := s.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, f := range files {
		names = append(names, f.Name())
	}
	require.Equal(t, []string{"orbit.db", "orbit.db.migrate.lock"}, names, "a closed database needs no -wal beside it")
}

// Messages that were poisoned by an older build belong to groups like any other.
func TestOldPoisonGetsItsFingerprint(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			s := storetest.OpenDSN(t, storetest.EmptyDSN(t, engine))
			_, err := s.Migrate(t.Context())
			require.NoError(t, err)
			ev := event("ws")
			addPoison(t, s, poison(ev), poison(event("ws")))
			want, _, err := s.ListPoison(t.Context(), domain.PoisonFilter{}, domain.Page{})
			require.NoError(t, err)
			down(t, s, 1)
			_, err = s.Migrate(t.Context())
			require.NoError(t, err)
			got, _, err := s.ListPoison(t.Context(), domain.PoisonFilter{}, domain.Page{})
			require.NoError(t, err)
			require.Equal(t, want, got)
			groups, _, err := s.PoisonGroups(t.Context(), domain.PoisonFilter{}, domain.Page{})
			require.NoError(t, err)
			require.Len(t, groups, 1)
			require.Equal(t, 2, groups[0].Counts[domain.PoisonOpen])
			require.Equal(t, want[0].PoisonedAt.UnixMilli(), groups[0].LastSeen.UnixMilli())
		})
	}
}

// down takes the schema back to a version.
func down(t *testing.T, s *store.Store, version int64) {
	t.Helper()
	files, err := fs.Sub(migrations.FS, string(s.Dialect()))
	require.NoError(t, err)
	dialect := goose.DialectSQLite3
	if s.Dialect() == store.Postgres {
		dialect = goose.DialectPostgres
	}
	provider, err := goose.NewProvider(dialect, s.WriteDB().(*sql.DB), files, goose.WithDisableGlobalRegistry(true))
	require.NoError(t, err)
	_, err = provider.DownTo(t.Context(), version)
	require.NoError(t, err)
}
