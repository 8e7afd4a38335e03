package store

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/orbit/realtime/domain"
)

// The isolation of each kind of transaction is named, never left to a default:
// some layers take "default" for Serializable, which on PostgreSQL turns
// ordinary traffic into serialization failures. SQLite knows one level, with
// snapshots for readers and a single writer, and ignores the names.
var (
	readOptions  = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	writeOptions = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
)

const (
	maxReruns  = 5                    // of a transaction, after its first run
	rerunDelay = 5 * time.Millisecond // doubled each time, ± 50 %
)

// Reader reads committed rows, each method in autocommit: no transaction, xid
// or lock outlives a call. Projectors read through it.
func (s *Store) Reader() domain.Reader { return reader{conn{s.read, s.dialect}} }

// Read implements domain.UnitOfWork.
func (s *Store) Read(ctx context.Context, fn func(domain.Reader) error) error {
	return transact(ctx, s.read, readOptions, func(tx *sql.Tx) error {
		return fn(reader{conn{tx, s.dialect}})
	})
}

// Write implements domain.UnitOfWork. On SQLite fn must not call Write itself:
// there is one writer, and it would wait for itself.
func (s *Store) Write(ctx context.Context, fn func(domain.Tx) error) error {
	var published map[int]bool
	err := s.inTxOf(ctx, s.commands, func(c conn) error {
		t := &unitOfWork{reader: reader{c}, lanes: map[int]bool{}}
		published = t.lanes
		return fn(t)
	})
	if err == nil {
		s.announce(published)
	}
	return err
}

// unitOfWork implements domain.Tx. Its methods stand beside those of reader,
// one file per aggregate.
type unitOfWork struct {
	reader
	lanes map[int]bool // written to
}

// OnPublish registers fn, called after each commit in this process that wrote
// to the outbox, with the distinct lanes written to. fn must not block.
func (s *Store) OnPublish(fn func(lanes []int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onPublish = append(s.onPublish, fn)
}

func (s *Store) announce(lanes map[int]bool) {
	if len(lanes) == 0 {
		return
	}
	list := sortedKeys(lanes)
	s.mu.Lock()
	fns := s.onPublish
	s.mu.Unlock()
	for _, fn := range fns {
		fn(list)
	}
}

// rerun calls fn until it succeeds, fails for good, or was run often enough.
func (s *Store) rerun(ctx context.Context, fn func() error) error {
	delay := rerunDelay
	for again := 0; ; again++ {
		err := fn()
		if err == nil || !retryable(err) || again == maxReruns {
			return err
		}
		// Jitter: of two transactions that met in a deadlock, one goes first.
		select {
		case <-time.After(delay/2 + rand.N(delay)):
			delay *= 2
		case <-ctx.Done():
			return endedBy(ctx, err)
		}
	}
}

// endedBy names the context's end as the reason where database/sql has hidden
// it: it rolls a transaction back by itself when its context ends, and the
// statements after that only learn that the transaction is gone.
func endedBy(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) {
		return MapError(ctx.Err())
	}
	return err
}
