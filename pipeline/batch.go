package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// statementTimeout bounds every statement of the bus, so that a database that
// swallows packets is noticed, and a shutdown's last commit ends.
const statementTimeout = 10 * time.Second

var (
	errBatchOver = errors.New("the batch is over")
	errLaneLost  = domain.Transient(nil, "the lane's lock is lost")
)

// effect is what handling one row led to. Both nil: nothing but the ack.
type effect struct {
	projection *store.Projection
	poison     *domain.Poison
	took       time.Duration // the projector
	doneAt     time.Time     // set by stage
}

// batch is what the subscriber takes for its transaction: some rows of a lane,
// and what handling them led to. It holds no database transaction. The rows
// were read in autocommit, effects are staged in memory, and commit writes the
// effects of the rows handled and deletes exactly those rows, in one short
// transaction.
//
// Rows are handled one at a time and in order, so the handled ones are a prefix,
// and one number says how far the commit got.
//
// The library knows no way out of a batch but acks: a nack sends the message
// again, for ever. So a batch that shall be left early admits no more messages;
// they are acked without being handled (see delivery), and the rows stay.
type batch struct {
	lane   *consumer
	claim  *claim
	commit func(context.Context, store.Effects) ([]domain.Appended, error)
	ended  chan struct{} // closed by Commit or Rollback

	mu         sync.Mutex
	rows       []store.OutboxRow
	place      map[string]int // event id → index in rows
	effects    []effect       // parallel to rows
	deliveries []int          // parallel to rows: how often each was admitted
	committed  int            // rows[:committed] are gone from the outbox
	limit      int            // rows[limit:] are not admitted and stay; see admit
	runs       runs
	err        error // why nothing more can be committed
	loadedAt   time.Time
}

var _ wsql.Tx = (*batch)(nil)

func newBatch(lane *consumer, cl *claim) *batch {
	return &batch{
		lane: lane, claim: cl, ended: make(chan struct{}),
		commit: lane.bus.store.CommitEffects,
	}
}

// batchFrom finds the batch of a message that came from our bus.
func batchFrom(ctx context.Context) (*batch, error) {
	tx, _ := wsql.TxFromContext(ctx)
	b, ok := tx.(*batch)
	if !ok {
		return nil, errors.New("the message didn't come from a lane")
	}
	return b, nil
}

// QueryContext runs the select of schemaAdapter in autocommit and loads all
// rows, so that no cursor is open while they are handled.
func (b *batch) QueryContext(ctx context.Context, query string, args ...any) (wsql.Rows, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := b.lane.bus.store.ReadDB().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, store.MapError(err)
	}
	defer rows.Close()

	var loaded []store.OutboxRow
	size := 0
	for size < maxBatchBytes && rows.Next() {
		row, err := store.ScanOutboxRow(rows.Scan)
		if err != nil {
			return nil, err
		}
		row.Event.ID = messageUUID(b.lane.topic, row.Event.ID)
		loaded = append(loaded, row)
		size += len(row.Event.Payload)
	}
	// The library doesn't look at Err: a connection that broke in the middle
	// would pass for a short batch.
	if err := rows.Err(); err != nil {
		return nil, store.MapError(err)
	}
	b.load(loaded)
	return &batchRows{rows: loaded}, nil
}

func (b *batch) load(rows []store.OutboxRow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows, b.limit = rows, len(rows)
	b.effects, b.deliveries = make([]effect, len(rows)), make([]int, len(rows))
	b.place = make(map[string]int, len(rows))
	for i, row := range rows {
		b.place[row.Event.ID] = i
	}
	b.loadedAt = time.Now()
}

// ExecContext commits what offsetsAdapter acks. Errors are returned here,
// because of a failed Commit the library only makes a log line.
func (b *batch) ExecContext(ctx context.Context, query string, args ...any) (wsql.Result, error) {
	if query != ackStatement || len(args) != 1 {
		return nil, errors.New("a batch is no database transaction: effects are staged")
	}
	seqs, ok := args[0].([]int64)
	if !ok {
		return nil, fmt.Errorf("ack %T: want the sequence numbers of rows", args[0])
	}
	b.lane.size.observe(len(seqs), time.Since(b.loadedAt), b.waited())
	if err := b.commitTo(ctx, len(seqs)); err != nil {
		return nil, err
	}
	b.lane.trouble.over()
	return rowsAffected(len(seqs)), nil
}

// Commit and Rollback end the batch; whatever was to be committed has been, by
// ExecContext.
func (b *batch) Commit() error   { b.end(); return nil }
func (b *batch) Rollback() error { b.end(); return nil }

func (b *batch) end() {
	b.mu.Lock()
	fenced := errors.Is(b.err, store.ErrFenced)
	if b.err == nil {
		b.err = errBatchOver // a handler that is still busy has nothing to stage to
	}
	b.mu.Unlock()
	b.lane.batchEnded(fenced)
	close(b.ended)
}

