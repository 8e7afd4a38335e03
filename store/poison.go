package store

import (
	"context"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// MetaPoisonID marks, in a requeued event's metadata, the poison message it
// came from. A projection carries it back as Projection.PoisonID.
const MetaPoisonID = "orbit_poison_id"

// PoisonByID returns one, or an error that matches domain.ErrNotFound.
func (s *Store) PoisonByID(ctx context.Context, id string) (domain.Poison, error) {
	return one(ctx, conn{s.read, s.dialect}, "poison message", scanPoison, `SELECT `+poisonColumns+` FROM poison WHERE id = $1`, id)
}

// PoisonByEvent returns the poison message of an event, or an error that
// matches domain.ErrNotFound.
func (s *Store) PoisonByEvent(ctx context.Context, eventID string) (domain.Poison, error) {
	return one(ctx, conn{s.read, s.dialect}, "poison message", scanPoison, `SELECT `+poisonColumns+` FROM poison WHERE event_id = $1`, eventID)
}

// maxStale bounds what Stale lists: a workspace that has more is broken, not stale.
const maxStale = 1000

// Stale implements domain.Reader. What was discarded is left out: its tabs keep
// their badge, but who comes anew has no old data.
func (r reader) Stale(ctx context.Context, workspaceID string) ([]domain.Stale, error) {
	return many(ctx, r.conn, func(scan scanner) (s domain.Stale, err error) {
		var channels string
		if err = scan(&s.Kind, &s.Aggregate, &s.Cause, &channels); err != nil {
			return s, err
		}
		return s, fromJSON(channels, &s.Channels)
	}, `SELECT kind, aggregate_id, event_id, stale FROM poison
		WHERE workspace_id = $1 AND stale <> '[]' AND state IN ('open', 'requeued') ORDER BY seq, id LIMIT $2`, workspaceID, maxStale)
}

const poisonColumns = `id, state, version, fingerprint, place, kind, seq, told, stale, untold, ` + eventColumns + `,
	projector, error, error_class, error_chain, stack, attempts, build, node, requeues, reason, poisoned_at, updated_at`

func scanPoison(scan scanner) (p domain.Poison, err error) {
	var told, stale, chain, attempts string
	var poisoned, updated int64
	p.Event, err = scanEvent(func(event ...any) error {
		return scan(slices.Concat([]any{
			&p.ID, &p.State, &p.Version, &p.Fingerprint, &p.Where, &p.Kind, &p.Seq, &told, &stale, &p.Untold,
		}, event, []any{
			&p.Projector, &p.Error, &p.ErrorClass, &chain, &p.Stack, &attempts,
			&p.Build, &p.Node, &p.Requeues, &p.Reason, &poisoned, &updated,
		})...)
	})
	if err != nil {
		return p, err
	}
	if p.Event.Metadata == nil { // as the lists below: an empty one, not null
		p.Event.Metadata = map[string]string{}
	}
	p.PoisonedAt, p.UpdatedAt = fromMicros(poisoned), fromMicros(updated)
	p.ErrorChain, p.Attempts = []string{}, []domain.PoisonAttempt{}
	for _, list := range []struct {
		column string
		into   any
	}{{told, &p.Told}, {stale, &p.Stale}, {chain, &p.ErrorChain}, {attempts, &p.Attempts}} {
		if list.column == "[]" {
			continue
		}
		if err := fromJSON(list.column, list.into); err != nil {
			return p, err
		}
	}
	return p, nil
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// insertPoison records a failure. An event that failed before, and was
// requeued, gets its old row back: the newest error replaces the last, and what
// the event said stays as it was first.
func insertPoison(ctx context.Context, c conn, p domain.Poison, now time.Time) error {
	args := slices.Concat([]any{
		p.ID, string(p.State), p.Fingerprint, p.Where, p.Kind, p.Seq,
		toJSON(nonNil(p.Told)), toJSON(nonNil(p.Stale)), p.Untold,
	}, eventArgs(p.Event), []any{
		p.Projector, p.Error, p.ErrorClass, toJSON(nonNil(p.ErrorChain)), p.Stack, toJSON(nonNil(p.Attempts)),
		p.Build, p.Node, micros(now),
	})
	_, err := c.exec(ctx, `INSERT INTO poison (`+poisonColumns+`, failed_at)
		VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
			$23, $24, 0, '', $25, $25, $25)
		ON CONFLICT (event_id) DO UPDATE SET state = excluded.state, version = poison.version + 1,
			fingerprint = excluded.fingerprint, place = excluded.place, seq = excluded.seq,
			told = excluded.told, stale = excluded.stale, untold = excluded.untold, projector = excluded.projector,
			error = excluded.error, error_class = excluded.error_class, error_chain = excluded.error_chain,
			stack = excluded.stack, attempts = excluded.attempts, build = excluded.build, node = excluded.node,
			reason = '', updated_at = excluded.updated_at, failed_at = excluded.failed_at`, args...)
	return err
}

// fingerprintStep is how many rows fingerprintPoison takes at a time.
const fingerprintStep = 500

// fingerprintPoison gives rows from before there were fingerprints theirs, and
// the kind of their aggregate.
func (s *Store) fingerprintPoison(ctx context.Context) error {
	for {
		old, err := many(ctx, s.autocommit(), scanPoison, `SELECT `+poisonColumns+` FROM poison
			WHERE fingerprint = '' ORDER BY id LIMIT $1`, fingerprintStep)
		if err != nil || len(old) == 0 {
			return err
		}
		if err := s.inTx(ctx, func(c conn) error {
			for _, p := range old {
				fingerprint, where := domain.Fingerprint(p.Projector, p.ErrorClass, p.Stack, p.Error)
				if _, err := c.exec(ctx, `UPDATE poison SET fingerprint = $2, place = $3, kind = $4 WHERE id = $1`,
					p.ID, fingerprint, where, domain.AggregateOf(p.Event.Type)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
}
