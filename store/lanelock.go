package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orbit/realtime/domain"
)

const (
	// lockClass is the first key of our advisory locks: "orbt".
	lockClass = 0x6f726274
	// lockPing is how often the connection that holds the locks is tried, and
	// lockTimeout how long it may take to answer before it counts as lost.
	lockPing    = time.Second
	lockTimeout = 2 * time.Second
)

// LaneLock is the right to consume a lane.
type LaneLock interface {
	// Epoch grows with each owner; CommitEffects refuses an older one.
	Epoch() int64
	// Lost is closed when the lock is gone (its connection died).
	Lost() <-chan struct{}
	// Release gives the lane up. Idempotent.
	Release()
}

// TryLane takes a lane, or returns nil, nil when somebody else holds it, be it
// another process or another consumer over this Store. PostgreSQL: a session
// advisory lock, on one connection of its own for all lanes of this Store.
// SQLite: the file belongs to one serving process (see LockFile), so only this
// Store's own holders count. Either way the lane's owner epoch is raised.
func (s *Store) TryLane(ctx context.Context, topic string, lane int) (LaneLock, error) {
	l := &s.locks
	l.mu.Lock()
	defer l.mu.Unlock()

	key := laneKey{topic, lane}
	switch {
	case l.closed:
		return nil, domain.Transient(nil, "the database was closed")
	case l.held[key] != nil:
		return nil, nil
	}
	if l.postgres != nil {
		if got, err := l.lock(ctx, key); err != nil || !got {
			return nil, err
		}
	}
	// Not in the session of the lock: this waits for a commit of the owner
	// before, if one is under way, and the session has other lanes to keep.
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	epoch, err := one(ctx, s.autocommit(), "lane", scanValue[int64], raiseLaneEpoch, topic, lane, s.node)
	if err != nil {
		l.unlock(advisoryUnlock, int32(lockClass), key.advisory())
		return nil, err
	}
	held := &laneLock{locks: l, key: key, epoch: epoch, lost: make(chan struct{})}
	if l.held == nil {
		l.held = map[laneKey]*laneLock{}
	}
	l.held[key] = held
	return held, nil
}

const raiseLaneEpoch = `INSERT INTO lanes (topic, lane, epoch, owner) VALUES ($1, $2, 1, $3)
	ON CONFLICT (topic, lane) DO UPDATE SET epoch = lanes.epoch + 1, owner = excluded.owner RETURNING epoch`

const advisoryUnlock = `SELECT pg_advisory_unlock($1, $2)`

type laneKey struct {
	topic string
	lane  int
}

// advisory is the second key of the lane's advisory lock.
func (k laneKey) advisory() int32 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%d", k.topic, k.lane)
	return int32(h.Sum32())
}

type laneLock struct {
	locks *laneLocks
	key   laneKey
	epoch int64
	lost  chan struct{}
}

func (l *laneLock) Epoch() int64          { return l.epoch }
func (l *laneLock) Lost() <-chan struct{} { return l.lost }
func (l *laneLock) Release()              { l.locks.release(l) }

// laneLocks are the lanes held by a Store. Advisory locks belong to a database
// session and may be taken twice by it, so held says what this Store has.
type laneLocks struct {
	postgres *pgx.ConnConfig // nil on SQLite
	node     string          // id of the run; may be empty

	mu     sync.Mutex
	held   map[laneKey]*laneLock
	closed bool
	// session holds the advisory locks; nil until the first is tried. It is
	// used under mu alone, and watched by a goroutine that ends on stop.
	session *pgx.Conn
	stop    chan struct{}
}

// lock reports whether the advisory lock could be had. The caller's context
// doesn't reach the session: pgx closes a connection whose query was canceled,
// and with it every other lane would be lost.
func (l *laneLocks) lock(ctx context.Context, key laneKey) (got bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockTimeout)
	defer cancel()
	if l.session == nil {
		if err := l.connect(ctx); err != nil {
			return false, MapError(err)
		}
	}
	if err := l.session.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, $2)`, int32(lockClass), key.advisory()).Scan(&got); err != nil {
		l.drop()
		return false, MapError(err)
	}
	return got, nil
}

func (l *laneLocks) connect(ctx context.Context) error {
	conf := l.postgres.Copy()
	conf.RuntimeParams["application_name"] = laneSession(l.node)
	session, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return err
	}
	l.session, l.stop = session, make(chan struct{})
	go l.watch(session, l.stop)
	return nil
}

// laneSession names the session that holds a node's lanes; see EvictLanes.
func laneSession(nodeID string) string { return strings.TrimSpace("orbit lanes " + nodeID) }

// watch pings the session, and declares the lanes lost when it doesn't answer.
func (l *laneLocks) watch(session *pgx.Conn, stop chan struct{}) {
	tick := time.NewTicker(lockPing)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		l.mu.Lock()
		if l.session != session {
			l.mu.Unlock()
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
		if err := session.Ping(ctx); err != nil {
			l.drop()
		}
		cancel()
		l.mu.Unlock()
	}
}

// drop gives the session up, and all lanes with it. The caller holds mu.
func (l *laneLocks) drop() {
	if l.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	_ = l.session.Close(ctx) // it is broken, or no longer of use
	close(l.stop)
	l.session = nil
	l.lose()
}

// lose tells the holders. The caller holds mu.
func (l *laneLocks) lose() {
	for key, held := range l.held {
		close(held.lost)
		delete(l.held, key)
	}
}

func (l *laneLocks) release(lock *laneLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[lock.key] != lock {
		return // released or lost before
	}
	delete(l.held, lock.key)
	l.unlock(advisoryUnlock, int32(lockClass), lock.key.advisory())
	if len(l.held) == 0 {
		l.drop()
	}
}

// unlock tells the server: when it merely sees the session end it takes its
// time, and the lane would lie idle meanwhile. The caller holds mu.
func (l *laneLocks) unlock(query string, args ...any) {
	if l.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	if _, err := l.session.Exec(ctx, query, args...); err != nil {
		l.drop()
	}
}

func (l *laneLocks) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.unlock(`SELECT pg_advisory_unlock_all()`)
	l.drop()
	l.lose()
}
