package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// Effects is all that handling a batch led to. CommitEffects applies it in one
// short transaction.
type Effects struct {
	Topic string
	Lane  int
	Epoch int64   // of the LaneLock; 0 skips the fence
	Acked []int64 // outbox rows to delete
	// Projected are the events handled with success, in order.
	Projected []Projection
	// Poisoned are the events given up. Told names the channels that are to hear
	// of it; State, Fingerprint, Where and Kind are worked out by the commit.
	Poisoned []domain.Poison
}

// Projection is one handled event.
type Projection struct {
	EventID     string
	WorkspaceID string
	// Kind and AggregateID name what was projected, and Seq the place in the outbox
	// of its event, or of the last one collapsed into it: what failed of the
	// aggregate earlier is moot now. Without a Kind nothing is.
	Kind, AggregateID string
	Seq               int64
	// Entries to append to the workspace's log; Offset is assigned by the
	// commit. May be empty (the row is gone: silence).
	Entries []domain.Entry
	// Into is the event, projected in the same commit, whose entries answer for
	// this one too; then there are none here.
	Into string
	// PoisonID is the poison message that this heals, if the event was requeued.
	PoisonID string
	// Story is kept with the dedupe mark, for Trace; nil keeps none.
	Story *Story
}

// ErrFenced says that the lane has a newer owner: nothing was written.
var ErrFenced = domain.Errorf(domain.CodeConflict, "the lane has a newer owner")

// CommitEffects writes log entries, dedupe marks and poison rows, closes poison
// that was healed or superseded, and deletes the acked outbox rows, in one
// transaction. It returns what was appended, by workspace, with offsets. An
// event that has its dedupe mark already, and isn't a requeue, appends nothing:
// whatever the bus may redeliver, the log has it once.
//
// The number of statements doesn't depend on the size of the batch, only on
// what is broken.
func (s *Store) CommitEffects(ctx context.Context, e Effects) ([]domain.Appended, error) {
	var appended []domain.Appended
	err := s.inTx(ctx, func(c conn) error {
		appended = nil
		if err := checkFence(ctx, c, e); err != nil {
			return err
		}
		now := time.Now()
		fresh, err := markProjected(ctx, c, e.Projected, now)
		if err != nil {
			return err
		}
		if err := unparted(e.Projected, fresh); err != nil {
			return err
		}
		var stale map[string]bool
		if appended, stale, err = appendEntries(ctx, c, fresh, now); err != nil {
			return err
		}
		notices, err := mend(ctx, c, fresh, e.Poisoned, stale, now)
		if err != nil {
			return err
		}
		told, _, err := appendEntries(ctx, c, notices, now)
		if err != nil {
			return err
		}
		appended = join(appended, told)
		return deleteAcked(ctx, c, s, e.Acked)
	})
	if err != nil {
		return nil, err
	}
	return appended, nil
}

// checkFence holds the lane's row until the commit, so that a new owner, who
// raises the epoch, waits for this commit or makes it fail.
func checkFence(ctx context.Context, c conn, e Effects) error {
	if e.Epoch == 0 {
		return nil
	}
	epoch, err := one(ctx, c, "lane", scanValue[int64],
		`SELECT epoch FROM lanes WHERE topic = $1 AND lane = $2`+c.d.lockShare, e.Topic, e.Lane)
	if err != nil {
		return err
	}
	if epoch != e.Epoch {
		return ErrFenced
	}
	return nil
}

// markProjected sets the dedupe marks and returns the projections that count:
// those whose mark is new, and requeues.
func markProjected(ctx context.Context, c conn, all []Projection, now time.Time) ([]Projection, error) {
	if len(all) == 0 {
		return nil, nil
	}
	marks := make([][]any, len(all))
	for i, p := range all {
		if marks[i] = []any{p.EventID, ""}; p.Story != nil {
			marks[i][1] = p.Story
		}
	}
	marked, err := many(ctx, c, scanValue[string], `INSERT INTO projected (event_id, at, trace)
		SELECT value->>0, CAST($2 AS BIGINT), value->>1 FROM `+c.d.rows+` WHERE true
		ON CONFLICT (event_id) DO NOTHING RETURNING event_id`, toJSON(marks), micros(now))
	if err != nil {
		return nil, err
	}
	isNew := make(map[string]bool, len(marked))
	for _, id := range marked {
		isNew[id] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(p Projection) bool {
		if p.PoisonID != "" {
			return false
		}
		first := isNew[p.EventID]
		isNew[p.EventID] = false // a second one in this batch
		return !first
	}), nil
}

// unparted refuses entries that would answer for an event a second time, or for
// one whose mark is set although the entries aren't appended. The fence keeps
// that from happening; who has none reads the outbox again, and learns of the marks.
func unparted(all, fresh []Projection) error {
	if len(all) == len(fresh) {
		return nil
	}
	counts := make(map[string]bool, len(fresh))
	for _, p := range fresh {
		counts[p.EventID] = true
	}
	for _, p := range all {
		if p.Into != "" && counts[p.EventID] != counts[p.Into] {
			return domain.Transient(nil, "event %s, or %s that it was collapsed into, was projected meanwhile", p.EventID, p.Into)
		}
	}
	return nil
}

