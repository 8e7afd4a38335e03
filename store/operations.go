package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
)

const (
	defaultRate = 50   // items a second
	maxRate     = 1000 // items a second
	canary      = 1    // requeued first
	canaries    = 11   // that must heal before the rest is requeued
)

// selects is the state a message must be in for an operation.
var selects = map[domain.OperationKind]domain.PoisonState{
	domain.OperationRequeue: domain.PoisonOpen,
	domain.OperationDiscard: domain.PoisonOpen,
	domain.OperationRestore: domain.PoisonDiscarded,
}

// CreateOperation pins what the filter selects now, of the messages that are in
// the state for it, oldest event first, and lets the work begin. Errors:
// CodeInvalid, and CodeConflict if another number is selected than expected, or
// an operation that runs has some of them before it; then nothing is done.
func (s *Store) CreateOperation(ctx context.Context, by domain.Act, r domain.OperationRequest) (domain.Operation, error) {
	id, err := s.act(ctx, by, "operation.create", "", r, func(c conn) (string, string, error) {
		return createOperation(ctx, c, by, r)
	})
	if err != nil {
		return domain.Operation{}, err
	}
	s.operationsChanged()
	return s.Operation(ctx, id)
}

func checkOperation(by domain.Act, r *domain.OperationRequest) error {
	if r.PerSecond == 0 {
		r.PerSecond = defaultRate
	}
	_, known := selects[r.Kind]
	switch {
	case !known:
		return domain.InvalidField("kind", "an operation is requeue, discard or restore, not %q", r.Kind)
	case r.Expect < 1:
		return domain.InvalidField("expect", "say how many messages you expect, at least 1")
	case r.PerSecond < 1 || r.PerSecond > maxRate:
		return domain.InvalidField("perSecond", "the rate is 1 to %d messages a second, not %d", maxRate, r.PerSecond)
	case r.Kind == domain.OperationDiscard && strings.TrimSpace(by.Reason) == "":
		return domain.InvalidField("reason", "messages are discarded for a reason")
	}
	return nil
}

func createOperation(ctx context.Context, c conn, by domain.Act, r domain.OperationRequest) (id, detail string, err error) {
	if err := checkOperation(by, &r); err != nil {
		return "", "", err
	}
	w, err := where(c.d, r.Filter)
	if err != nil {
		return "", "", err
	}
	w.add("state = ?", string(selects[r.Kind]))
	// One at a time, so that each sees what those before it are about.
	if c.d.lockOperations != "" {
		if _, err := c.exec(ctx, c.d.lockOperations); err != nil {
			return "", "", err
		}
	}
	id, now := domain.NewID("op"), time.Now()
	stage := r.Expect
	if r.Kind == domain.OperationRequeue && !r.NoCanary {
		stage = min(canary, r.Expect)
	}
	_, err = c.exec(ctx, `INSERT INTO operations (id, kind, state, filter, reason, operator, role, via, total, stage,
			per_second, next_at, active, why, created_at, finished_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, '', $14, 0)`,
		id, string(r.Kind), string(domain.OperationRunning), toJSON(r.Filter), by.Reason, by.Operator, by.Role, by.Via,
		r.Expect, stage, r.PerSecond, 0, true, micros(now))
	if err != nil {
		return "", "", err
	}
	n, err := c.exec(ctx, `INSERT INTO operation_items (operation_id, n, poison_id, fingerprint, state, requeues, detail, at)
		SELECT `+w.arg(id)+`, ROW_NUMBER() OVER (ORDER BY seq, poisoned_at, id) - 1, id, fingerprint, 'pending', 0, '', 0
		FROM poison`+w.String(), w.args...)
	switch {
	case err != nil:
		return "", "", err
	case n != int64(r.Expect):
		return "", "", domain.Errorf(domain.CodeConflict, "%d messages are selected now, not %d", n, r.Expect)
	}
	if err := alone(ctx, c, id); err != nil {
		return "", "", err
	}
	return id, fmt.Sprintf("%s of %d messages", r.Kind, n), nil
}

