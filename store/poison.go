package store

import (
	"context"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// PoisonState is where a poison message stands.
type PoisonState string

const (
	PoisonOpen      PoisonState = "open"      // waits for an operator
	PoisonRequeued  PoisonState = "requeued"  // sent back, not handled yet
	PoisonHealed    PoisonState = "healed"    // handled after a requeue
	PoisonDiscarded PoisonState = "discarded" // dropped by an operator, with a reason
)

// PoisonAttempt is one try at handling an event.
type PoisonAttempt struct {
	At         time.Time `json:"at"`
	DurationMS float64   `json:"durationMs"`
	Error      string    `json:"error"`
}

// Poison is the full story of an event that could not be handled.
type Poison struct {
	ID         string
	State      PoisonState
	Event      domain.Event // payload and metadata untouched
	Projector  string       // the projector that failed
	Error      string       // the outermost error's text
	ErrorClass string       // panic, timeout, or the error's code or Go type
	ErrorChain []string     // each wrapped error, outermost first
	Stack      string       // for panics: the goroutine's stack at the panic
	Attempts   []PoisonAttempt
	Build      string // version of the binary that gave up
	Node       string // host and process that gave up
	Requeues   int
	Reason     string // why it was discarded
	PoisonedAt time.Time
	UpdatedAt  time.Time
}

// PoisonFilter narrows ListPoison. Zero fields match everything.
type PoisonFilter struct {
	State       PoisonState
	WorkspaceID string
	Type        domain.EventType
	Limit       int    // 1 to 1000, default 100
	After       string // id of the last one of the page before; newest first
}

// MetaPoisonID marks, in a requeued event's metadata, the poison message it
// came from. A projection carries it back as Projection.PoisonID.
const MetaPoisonID = "orbit_poison_id"

// ListPoison lists poison messages, newest first.
func (s *Store) ListPoison(ctx context.Context, f PoisonFilter) ([]Poison, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	if f.Limit < 1 || f.Limit > 1000 {
		return nil, domain.InvalidField("limit", "a page has 1 to 1000 messages, not %d", f.Limit)
	}
	return many(ctx, conn{s.read, s.dialect}, scanPoison, `SELECT `+poisonColumns+` FROM poison
		WHERE ($1 = '' OR state = $1) AND ($2 = '' OR workspace_id = $2) AND ($3 = '' OR type = $3)
			AND ($4 = '' OR (poisoned_at, id) < (SELECT a.poisoned_at, a.id FROM poison a WHERE a.id = $4))
		ORDER BY poisoned_at DESC, id DESC LIMIT $5`, string(f.State), f.WorkspaceID, string(f.Type), f.After, f.Limit)
}

// PoisonByID returns one, or an error that matches domain.ErrNotFound.
func (s *Store) PoisonByID(ctx context.Context, id string) (Poison, error) {
	return one(ctx, conn{s.read, s.dialect}, "poison message", scanPoison, `SELECT `+poisonColumns+` FROM poison WHERE id = $1`, id)
}

// RequeuePoison sends an open message back to the projector that failed, in
// one transaction, and once: if it isn't open the error is CodeConflict. The
// event keeps its id, payload and time; its metadata gains MetaPoisonID.
func (s *Store) RequeuePoison(ctx context.Context, id string) error {
	var lanes []int
	err := s.inTx(ctx, func(c conn) error {
		p, err := setPoison(ctx, c, id, `state = 'requeued', requeues = requeues + 1`)
		if err != nil {
			return err
		}
		p.Event.Metadata[MetaPoisonID] = p.ID
		if lanes, err = publish(ctx, c, Topic, []domain.Event{p.Event}); err != nil {
			return err
		}
		if len(lanes) == 0 {
			return domain.Errorf(domain.CodeConflict, "the event is waiting in the outbox already")
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.announce(map[int]bool{lanes[0]: true})
	// The operator's process seldom holds the lane. A lost wake costs the
	// holder's safety poll, nothing else.
	_ = s.Notify(ctx, lanes)
	return nil
}

// DiscardPoison drops an open message for a reason; CodeConflict if it isn't open.
func (s *Store) DiscardPoison(ctx context.Context, id, reason string) error {
	return s.inTx(ctx, func(c conn) error {
		_, err := setPoison(ctx, c, id, `state = 'discarded', reason = $3`, reason)
		return err
	})
}

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
	if p.Event.Metadata == nil { // as the lists below: an empty one, not null
		p.Event.Metadata = map[string]string{}
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
