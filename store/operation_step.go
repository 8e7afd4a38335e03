package store

import (
	"context"
	"fmt"
	"time"

	"github.com/orbit/realtime/domain"
)

// maxStep bounds the items that one step begins: its transaction holds the
// single writer of SQLite, or rows that lanes want to close.
const maxStep = 200

// burst is how much of the rate may be saved up while nothing ran.
const burst = 250 * time.Millisecond

// ActiveOperations lists the operations with something left to do, or to wait
// for, oldest first.
func (s *Store) ActiveOperations(ctx context.Context) ([]string, error) {
	return many(ctx, conn{s.read, s.dialect}, scanValue[string],
		`SELECT id FROM operations WHERE active ORDER BY created_at, id`)
}

// step is one step of an operation, under its row's lock.
type step struct {
	conn
	op    domain.Operation
	by    domain.Act
	next  int64 // when the rate allows the next item, in microseconds
	now   time.Time
	lanes map[int]bool
}

// StepOperation takes an operation a step further: it notes the outcome of what
// is in flight, and begins as much as stage and rate allow. All of it is one
// transaction that holds the operation's row, and all it goes by is in the
// database: it doesn't matter which process takes the step, or whether the one
// that took the last step still lives. active is false when nothing is left.
func (s *Store) StepOperation(ctx context.Context, id string) (active bool, err error) {
	var lanes map[int]bool
	err = s.inTx(ctx, func(c conn) error {
		st := &step{conn: c, now: time.Now(), lanes: map[int]bool{}}
		lanes = st.lanes
		active, err = st.run(ctx, id)
		return err
	})
	if err == nil {
		s.wakeLanes(ctx, lanes)
	}
	return active, err
}

func (st *step) run(ctx context.Context, id string) (bool, error) {
	if err := st.load(ctx, id); err != nil {
		return false, err
	}
	if err := st.settle(ctx); err != nil {
		return false, err
	}
	list := []domain.Operation{st.op}
	if err := countItems(ctx, st.conn, list); err != nil {
		return false, err
	}
	st.op = list[0]
	if err := st.judge(ctx); err != nil {
		return false, err
	}
	if st.op.State == domain.OperationRunning {
		if err := st.begin(ctx); err != nil {
			return false, err
		}
	}
	active := st.op.InFlight > 0 || st.op.State == domain.OperationRunning
	var finished int64
	if st.op.FinishedAt != nil {
		finished = micros(st.op.FinishedAt.Time)
	}
	_, err := st.exec(ctx, `UPDATE operations SET state = $2, stage = $3, why = $4, next_at = $5, active = $6, finished_at = $7 WHERE id = $1`,
		id, string(st.op.State), st.op.Stage, st.op.Why, st.next, active, finished)
	return active, err
}

func (st *step) load(ctx context.Context, id string) error {
	var err error
	st.op, err = one(ctx, st.conn, "operation", func(scan scanner) (domain.Operation, error) {
		return scanOperation(func(dest ...any) error { return scan(append(dest, &st.by.Role, &st.by.Via, &st.next)...) })
	}, `SELECT id, kind, state, filter, reason, operator, total, stage, per_second, why, created_at, finished_at, role, via, next_at
		FROM operations WHERE id = $1`+st.d.lockUpdate, id)
	st.by.Operator, st.by.Reason = st.op.Operator, st.op.Reason
	return err
}

// settle notes the outcome of requeued items. Whoever requeued one again after
// it had failed did so because it had failed.
func (st *step) settle(ctx context.Context) error {
	settled, err := many(ctx, st.conn, func(scan scanner) (outcome []any, err error) {
		var n int
		var state, detail string
		err = scan(&n, &state, &detail)
		return []any{n, state, detail, 0}, err
	}, `SELECT i.n, CASE
				WHEN p.id IS NULL OR p.state = 'discarded' THEN 'skipped'
				WHEN p.state IN ('healed', 'superseded') THEN 'succeeded'
				ELSE 'failed' END,
			CASE
				WHEN p.id IS NULL THEN 'the message is gone'
				WHEN p.state IN ('healed', 'superseded', 'discarded') THEN p.state
				ELSE substr(p.error, 1, 500) END
		FROM operation_items i LEFT JOIN poison p ON p.id = i.poison_id
		WHERE i.operation_id = $1 AND i.state = 'inFlight'
			AND (p.id IS NULL OR p.state <> 'requeued' OR p.requeues > i.requeues)`, st.op.ID)
	if err != nil || len(settled) == 0 {
		return err
	}
	return st.write(ctx, settled)
}