// alone refuses an operation on messages that another one, which runs, has yet
// to begin with: two operators pressed the same button.
func alone(ctx context.Context, c conn, id string) error {
	type other struct {
		id, operator string
		n            int
	}
	others, err := many(ctx, c, func(scan scanner) (o other, err error) {
		err = scan(&o.id, &o.operator, &o.n)
		return o, err
	}, `SELECT o.id, o.operator, COUNT(*) FROM operations o
		JOIN operation_items theirs ON theirs.operation_id = o.id AND theirs.state = 'pending'
		JOIN operation_items ours ON ours.operation_id = $1 AND ours.poison_id = theirs.poison_id
		WHERE o.active AND o.state = 'running' AND o.id <> $1 GROUP BY o.id, o.operator, o.created_at ORDER BY o.created_at LIMIT 1`, id)
	if err != nil || len(others) == 0 {
		return err
	}
	return domain.Errorf(domain.CodeConflict, "operation %s, begun by %s, is about %d of them: wait for it, or cancel it",
		others[0].id, others[0].operator, others[0].n)
}

// OnOperation registers fn, called after an operation was made or cancelled in
// this process. fn must not block.
func (s *Store) OnOperation(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onOperation = append(s.onOperation, fn)
}

func (s *Store) operationsChanged() {
	s.mu.Lock()
	fns := s.onOperation
	s.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
}

// CancelOperation lets nothing more begin: what is requeued already is handled,
// and its outcome still noted. CodeConflict if it doesn't run anymore.
func (s *Store) CancelOperation(ctx context.Context, by domain.Act, id string) (domain.Operation, error) {
	_, err := s.act(ctx, by, "operation.cancel", id, by.Reason, func(c conn) (_, detail string, err error) {
		state, err := one(ctx, c, "operation", scanValue[domain.OperationState],
			`SELECT state FROM operations WHERE id = $1`+c.d.lockUpdate, id)
		if err != nil {
			return "", "", err
		}
		if state != domain.OperationRunning {
			return "", "", domain.Errorf(domain.CodeConflict, "the operation is %s, not running", state)
		}
		why := "cancelled by " + by.Operator
		if by.Reason != "" {
			why += ": " + by.Reason
		}
		_, err = c.exec(ctx, `UPDATE operations SET state = 'cancelled', why = $2, finished_at = $3 WHERE id = $1`, id, why, micros(time.Now()))
		return "", "", err
	})
	if err != nil {
		return domain.Operation{}, err
	}
	s.operationsChanged()
	return s.Operation(ctx, id)
}

const operationColumns = `SELECT id, kind, state, filter, reason, operator, total, stage, per_second, why, created_at, finished_at FROM operations`

func scanOperation(scan scanner) (o domain.Operation, err error) {
	var filter string
	var created, finished int64
	err = scan(&o.ID, &o.Kind, &o.State, &filter, &o.Reason, &o.Operator, &o.Total, &o.Stage, &o.PerSecond, &o.Why, &created, &finished)
	if err != nil {
		return o, err
	}
	o.CreatedAt = domainTime(created)
	if finished > 0 {
		at := domainTime(finished)
		o.FinishedAt = &at
	}
	return o, fromJSON(filter, &o.Filter)
}

// Operation returns one with how far it is, or an error that matches
// domain.ErrNotFound.
func (s *Store) Operation(ctx context.Context, id string) (domain.Operation, error) {
	c := conn{s.read, s.dialect}
	o, err := one(ctx, c, "operation", scanOperation, operationColumns+` WHERE id = $1`, id)
	if err != nil {
		return o, err
	}
	list := []domain.Operation{o}
	err = countItems(ctx, c, list)
	return list[0], err
}

