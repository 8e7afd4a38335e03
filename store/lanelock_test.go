package store_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func take(t testing.TB, s *store.Store, topic string, lane int) store.LaneLock {
	t.Helper()
	l, err := s.TryLane(t.Context(), topic, lane)
	require.NoError(t, err)
	return l
}

func requireLost(t testing.TB, l store.LaneLock) {
	t.Helper()
	receive(t, l.Lost(), "the lock is reported lost")
}

func requireKept(t testing.TB, l store.LaneLock) {
	t.Helper()
	select {
	case <-l.Lost():
		require.FailNow(t, "the lock is lost")
	default:
	}
}

// Consumers over one Store exclude each other, on both engines: an advisory
// lock alone would not, for a database session may take it twice.
func TestLaneIsHeldOnceInAProcess(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		first := take(t, s, store.Topic, 1)
		require.NotNil(t, first)
		require.Nil(t, take(t, s, store.Topic, 1))
		other := take(t, s, "another", 1)
		require.NotNil(t, other, "a lane is of a topic")
		require.NotNil(t, take(t, s, store.Topic, 2))

		first.Release()
		second := take(t, s, store.Topic, 1)
		require.NotNil(t, second)
		require.Equal(t, first.Epoch()+1, second.Epoch())
		first.Release() // once more: it isn't its own anymore
		require.Nil(t, take(t, s, store.Topic, 1))
		requireKept(t, second)

		require.NoError(t, s.Close())
		requireLost(t, second)
		requireLost(t, other)
		second.Release()
		_, err := s.TryLane(t.Context(), store.Topic, 1)
		require.Error(t, err)
		require.NoError(t, s.Close(), "closing is idempotent")
	})
}

// On SQLite, LockFile keeps other processes out, and the epoch fences one that
// came all the same. On PostgreSQL nodes share a database.
func TestOneNodeHoldsALane(t *testing.T) {
	dsn := storetest.DSN(t, store.Postgres)
	a, b := storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)
	mine := take(t, a, store.Topic, 0)
	require.NotNil(t, mine)
	require.Nil(t, take(t, b, store.Topic, 0))
	require.NotNil(t, take(t, b, store.Topic, 1))

	mine.Release()
	theirs := take(t, b, store.Topic, 0)
	require.NotNil(t, theirs)
	require.Greater(t, theirs.Epoch(), mine.Epoch())
	require.NoError(t, b.Close())
	require.NotNil(t, take(t, a, store.Topic, 0), "a node that closes gives its lanes up")
}

// The connection dies: the holder hears of it, and can take the lane again.
func TestLaneIsLostWithItsConnection(t *testing.T) {
	s := storetest.Open(t, store.Postgres)
	zero, one := take(t, s, store.Topic, 0), take(t, s, store.Topic, 1)
	requireKept(t, zero)
	execSQL(t, s, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'orbit lanes'`)
	requireLost(t, zero)
	requireLost(t, one)
	zero.Release()

	var again store.LaneLock
	eventually(t, "the lane is free again", func() bool {
		again = take(t, s, store.Topic, 0)
		return again != nil
	})
	require.Greater(t, again.Epoch(), zero.Epoch())
}

// A new owner's epoch waits for a commit of the owner before that is under way:
// that one trial may time out, but the lanes that are held stay held.
func TestSlowTakeoverKeepsOtherLanes(t *testing.T) {
	s := storetest.Open(t, store.Postgres)
	take(t, s, store.Topic, 1).Release()
	held := take(t, s, store.Topic, 0)
	// As CommitEffects does, with a commit that takes long.
	tx, err := s.WriteDB().(*sql.DB).BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), `SELECT epoch FROM lanes WHERE topic = 'events' AND lane = 1 FOR SHARE`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.TryLane(ctx, store.Topic, 1)
	require.True(t, domain.IsTransient(err), "%v", err)
	require.NoError(t, tx.Rollback())
	requireKept(t, held)
	require.NotNil(t, take(t, s, store.Topic, 1))
}

// pgx closes a connection whose query was canceled. One consumer that stops
// while it tries its lane must not cost the others theirs.
func TestCanceledTryKeepsOtherLanes(t *testing.T) {
	s := storetest.Open(t, store.Postgres)
	held := take(t, s, store.Topic, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.TryLane(ctx, store.Topic, 1)
	require.ErrorIs(t, err, context.Canceled)
	requireKept(t, held)
	require.NotNil(t, take(t, s, store.Topic, 1), "nor is the lane it tried stuck")
	require.EqualValues(t, 1, value[int](t, s, `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'orbit lanes'`))
}
