package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// Story is what an event's dedupe mark remembers beside its id, for its trace.
type Story struct {
	Type        domain.EventType `json:"t"`
	WorkspaceID string           `json:"w"`
	AggregateID string           `json:"a"`
	PublishedAt int64            `json:"p"` // this and the next in Unix microseconds
	ClaimedAt   int64            `json:"c"`
	TookUS      int64            `json:"d"` // the projector
	Node        string           `json:"n"`
	Lane        int              `json:"l"`
	Entries     int              `json:"e"` // appended for it, or for Into
	Into        string           `json:"i,omitempty"`
	Traceparent string           `json:"x,omitempty"`
}

// NewStory begins the story of an event that was read from the outbox.
func NewStory(ev *domain.Event, node string, lane int, claimedAt time.Time, took time.Duration) *Story {
	return &Story{
		Type: ev.Type, WorkspaceID: ev.WorkspaceID, AggregateID: ev.AggregateID,
		PublishedAt: micros(ev.CreatedAt), ClaimedAt: micros(claimedAt), TookUS: took.Microseconds(),
		Node: node, Lane: lane, Traceparent: ev.Metadata[domain.MetaTraceparent],
	}
}

// EntryWrite sums the sessions that one entry was written to, by one node over
// one transport, since it said so last.
type EntryWrite struct {
	Offset         int64
	Transport      string
	Live, Replayed int
	First, Last    time.Time
}

// MarshalJSON makes an array: there are many.
func (w EntryWrite) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{w.Offset, w.Transport, w.Live, w.Replayed, micros(w.First), micros(w.Last)})
}

// UnmarshalJSON is the way back.
func (w *EntryWrite) UnmarshalJSON(data []byte) error {
	var first, last int64
	if err := json.Unmarshal(data, &[]any{&w.Offset, &w.Transport, &w.Live, &w.Replayed, &first, &last}); err != nil {
		return err
	}
	w.First, w.Last = fromMicros(first), fromMicros(last)
	return nil
}

// LogWrites are the writes of one workspace's entries.
type LogWrites struct {
	WorkspaceID string
	Epoch       string
	Writes      []EntryWrite
}

// writesPerRow bounds a row of entry_writes, and with it how far apart the
// offsets in it are: a trace looks at every row whose range covers its entry.
const writesPerRow = 256