// write sets items to n, state, detail and requeues. It is an upsert, of rows
// that are all there, because either engine finds their keys one by one then,
// and doesn't go through the table for each.
func (st *step) write(ctx context.Context, items [][]any) error {
	_, err := st.exec(ctx, `INSERT INTO operation_items (operation_id, n, poison_id, fingerprint, state, detail, requeues, at)
		SELECT $2, CAST(value->>0 AS INT), '', '', value->>1, value->>2, CAST(value->>3 AS INT), CAST($3 AS BIGINT) FROM `+st.d.rows+` WHERE true
		ON CONFLICT (operation_id, n) DO UPDATE SET state = excluded.state, detail = excluded.detail,
			requeues = excluded.requeues, at = excluded.at`, toJSON(items), st.op.ID, micros(st.now))
	return err
}

// judge stops the operation, ends it, or opens its next stage.
func (st *step) judge(ctx context.Context) error {
	op := &st.op
	if op.State != domain.OperationRunning {
		return nil
	}
	if op.Failed > 0 {
		again, err := st.recurred(ctx)
		if err != nil {
			return err
		}
		switch {
		case again != "":
			return st.finish(ctx, domain.OperationStopped, again)
		case op.Stage < op.Total:
			return st.finish(ctx, domain.OperationStopped, "a message of the canary failed again, with another error")
		}
	}
	if op.Pending == 0 && op.InFlight == 0 {
		return st.finish(ctx, domain.OperationDone, "")
	}
	if settled := op.Succeeded + op.Failed + op.Skipped; op.Stage < op.Total && op.InFlight == 0 && settled >= op.Stage {
		op.Stage = min(nextStage(settled, op.Succeeded, op.Total), op.Total)
	}
	return nil
}

// nextStage is how many items may begin once all of the stage before are
// settled. What was skipped proves nothing, and another takes its place.
func nextStage(settled, succeeded, total int) int {
	switch {
	case succeeded < canary:
		return settled + canary - succeeded
	case succeeded < canaries:
		return settled + canaries - succeeded
	}
	return total
}

// recurred returns the reason to stop: a message that failed with the
// fingerprint which it was requeued for.
func (st *step) recurred(ctx context.Context) (string, error) {
	found, err := many(ctx, st.conn, scanValue[string], `SELECT i.poison_id FROM operation_items i JOIN poison p ON p.id = i.poison_id
		WHERE i.operation_id = $1 AND i.state = 'failed' AND p.fingerprint = i.fingerprint ORDER BY i.n LIMIT 1`, st.op.ID)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return fmt.Sprintf("message %s failed again for the same reason", found[0]), nil
}

func (st *step) finish(ctx context.Context, state domain.OperationState, why string) error {
	at := domain.At(st.now)
	st.op.State, st.op.Why, st.op.FinishedAt = state, why, &at
	if state == domain.OperationDone {
		return nil
	}
	return record(ctx, st.conn, entryOf(st.by, "operation.stop", st.op.ID, auditDone, why), st.now)
}

// item is a message's place in the operation.
type item struct {
	n        int
	poisonID string
	fits     bool // its message is in the state for it
}

// begin takes pending items, as many as stage and rate allow.
func (st *step) begin(ctx context.Context) error {
	op := &st.op
	n := st.allowance()
	if n <= 0 {
		return nil
	}
	items, err := st.pick(ctx, n)
	if err != nil {
		return err
	}
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.poisonID
	}
	fit, err := many(ctx, st.conn, scanPoison, `SELECT `+poisonColumns+` FROM poison
		WHERE `+st.d.in("id", 1)+` AND state = $2 ORDER BY id`+st.d.lockUpdate, st.d.list(ids), string(selects[op.Kind]))
	if err != nil {
		return err
	}
	done := map[string]bool{}
	state := domain.ItemSucceeded
	if op.Kind == domain.OperationRequeue {
		state = domain.ItemInFlight
		sent, lanes, err := sendBack(ctx, st.conn, inOrder(ids, fit), st.now)
		if err != nil {
			return err
		}
		done = sent
		for lane := range lanes {
			st.lanes[lane] = true
		}
	} else {
		ids = ids[:0]
		for _, p := range fit {
			ids, done[p.ID] = append(ids, p.ID), true
		}
		to := domain.PoisonDiscarded
		if op.Kind == domain.OperationRestore {
			to = domain.PoisonOpen
		}
		if err := moveTo(ctx, st.conn, ids, to, op.Reason, st.now); err != nil {
			return err
		}
	}
	return st.note(ctx, items, fit, done, state)
}

