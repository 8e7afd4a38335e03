// Package storetest gives tests a migrated database of their own, on every
// engine there is: SQLite always, in a temporary file, and PostgreSQL where one
// answers (see server). Everything is gone when the test ends.
package storetest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// Engine is a database engine under test.
type Engine = store.Dialect

var engines = []Engine{store.SQLite, store.Postgres}

// Engines lists the engines that can be tested on here. Without PostgreSQL that
// is SQLite alone; the test fails if CI is "true" or a server was named that
// doesn't answer.
func Engines(t testing.TB) []Engine {
	t.Helper()
	if _, err := found(); err != nil && !required() {
		return []Engine{store.SQLite}
	}
	server(t)
	return engines
}

// Each runs fn as one subtest per engine, each over an empty, migrated
// database. Without PostgreSQL its subtest is skipped, or fails as Engines does.
func Each(t *testing.T, fn func(t *testing.T, s *store.Store)) {
	t.Helper()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) { fn(t, Open(t, engine)) })
	}
}

// Open returns a Store over an empty, migrated database, closed at the end of
// the test.
func Open(t testing.TB, engine Engine) *store.Store {
	t.Helper()
	return OpenDSN(t, DSN(t, engine))
}

// OpenDSN opens one more Store, for tests with several processes on a database.
func OpenDSN(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{DSN: dsn})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // most tests that care have closed it
	return s
}

// DSN names an empty, migrated database, for this test alone. A test that
// changes the schema takes EmptyDSN and migrates it: databases are used again.
func DSN(t testing.TB, engine Engine) string {
	t.Helper()
	if engine == store.Postgres {
		return migratedPostgres(t)
	}
	dsn := EmptyDSN(t, store.SQLite)
	migrate(t, dsn)
	return dsn
}

// EmptyDSN names a database without any schema, dropped at the end of the test.
func EmptyDSN(t testing.TB, engine Engine) string {
	t.Helper()
	if engine == store.Postgres {
		return emptyPostgres(t)
	}
	return filepath.Join(t.TempDir(), "orbit.db")
}

func migrate(t testing.TB, dsn string) {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{DSN: dsn})
	require.NoError(t, err)
	_, err = s.Migrate(context.Background())
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// SeedWorkspace writes a workspace with the three system roles, a subscription
// of 100 seats and one member, its owner. It publishes nothing.
func SeedWorkspace(t testing.TB, s *store.Store) (domain.Workspace, domain.Member, map[domain.RoleKind]domain.Role) {
	t.Helper()
	now := domain.At(time.Now())
	w := domain.Workspace{ID: domain.NewID("ws"), Version: 1, Name: "Test"}
	w.Slug = "test-" + w.ID[len(w.ID)-12:]
	roles := map[domain.RoleKind]domain.Role{}
	for kind, permissions := range map[domain.RoleKind][]domain.Permission{
		domain.RoleOwner: domain.Permissions,
		domain.RoleAdmin: withoutBilling(),
		domain.RoleGuest: {},
	} {
		roles[kind] = domain.Role{
			ID: domain.NewID("rol"), Version: 1, WorkspaceID: w.ID, Kind: kind,
			Name: string(kind), Permissions: permissions, System: true,
		}
	}
	user := domain.User{ID: domain.NewID("usr"), Email: w.Slug + "@example.com", Name: "Owner"}
	owner := domain.Member{
		ID: domain.NewID("mem"), Version: 1, WorkspaceID: w.ID, UserID: user.ID,
		Name: user.Name, Email: user.Email, RoleID: roles[domain.RoleOwner].ID, JoinedAt: now,
	}
	require.NoError(t, s.Write(context.Background(), func(tx domain.Tx) error {
		ctx := context.Background()
		if err := tx.InsertWorkspace(ctx, w); err != nil {
			return err
		}
		for _, r := range roles {
			if err := tx.InsertRole(ctx, r); err != nil {
				return err
			}
		}
		if err := tx.InsertSubscription(ctx, domain.Subscription{
			ID: domain.NewID("sub"), Version: 1, WorkspaceID: w.ID, Plan: "team", Seats: 100,
			Status: domain.SubscriptionActive, RenewsAt: domain.At(now.AddDate(0, 1, 0)),
		}); err != nil {
			return err
		}
		if err := tx.InsertUser(ctx, user); err != nil {
			return err
		}
		return tx.InsertMember(ctx, owner)
	}))
	return w, owner, roles
}

func withoutBilling() []domain.Permission {
	var list []domain.Permission
	for _, p := range domain.Permissions {
		if p != domain.PermBillingManage {
			list = append(list, p)
		}
	}
	return list
}