// admit reports whether the event is to be handled. If not, it shall be acked
// all the same: its row stays in the outbox.
func (b *batch) admit(eventID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.place[eventID]
	if !ok || b.err != nil {
		return false
	}
	if b.lane.work.Err() != nil {
		b.limit = min(b.limit, i)
	}
	if i >= b.limit {
		return false
	}
	b.deliveries[i]++
	return true
}

// waited is how long the oldest row had waited when the batch was read.
func (b *batch) waited() time.Duration {
	if len(b.rows) == 0 {
		return 0
	}
	return b.loadedAt.Sub(b.rows[0].Event.CreatedAt)
}

// claimedAt is when the batch was read.
func (b *batch) claimedAt() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.loadedAt
}

// stage keeps what handling the event led to, in place of what was staged for
// it before.
func (b *batch) stage(eventID string, e effect) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	i, ok := b.place[eventID]
	if !ok {
		return fmt.Errorf("event %s is not in the batch", eventID)
	}
	e.doneAt = time.Now()
	b.effects[i] = e
	if e.projection != nil && e.projection.Into == "" {
		b.runs.lead(&b.rows[i].Event, i)
	}
	return nil
}

// duplicate reports whether the event was projected before, and is not sent
// back by an operator.
func (b *batch) duplicate(eventID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.place[eventID]
	return ok && b.rows[i].Projected && b.rows[i].Event.Metadata[store.MetaPoisonID] == ""
}

// delivered returns how often the event was handed out within this batch.
func (b *batch) delivered(eventID string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i, ok := b.place[eventID]; ok {
		return b.deliveries[i]
	}
	return 0
}

// flush commits everything before the event in hand, for it may take a while.
func (b *batch) flush(ctx context.Context, eventID string) error {
	b.mu.Lock()
	i := b.place[eventID]
	b.mu.Unlock()
	return b.commitTo(ctx, i)
}

// abandon makes sure that nothing more is committed.
func (b *batch) abandon(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
}

// broken returns why nothing more can be committed, or nil.
func (b *batch) broken() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// commitTo writes the effects of rows[:n] and deletes those rows, then tells
// what was appended. The cancellation of ctx is ignored: at shutdown, what is
// done gets committed.
//
// After an error the outcome is unknown (the answer to a COMMIT may be what got
// lost), so the batch is over, and the lane reads again what is still there.
func (b *batch) commitTo(ctx context.Context, n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	n = min(n, b.limit)
	if n <= b.committed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementTimeout)
	defer cancel()
	effects, err := b.collect(n)
	if err != nil {
		b.err = err
		return err
	}
	appended, err := b.commit(ctx, effects)
	if err != nil {
		b.err = fmt.Errorf("commit a batch: %w", err)
		b.lane.size.shrink()
		return b.err
	}
	b.lane.bus.cfg.Observer.Handled(b.lane.lane, time.Now(), b.handled(n))
	b.committed = n
	if len(appended) > 0 {
		// Under the mutex, so that a lane's news is told in the order of its commits.
		b.lane.bus.cfg.OnAppended(appended)
	}
	return nil
}

// collect gathers rows[committed:n] and their effects.
func (b *batch) collect(n int) (store.Effects, error) {
	e := store.Effects{Topic: b.lane.topic, Lane: b.lane.lane, Epoch: b.claim.Epoch()}
	placed := make(map[int]int) // index in rows → index in e.Projected
	for i := b.committed; i < n; i++ {
		e.Acked = append(e.Acked, b.rows[i].Seq)
		if p := b.effects[i].projection; p != nil {
			p.Seq = b.rows[i].Seq
			placed[i] = len(e.Projected)
			e.Projected = append(e.Projected, *p)
		}
		if p := b.effects[i].poison; p != nil {
			p.Seq = b.rows[i].Seq
			e.Poisoned = append(e.Poisoned, *p)
		}
	}
	return e, b.gatherCauses(e.Projected, placed, n)
}

// batchRows hands loaded rows to schemaAdapter.UnmarshalMessage, one by one.
type batchRows struct {
	rows []store.OutboxRow
	next int
}

func (r *batchRows) Next() bool { r.next++; return r.next <= len(r.rows) }

// Scan copies the current row into the *store.OutboxRow given.
func (r *batchRows) Scan(dest ...any) error {
	if len(dest) == 1 {
		if row, ok := dest[0].(*store.OutboxRow); ok {
			*row = r.rows[r.next-1]
			return nil
		}
	}
	return errors.New("a batch's rows scan into one *store.OutboxRow")
}

func (r *batchRows) Close() error { return nil }

type rowsAffected int64

func (n rowsAffected) RowsAffected() (int64, error) { return int64(n), nil }
