package storetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// A database that is used again has nothing of the test before.
func TestDatabasesAreUsedAgain(t *testing.T) {
	var first string
	t.Run("first", func(t *testing.T) {
		first = DSN(t, store.Postgres)
		s := OpenDSN(t, first)
		SeedWorkspace(t, s)
		require.NoError(t, s.SetLanes(t.Context(), 9))
		lock, err := s.TryLane(t.Context(), store.Topic, 0)
		require.NoError(t, err)
		require.NotNil(t, lock, "still held when the test ends")
	})
	t.Run("second", func(t *testing.T) {
		if first == "" {
			t.Skip("no PostgreSQL")
		}
		dsn := DSN(t, store.Postgres)
		require.Equal(t, first, dsn)
		require.NotEqual(t, dsn, DSN(t, store.Postgres), "not by two tests at once")
		s := OpenDSN(t, dsn)
		require.Equal(t, 4, s.Lanes())
		lock, err := s.TryLane(t.Context(), store.Topic, 0)
		require.NoError(t, err)
		require.NotNil(t, lock)
		_, err = s.ResetEpoch(t.Context(), "")
		require.NoError(t, err)
		SeedWorkspace(t, s)
	})
}

// Whoever names a server wants it tested: one that doesn't answer once made all
// of its tests be skipped, and the run pass.
func TestANamedServerMustAnswer(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	run := exec.Command(self, "-test.run", "^TestDatabasesAreUsedAgain$")
	run.Env = append(os.Environ(), "CI=", TestDatabaseURL+"=postgres://postgres@127.0.0.1:1/postgres")
	out, err := run.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), TestDatabaseURL)
	require.Contains(t, string(out), "127.0.0.1:1")
}

const victimEnv = "ORBIT_STORETEST_VICTIM"

// What a test process made is gone after it, also when it was killed.
func TestKeeper(t *testing.T) {
	if os.Getenv(victimEnv) != "" {
		fmt.Printf("\n%s\n", DSN(t, store.Postgres))
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
	u := server(t)
	self, err := os.Executable()
	require.NoError(t, err)
	victim := exec.Command(self, "-test.run", "^TestKeeper$")
	victim.Env = append(os.Environ(), victimEnv+"=1")
	out, err := victim.Output()
	require.ErrorContains(t, err, "killed")
	lines := strings.Fields(string(out))
	name := lines[len(lines)-1]
	name = name[strings.LastIndex(name, "/")+1 : strings.Index(name, "?")]
	require.Contains(t, name, "orbit_test_")
	require.Eventually(t, func() bool {
		var n int
		admin(t, u, func(ctx context.Context, c *pgx.Conn) error {
			return c.QueryRow(ctx, "SELECT COUNT(*) FROM pg_database WHERE datname = $1", name).Scan(&n)
		})
		return n == 0
	}, 20*time.Second, 20*time.Millisecond)
}

// The last resort: no server anywhere, but PostgreSQL is installed.
func TestThrowawayCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	u, err := startCluster()
	if err != nil {
		t.Skip(err)
	}
	dsn := database(u, createDatabase(t, u, "template1"))
	s := OpenDSN(t, dsn)
	_, err = s.Migrate(t.Context())
	require.NoError(t, err)
	_, err = s.Reader().Workspace(t.Context(), "ws")
	require.ErrorIs(t, err, domain.ErrNotFound)
}