// Operations lists operations, newest first, and returns the cursor of the next
// page, "" at the end.
func (s *Store) Operations(ctx context.Context, p domain.Page) ([]domain.Operation, string, error) {
	limit, err := limitOf(p)
	if err != nil {
		return nil, "", err
	}
	w := &conditions{}
	if p.After != "" {
		var at int64
		var id string
		if err := readCursor(p.After, &at, &id); err != nil {
			return nil, "", err
		}
		w.add("(created_at, id) < (?, ?)", at, id)
	}
	type row struct {
		domain.Operation
		created int64 // to the microsecond, as it is sorted by
	}
	c := conn{s.read, s.dialect}
	rows, err := many(ctx, c, func(scan scanner) (r row, err error) {
		r.Operation, err = scanOperation(func(dest ...any) error { return scan(append(dest, &r.created)...) })
		return r, err
	}, strings.Replace(operationColumns, " FROM", ", created_at FROM", 1)+w.String()+
		` ORDER BY created_at DESC, id DESC LIMIT `+w.arg(limit+1), w.args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := paged(rows, limit, func(last row) string { return cursor(last.created, last.ID) })
	list := make([]domain.Operation, len(rows))
	for i, r := range rows {
		list[i] = r.Operation
	}
	return list, next, countItems(ctx, c, list)
}

// countItems fills in how far operations are.
func countItems(ctx context.Context, c conn, list []domain.Operation) error {
	ids := make([]string, len(list))
	for i, o := range list {
		ids[i] = o.ID
	}
	type count struct {
		id    string
		state domain.ItemState
		n     int
	}
	counts, err := many(ctx, c, func(scan scanner) (n count, err error) {
		err = scan(&n.id, &n.state, &n.n)
		return n, err
	}, `SELECT operation_id, state, COUNT(*) FROM operation_items WHERE `+c.d.in("operation_id", 1)+`
		GROUP BY operation_id, state`, c.d.list(ids))
	if err != nil {
		return err
	}
	for _, n := range counts {
		i := slices.Index(ids, n.id)
		switch n.state {
		case domain.ItemPending:
			list[i].Pending = n.n
		case domain.ItemInFlight:
			list[i].InFlight = n.n
		case domain.ItemSucceeded:
			list[i].Succeeded = n.n
		case domain.ItemFailed:
			list[i].Failed = n.n
		case domain.ItemSkipped:
			list[i].Skipped = n.n
		}
	}
	return nil
}

// OperationItems lists the messages of an operation, in its order; state ""
// lists all. It returns the cursor of the next page, "" at the end.
func (s *Store) OperationItems(ctx context.Context, id string, state domain.ItemState, p domain.Page) ([]domain.OperationItem, string, error) {
	limit, err := limitOf(p)
	if err != nil {
		return nil, "", err
	}
	w := &conditions{}
	w.add("operation_id = ?", id)
	if state != "" {
		w.add("state = ?", string(state))
	}
	if p.After != "" {
		var n int
		if err := readCursor(p.After, &n); err != nil {
			return nil, "", err
		}
		w.add("n > ?", n)
	}
	type row struct {
		domain.OperationItem
		n int
	}
	c := conn{s.read, s.dialect}
	if _, err := one(ctx, c, "operation", scanValue[string], `SELECT id FROM operations WHERE id = $1`, id); err != nil {
		return nil, "", err
	}
	rows, err := many(ctx, c, func(scan scanner) (r row, err error) {
		var at int64
		err = scan(&r.n, &r.PoisonID, &r.State, &r.Detail, &at)
		if at > 0 {
			t := domainTime(at)
			r.At = &t
		}
		return r, err
	}, `SELECT n, poison_id, state, detail, at FROM operation_items`+w.String()+` ORDER BY n LIMIT `+w.arg(limit+1), w.args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := paged(rows, limit, func(last row) string { return cursor(last.n) })
	items := make([]domain.OperationItem, len(rows))
	for i, r := range rows {
		items[i] = r.OperationItem
	}
	return items, next, nil
}
