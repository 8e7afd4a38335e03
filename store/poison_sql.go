package store

import (
	"context"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

const poisonColumns = `id, state, ` + eventColumns + `, projector, error, error_class, error_chain, stack, attempts,
	build, node, requeues, reason, poisoned_at, updated_at`

func scanPoison(scan scanner) (p Poison, err error) {
	var chain, attempts string
	var poisoned, updated int64
	p.Event, err = scanEvent(func(event ...any) error {
		return scan(slices.Concat([]any{&p.ID, &p.State}, event, []any{
			&p.Projector, &p.Error, &p.ErrorClass, &chain, &p.Stack, &attempts,
			&p.Build, &p.Node, &p.Requeues, &p.Reason, &poisoned, &updated})...)
	})
	if err != nil {
		return p, err
	}
	p.PoisonedAt, p.UpdatedAt = fromMicros(poisoned), fromMicros(updated)
	p.ErrorChain, p.Attempts = []string{}, []PoisonAttempt{}
	if err := fromJSON(chain, &p.ErrorChain); err != nil {
		return p, err
	}
	return p, fromJSON(attempts, &p.Attempts)
}

// upsertPoison records a failure. An event that failed before, and was
// requeued, reopens its old row: the newest error replaces the last, attempts
// add up, and what the event said stays as it was first.
func upsertPoison(ctx context.Context, c conn, p Poison, now time.Time) error {
	before, err := many(ctx, c, scanPoison, `SELECT `+poisonColumns+` FROM poison WHERE event_id = $1`+c.d.lockUpdate, p.Event.ID)
	if err != nil {
		return err
	}
	if len(before) > 0 {
		p.Attempts = slices.Concat(before[0].Attempts, p.Attempts)
	}
	args := slices.Concat([]any{p.ID, string(PoisonOpen)}, eventArgs(p.Event), []any{
		p.Projector, p.Error, p.ErrorClass, toJSON(nonNil(p.ErrorChain)), p.Stack, toJSON(nonNil(p.Attempts)),
		p.Build, p.Node, micros(now)})
	_, err = c.exec(ctx, `INSERT INTO poison (`+poisonColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0, '', $18, $18)
		ON CONFLICT (event_id) DO UPDATE SET state = excluded.state, projector = excluded.projector,
			error = excluded.error, error_class = excluded.error_class, error_chain = excluded.error_chain,
			stack = excluded.stack, attempts = excluded.attempts, build = excluded.build, node = excluded.node,
			reason = '', updated_at = excluded.updated_at`, args...)
	return err
}

// healPoison closes the poison messages whose requeued events were handled.
func healPoison(ctx context.Context, c conn, all []Projection, now time.Time) error {
	var ids []string
	for _, p := range all {
		if p.PoisonID != "" {
			ids = append(ids, p.PoisonID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := c.exec(ctx, `UPDATE poison SET state = 'healed', updated_at = $2 WHERE `+c.d.in("id", 1),
		c.d.list(ids), micros(now))
	return err
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// setPoison moves an open message to another state and returns it.
func setPoison(ctx context.Context, c conn, id, assignments string, args ...any) (Poison, error) {
	changed, err := many(ctx, c, scanPoison, `UPDATE poison SET updated_at = $2, `+assignments+`
		WHERE id = $1 AND state = 'open' RETURNING `+poisonColumns, append([]any{id, micros(time.Now())}, args...)...)
	if err != nil || len(changed) > 0 {
		if len(changed) > 0 {
			return changed[0], nil
		}
		return Poison{}, err
	}
	state, err := one(ctx, c, "poison message", scanValue[PoisonState], `SELECT state FROM poison WHERE id = $1`, id)
	if err != nil {
		return Poison{}, err
	}
	return Poison{}, domain.Errorf(domain.CodeConflict, "the poison message is %s, not open", state)
}