// join puts what was appended second behind what was appended first.
func join(first, second []domain.Appended) []domain.Appended {
	for _, more := range second {
		i := slices.IndexFunc(first, func(a domain.Appended) bool { return a.WorkspaceID == more.WorkspaceID })
		if i < 0 {
			first = append(first, more)
		} else {
			first[i].Entries = append(first[i].Entries, more.Entries...)
		}
	}
	return first
}

// appendEntries gives each workspace's entries the offsets after its log's
// head. The logs row stays locked until the commit: offsets become visible in
// order and without gaps. It also tells in which of the workspaces something is
// stale.
func appendEntries(ctx context.Context, c conn, projections []Projection, now time.Time) ([]domain.Appended, map[string]bool, error) {
	var appended []domain.Appended
	index := map[string]int{}
	for _, p := range projections {
		if len(p.Entries) == 0 {
			continue
		}
		i, ok := index[p.WorkspaceID]
		if !ok {
			i = len(appended)
			index[p.WorkspaceID] = i
			appended = append(appended, domain.Appended{WorkspaceID: p.WorkspaceID})
		}
		appended[i].Entries = append(appended[i].Entries, p.Entries...)
	}
	if len(appended) == 0 {
		return nil, nil, nil
	}
	// Two commits lock the rows they share in the same order.
	slices.SortFunc(appended, func(a, b domain.Appended) int { return cmp.Compare(a.WorkspaceID, b.WorkspaceID) })
	stale, err := advanceHeads(ctx, c, appended)
	if err != nil {
		return nil, nil, err
	}
	return appended, stale, insertEntries(ctx, c, appended, now)
}

// advanceHeads raises each log's head by the number of its new entries, and
// numbers them. A log that isn't there is started, with an epoch of its own.
// That something is stale in a workspace is learned on the way, for a look into
// an index that is empty as a rule.
func advanceHeads(ctx context.Context, c conn, appended []domain.Appended) (map[string]bool, error) {
	rows := make([][]any, len(appended))
	byID := make(map[string]*domain.Appended, len(appended))
	for i := range appended {
		a := &appended[i]
		rows[i] = []any{a.WorkspaceID, domain.NewEpoch(), len(a.Entries)}
		byID[a.WorkspaceID] = a
	}
	type advanced struct {
		workspaceID, epoch string
		head               int64
		stale              bool
	}
	heads, err := many(ctx, c, func(scan scanner) (a advanced, err error) {
		err = scan(&a.workspaceID, &a.epoch, &a.head, &a.stale)
		return a, err
	}, `INSERT INTO logs (workspace_id, epoch, head, floor)
		SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), 0 FROM `+c.d.rows+` WHERE true
		ON CONFLICT (workspace_id) DO UPDATE SET head = logs.head + excluded.head
		RETURNING workspace_id, epoch, head,
			EXISTS (SELECT 1 FROM poison p WHERE p.workspace_id = logs.workspace_id AND p.stale <> '[]')`, toJSON(rows))
	if err != nil {
		return nil, err
	}
	var stale map[string]bool
	for _, h := range heads {
		if h.stale {
			if stale == nil {
				stale = map[string]bool{}
			}
			stale[h.workspaceID] = true
		}
		a := byID[h.workspaceID]
		a.Epoch = h.epoch
		for i := range a.Entries {
			a.Entries[i].Offset = h.head - int64(len(a.Entries)) + int64(i) + 1
		}
	}
	return stale, nil
}

func insertEntries(ctx context.Context, c conn, appended []domain.Appended, now time.Time) error {
	var rows [][]any
	for _, a := range appended {
		for _, e := range a.Entries {
			var revoke any
			if e.Revoke != nil {
				revoke = toJSON(e.Revoke)
			}
			rows = append(rows, []any{a.WorkspaceID, e.Offset, e.Channel, e.Type, string(e.Data), revoke, e.EventID, micros(e.At)})
		}
	}
	_, err := c.exec(ctx, `INSERT INTO log_entries (workspace_id, "offset", channel, type, data, revoke, event_id, at, logged_at)
		SELECT value->>0, CAST(value->>1 AS BIGINT), value->>2, value->>3, value->>4, value->>5, value->>6,
			CAST(value->>7 AS BIGINT), CAST($2 AS BIGINT)
		FROM `+c.d.rows, toJSON(rows), micros(now))
	return err
}

func deleteAcked(ctx context.Context, c conn, s *Store, acked []int64) error {
	if len(acked) == 0 {
		return nil
	}
	query, args := s.OutboxDelete(acked)
	_, err := c.exec(ctx, query, args...)
	return err
}