// SaveWrites keeps what a node has written, for traces. It is one statement.
func (s *Store) SaveWrites(ctx context.Context, node string, at time.Time, all []LogWrites) error {
	var rows [][]any
	for _, log := range all {
		byOffset := slices.SortedFunc(slices.Values(log.Writes), func(a, b EntryWrite) int { return cmp.Compare(a.Offset, b.Offset) })
		for some := range slices.Chunk(byOffset, writesPerRow) {
			rows = append(rows, []any{log.WorkspaceID, some[len(some)-1].Offset, some[0].Offset, log.Epoch, toJSON(some)})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := s.autocommit().exec(ctx, `INSERT INTO entry_writes (workspace_id, last_offset, first_offset, epoch, writes, node, at)
		SELECT value->>0, CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT), value->>3, value->>4, $2, CAST($3 AS BIGINT)
		FROM `+s.dialect.rows+` WHERE true
		ON CONFLICT DO NOTHING`, toJSON(rows), node, micros(at))
	return err
}

// Trace tells the way of one event; CodeNotFound for an id that neither outbox,
// poison queue nor memory of what was projected knows.
func (s *Store) Trace(ctx context.Context, eventID string) (domain.Trace, error) {
	t := domain.Trace{EventID: eventID, Attempts: []domain.PoisonAttempt{}, Entries: []domain.TraceEntry{}}
	c := conn{s.read, s.dialect}
	known := false
	for _, look := range []func(context.Context, conn, *domain.Trace) error{s.traceMark, traceOutbox, s.tracePoison} {
		switch err := look(ctx, c, &t); {
		case err == nil:
			known = true
		case !errors.Is(err, domain.ErrNotFound):
			return t, err
		}
	}
	if !known {
		return t, domain.Errorf(domain.CodeNotFound, "no event has this id, or it is older than what is remembered")
	}
	return t, s.traceEntries(ctx, c, &t)
}

// traceMark reads what the dedupe mark remembers.
func (s *Store) traceMark(ctx context.Context, c conn, t *domain.Trace) error {
	type mark struct {
		at    int64
		story string
	}
	m, err := one(ctx, c, "event", func(scan scanner) (m mark, err error) {
		err = scan(&m.at, &m.story)
		return m, err
	}, `SELECT at, trace FROM projected WHERE event_id = $1`, t.EventID)
	if err != nil {
		return err
	}
	t.State, t.CommittedAt = domain.TraceExpired, timePointer(m.at)
	if m.story == "" {
		return nil // of a build, or a setting, that kept no stories
	}
	var story Story
	if err := fromJSON(m.story, &story); err != nil {
		return err
	}
	t.Type, t.WorkspaceID, t.AggregateID = story.Type, story.WorkspaceID, story.AggregateID
	t.PublishedAt, t.ClaimedAt = timePointer(story.PublishedAt), timePointer(story.ClaimedAt)
	t.Node, t.Lane, t.ProjectedMS = story.Node, story.Lane, float64(story.TookUS)/1000
	t.Traceparent, t.CollapsedInto = story.Traceparent, story.Into
	t.Trimmed = story.Entries // less those that are found
	if story.Entries == 0 {
		t.State = domain.TraceSilent
	}
	return nil
}

// traceOutbox looks whether the event waits: for the first time, or again.
func traceOutbox(ctx context.Context, c conn, t *domain.Trace) error {
	type waiting struct {
		OutboxRow
		lane, ahead int
		owner       string
	}
	w, err := one(ctx, c, "event", func(scan scanner) (w waiting, err error) {
		w.Event, err = scanEvent(func(dest ...any) error {
			return scan(append([]any{&w.lane, &w.ahead, &w.owner}, dest...)...)
		})
		return w, err
	}, `SELECT o.lane,
			(SELECT COUNT(*) FROM outbox b WHERE b.topic = o.topic AND b.lane = o.lane AND b.seq < o.seq),
			COALESCE((SELECT l.owner FROM lanes l WHERE l.topic = o.topic AND l.lane = o.lane), ''),
			o.event_id, o.type, o.workspace_id, o.aggregate_id, o.payload, o.metadata, o.created_at
		FROM outbox o WHERE o.event_id = $1`, t.EventID)
	if err != nil {
		return err
	}
	t.State, t.Lane = domain.TraceWaits, w.lane
	describe(t, w.Event)
	t.Waiting = &domain.TraceWaiting{Ahead: w.ahead, Holder: w.owner}
	return nil
}

// tracePoison looks whether the event was poisoned.
func (s *Store) tracePoison(ctx context.Context, c conn, t *domain.Trace) error {
	p, err := one(ctx, c, "event", scanPoison, `SELECT `+poisonColumns+` FROM poison WHERE event_id = $1`, t.EventID)
	if err != nil {
		return err
	}
	t.PoisonID, t.Attempts = p.ID, p.Attempts
	describe(t, p.Event)
	if t.Node == "" { // neither waiting nor handled since
		t.Node = p.Node
	}
	if t.Waiting == nil && t.CommittedAt == nil {
		t.Lane = LaneOf(p.Event.WorkspaceID, s.Lanes())
	}
	switch p.State {
	case domain.PoisonOpen:
		t.State = domain.TracePoisoned
	case domain.PoisonRequeued:
		t.State = domain.TraceRequeued
	case domain.PoisonSuperseded:
		t.State = domain.TraceSuperseded
	case domain.PoisonDiscarded:
		t.State = domain.TraceDiscarded
	case domain.PoisonHealed:
		if t.State == "" {
			t.State = domain.TraceExpired // handled, but the mark is forgotten
		}
	}
	return nil
}

// traceEntries reads what the event led to, and who got it. The log has no
// index by event: it is bounded, and who asks can wait a moment.
func (s *Store) traceEntries(ctx context.Context, c conn, t *domain.Trace) error {
	if t.WorkspaceID == "" {
		return nil
	}
	var epoch string
	found, err := many(ctx, c, func(scan scanner) (e domain.TraceEntry, err error) {
		var at int64
		err = scan(&e.Position.Epoch, &e.Position.Offset, &e.Channel, &e.Type, &at)
		epoch = e.Position.Epoch
		if t.CommittedAt == nil {
			t.CommittedAt = timePointer(at)
		}
		return e, err
	}, `SELECT l.epoch, e."offset", e.channel, e.type, e.logged_at FROM log_entries e JOIN logs l ON l.workspace_id = e.workspace_id
		WHERE e.workspace_id = $1 AND e.event_id = $2 ORDER BY e."offset"`, t.WorkspaceID, cmp.Or(t.CollapsedInto, t.EventID))
	if err != nil || len(found) == 0 {
		return err
	}
	if t.State == domain.TraceExpired {
		t.State = domain.TraceProjected
	}
	for i := range found {
		if found[i].Type != domain.ServerSystemStale && found[i].Type != domain.ServerSystemHealed {
			t.Trimmed = max(0, t.Trimmed-1)
		}
		if found[i].Writes, err = traceWrites(ctx, c, t.WorkspaceID, epoch, found[i].Position.Offset); err != nil {
			return err
		}
	}
	t.Entries = found
	return nil
}

// traceWrites sums an entry's writes by node and transport, the first first.
func traceWrites(ctx context.Context, c conn, workspaceID, epoch string, offset int64) ([]domain.TraceWrite, error) {
	type row struct {
		node   string
		writes []EntryWrite
	}
	rows, err := many(ctx, c, func(scan scanner) (r row, err error) {
		var writes string
		if err = scan(&r.node, &writes); err != nil {
			return r, err
		}
		return r, fromJSON(writes, &r.writes)
	}, `SELECT node, writes FROM entry_writes
		WHERE workspace_id = $1 AND last_offset >= $2 AND first_offset <= $2 AND epoch = $3`, workspaceID, offset, epoch)
	if err != nil {
		return nil, err
	}
	type key struct{ node, transport string }
	sums := map[key]domain.TraceWrite{}
	for _, r := range rows {
		for _, w := range r.writes {
			if w.Offset != offset {
				continue
			}
			k := key{r.node, w.Transport}
			sum, ok := sums[k]
			if !ok {
				sum = domain.TraceWrite{Node: r.node, Transport: w.Transport, FirstAt: domain.At(w.First), LastAt: domain.At(w.Last)}
			}
			sum.Live += w.Live
			sum.Replayed += w.Replayed
			if w.First.Before(sum.FirstAt.Time) {
				sum.FirstAt = domain.At(w.First)
			}
			if w.Last.After(sum.LastAt.Time) {
				sum.LastAt = domain.At(w.Last)
			}
			sums[k] = sum
		}
	}
	all := make([]domain.TraceWrite, 0, len(sums))
	for _, sum := range sums {
		all = append(all, sum)
	}
	slices.SortFunc(all, func(a, b domain.TraceWrite) int {
		return cmp.Or(a.FirstAt.Compare(b.FirstAt.Time), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Transport, b.Transport))
	})
	return all, nil
}

func timePointer(us int64) *domain.Time {
	if us == 0 {
		return nil
	}
	t := domainTime(us)
	return &t
}

// describe fills in what an event says of itself, where nothing is known.
func describe(t *domain.Trace, ev domain.Event) {
	t.Type, t.WorkspaceID, t.AggregateID = ev.Type, ev.WorkspaceID, ev.AggregateID
	t.Traceparent = cmp.Or(t.Traceparent, ev.Metadata[domain.MetaTraceparent])
	if t.PublishedAt == nil {
		t.PublishedAt = timePointer(micros(ev.CreatedAt))
	}
}
