package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
)

// Topic is the Watermill topic of domain events.
const Topic = "events"

// MaxInsert is how many events one INSERT may carry. modernc's SQLite looks
// each parameter up in a list, so the cost grows with the square: a hundred
// events are a fair bargain, a thousand can take seconds on a busy machine.
const MaxInsert = 100

// OutboxRow is one waiting event.
type OutboxRow struct {
	Seq   int64 // ascending in order of insertion
	Event domain.Event
	// Projected says that an event of this id was projected within the dedupe
	// window. It is never set on a requeued event: that one is to be handled
	// again, whatever happened before.
	Projected bool
}

const eventColumns = `event_id, type, workspace_id, aggregate_id, payload, metadata, created_at`

const outboxSelect = `SELECT o.seq, EXISTS (SELECT 1 FROM projected p WHERE p.event_id = o.event_id),
	o.event_id, o.type, o.workspace_id, o.aggregate_id, o.payload, o.metadata, o.created_at
	FROM outbox o WHERE o.topic = $1 AND o.lane = $2 ORDER BY o.seq LIMIT $3`

// OutboxSelect returns the query for a lane's lowest rows, in Seq order.
// Its columns are scanned by ScanOutboxRow.
func (s *Store) OutboxSelect(topic string, lane, limit int) (query string, args []any) {
	return outboxSelect, []any{topic, lane, limit}
}

// ScanOutboxRow scans one row of OutboxSelect.
func ScanOutboxRow(scan func(dest ...any) error) (OutboxRow, error) {
	var row OutboxRow
	var err error
	row.Event, err = scanEvent(func(dest ...any) error {
		return scan(append([]any{&row.Seq, &row.Projected}, dest...)...)
	})
	if row.Event.Metadata[MetaPoisonID] != "" {
		row.Projected = false
	}
	return row, MapError(err)
}

// scanEvent scans eventColumns.
func scanEvent(scan scanner) (ev domain.Event, err error) {
	var payload []byte
	var metadata string
	var created int64
	if err = scan(&ev.ID, &ev.Type, &ev.WorkspaceID, &ev.AggregateID, &payload, &metadata, &created); err != nil {
		return ev, err
	}
	ev.Payload, ev.CreatedAt = payload, fromMicros(created)
	if metadata != "{}" {
		err = fromJSON(metadata, &ev.Metadata)
	}
	return ev, err
}

// eventArgs are the values of eventColumns. An event without a time is of now.
func eventArgs(ev domain.Event) []any {
	if ev.CreatedAt.IsZero() {
		ev.CreatedAt = time.Now()
	}
	payload, metadata := []byte(ev.Payload), "{}"
	if payload == nil {
		payload = []byte{}
	}
	if len(ev.Metadata) > 0 {
		metadata = toJSON(ev.Metadata)
	}
	return []any{ev.ID, string(ev.Type), ev.WorkspaceID, ev.AggregateID, payload, metadata, micros(ev.CreatedAt)}
}

// OutboxInsert returns the statement that appends 1 to MaxInsert events, in order,
// skipping ids that are waiting already. It returns the lane of each row
// written. The lane is computed by the database, from the number of lanes in
// force when the statement runs: a process that opened before SetLanes still
// writes to the right ones.
func (s *Store) OutboxInsert(topic string, events ...domain.Event) (query string, args []any, err error) {
	return outboxInsert(topic, events, "lane")
}

func outboxInsert(topic string, events []domain.Event, returning string) (query string, args []any, err error) {
	if len(events) == 0 || len(events) > MaxInsert {
		return "", nil, domain.Errorf(domain.CodeInvalid, "an insert takes 1 to %d events, not %d", MaxInsert, len(events))
	}
	var b strings.Builder
	b.WriteString(`INSERT INTO outbox (topic, lane, ` + eventColumns + `) VALUES `)
	args = append(make([]any, 0, 1+7*len(events)), topic)
	for i, ev := range events {
		if ev.ID == "" {
			return "", nil, domain.InvalidField("id", "an event needs an id")
		}
		if i > 0 {
			b.WriteString(", ")
		}
		n := len(args) + 1
		fmt.Fprintf(&b, `($1, orbit_hash($%d) %% (SELECT lanes FROM settings), $%d, $%d, $%d, $%d, $%d, $%d, $%d)`,
			n+2, n, n+1, n+2, n+3, n+4, n+5, n+6)
		args = append(args, eventArgs(ev)...)
	}
	b.WriteString(` ON CONFLICT (event_id) DO NOTHING RETURNING ` + returning)
	return b.String(), args, nil
}

// OutboxDelete returns the statement that deletes rows by Seq.
func (s *Store) OutboxDelete(seqs []int64) (query string, args []any) {
	return `DELETE FROM outbox WHERE ` + s.dialect.in("seq", 1), []any{s.dialect.list(seqs)}
}

// Publish implements domain.Tx.
func (t *unitOfWork) Publish(ctx context.Context, events ...domain.Event) error {
	for len(events) > 0 {
		n := min(len(events), MaxInsert)
		lanes, err := publish(ctx, t.conn, Topic, events[:n])
		if err != nil {
			return err
		}
		for _, lane := range lanes {
			t.lanes[lane] = true
		}
		events = events[n:]
	}
	return nil
}

// publish inserts events and returns the lane of each that was not waiting yet.
func publish(ctx context.Context, c conn, topic string, events []domain.Event) ([]int, error) {
	query, args, err := outboxInsert(topic, events, "lane")
	if err != nil {
		return nil, err
	}
	return many(ctx, c, scanValue[int], query, args...)
}

// OutboxStats describes one lane's backlog.
type OutboxStats struct {
	Lane    int
	Pending int64
	Oldest  time.Time // zero when nothing waits
}

// OutboxStats tells each lane's backlog, over all topics.
func (s *Store) OutboxStats(ctx context.Context) ([]OutboxStats, error) {
	found, err := many(ctx, conn{s.read, s.dialect}, func(scan scanner) (o OutboxStats, err error) {
		var oldest int64
		err = scan(&o.Lane, &o.Pending, &oldest)
		o.Oldest = fromMicros(oldest)
		return o, err
	}, `SELECT lane, COUNT(*), MIN(created_at) FROM outbox GROUP BY lane`)
	if err != nil {
		return nil, err
	}
	all := make([]OutboxStats, s.Lanes())
	for i := range all {
		all[i].Lane = i
	}
	for _, o := range found {
		if o.Lane < len(all) {
			all[o.Lane] = o
		}
	}
	return all, nil
}