// pick returns the next pending items, up to the nth that fits. Those between
// that don't will be skipped; they cost neither stage nor rate, or an operation
// whose messages were mended meanwhile would go through them one by one.
func (st *step) pick(ctx context.Context, n int) ([]item, error) {
	next, err := many(ctx, st.conn, func(scan scanner) (i item, err error) {
		err = scan(&i.n, &i.poisonID, &i.fits)
		return i, err
	}, `SELECT i.n, i.poison_id, COALESCE(p.state = $2, false) FROM operation_items i LEFT JOIN poison p ON p.id = i.poison_id
		WHERE i.operation_id = $1 AND i.state = 'pending' ORDER BY i.n LIMIT $3`, st.op.ID, string(selects[st.op.Kind]), maxStep)
	for i, it := range next {
		if it.fits {
			n--
		}
		if n == 0 {
			return next[:i+1], err
		}
	}
	return next, err
}

// inOrder sorts what is fit by the order of the items: events are sent back as
// they were published.
func inOrder(ids []string, fit []domain.Poison) []domain.Poison {
	byID := make(map[string]domain.Poison, len(fit))
	for _, p := range fit {
		byID[p.ID] = p
	}
	sorted := make([]domain.Poison, 0, len(fit))
	for _, id := range ids {
		if p, ok := byID[id]; ok {
			sorted = append(sorted, p)
		}
	}
	return sorted
}

// note writes what became of the items, and the audit of each message.
func (st *step) note(ctx context.Context, items []item, fit []domain.Poison, done map[string]bool, state domain.ItemState) error {
	requeues := make(map[string]int, len(fit))
	for _, p := range fit {
		requeues[p.ID] = p.Requeues + 1
	}
	rows := make([][]any, len(items))
	var acts [][]any
	for i, it := range items {
		if done[it.poisonID] {
			rows[i] = []any{it.n, string(state), "", requeues[it.poisonID]}
			acts = append(acts, []any{it.poisonID})
			continue
		}
		detail := "changed by somebody else meanwhile"
		if _, held := requeues[it.poisonID]; held {
			detail = "its event is waiting in the outbox already"
		}
		rows[i] = []any{it.n, string(domain.ItemSkipped), detail, 0}
	}
	if err := st.write(ctx, rows); err != nil {
		return err
	}
	if state == domain.ItemInFlight {
		st.op.InFlight += len(acts)
	}
	if len(acts) == 0 {
		return nil
	}
	_, err := st.exec(ctx, `INSERT INTO audit (at, operator, role, via, action, target, outcome, reason, detail)
		SELECT CAST($2 AS BIGINT), $3, $4, $5, $6, value->>0, 'done', $7, $8 FROM `+st.d.rows,
		toJSON(acts), micros(st.now), st.by.Operator, st.by.Role, st.by.Via, "poison."+string(st.op.Kind), st.by.Reason, "operation "+st.op.ID)
	return err
}

// allowance is how many items the rate allows now; it counts them as begun.
func (st *step) allowance() int {
	pace := time.Second.Microseconds() / int64(st.op.PerSecond)
	now := micros(st.now)
	// At least one item's worth may be saved up, or a slow rate would never begin.
	from := max(st.next, now-max(burst.Microseconds(), pace))
	n := (now - from) / pace
	n = min(n, int64(min(maxStep, st.op.Pending, st.op.Stage-(st.op.Total-st.op.Pending)))) // what the stage has room for
	st.next = from + max(n, 0)*pace
	return int(n)
}
