package store

import (
	"context"
	"time"

	"github.com/orbit/realtime/domain"
)

// What became of events, for whoever checks the books: none of this is asked
// while serving.

// ProjectedSince returns the ids of the events projected at or after a time, as
// far as the dedupe window remembers.
func (s *Store) ProjectedSince(ctx context.Context, since time.Time) ([]string, error) {
	return many(ctx, conn{s.read, s.dialect}, scanValue[string],
		`SELECT event_id FROM projected WHERE at >= $1 ORDER BY at, event_id`, micros(since))
}

// WaitingEvents returns the ids of the events in the outbox, oldest first.
func (s *Store) WaitingEvents(ctx context.Context) ([]string, error) {
	return many(ctx, conn{s.read, s.dialect}, scanValue[string], `SELECT event_id FROM outbox ORDER BY seq`)
}

// PoisonedEvent is an event that was poisoned, and where it stands now.
type PoisonedEvent struct {
	PoisonID, EventID, AggregateID string
	State                          domain.PoisonState
}

// PoisonedSince returns the events poisoned at or after a time.
func (s *Store) PoisonedSince(ctx context.Context, since time.Time) ([]PoisonedEvent, error) {
	return many(ctx, conn{s.read, s.dialect}, func(scan scanner) (p PoisonedEvent, err error) {
		err = scan(&p.PoisonID, &p.EventID, &p.AggregateID, &p.State)
		return p, err
	}, `SELECT id, event_id, aggregate_id, state FROM poison WHERE poisoned_at >= $1 ORDER BY poisoned_at, id`, micros(since))
}

// MessagesSince returns id and body of each message of a workspace posted at or
// after a time.
func (s *Store) MessagesSince(ctx context.Context, workspaceID string, since time.Time) (map[string]string, error) {
	rows, err := many(ctx, conn{s.read, s.dialect}, func(scan scanner) (m [2]string, err error) {
		err = scan(&m[0], &m[1])
		return m, err
	}, `SELECT id, body FROM messages WHERE workspace_id = $1 AND posted_at >= $2`, workspaceID, micros(since))
	if err != nil {
		return nil, err
	}
	bodies := make(map[string]string, len(rows))
	for _, m := range rows {
		bodies[m[0]] = m[1]
	}
	return bodies, nil
}
