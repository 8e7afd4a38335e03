package console

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
)

// memory is a Queue that keeps its promises in memory: states, versions, acts
// that happen once, an audit of all of it. Operations are made, and run by hand.
type memory struct {
	mu         sync.Mutex
	poison     []domain.Poison
	operations []domain.Operation
	items      map[string][]domain.OperationItem
	keys       map[string]string // idempotency key → operation
	audit      []domain.AuditEntry
}

func (m *memory) matches(f domain.PoisonFilter, p domain.Poison) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	text, words := strings.ToLower(f.Text), p.Error
	if f.IDsAlone {
		words = ""
	}
	return (len(f.States) == 0 || slices.Contains(f.States, p.State)) && is(f.Fingerprint, p.Fingerprint) &&
		is(f.WorkspaceID, p.Event.WorkspaceID) && is(f.AggregateID, p.Event.AggregateID) && is(string(f.Type), string(p.Event.Type)) &&
		is(f.Projector, p.Projector) && (f.Text == "" || strings.Contains(strings.ToLower(words+" "+p.ID+" "+p.Event.ID), text)) &&
		(f.Since == nil || !p.PoisonedAt.Before(*f.Since)) && (f.Until == nil || p.PoisonedAt.Before(*f.Until)) &&
		(len(f.IDs) == 0 || slices.Contains(f.IDs, p.ID))
}

// page cuts a list by position; the cursor is the number of those before.
func page[T any](list []T, p domain.Page) ([]T, string, error) {
	from := 0
	if p.After != "" {
		var err error
		if from, err = strconv.Atoi(p.After); err != nil {
			return nil, "", domain.InvalidField("after", "that is not a cursor")
		}
	}
	list = list[min(from, len(list)):]
	if p.Limit == 0 {
		p.Limit = 100
	}
	if len(list) <= p.Limit {
		return list, "", nil
	}
	return list[:p.Limit], strconv.Itoa(from + p.Limit), nil
}

func (m *memory) found(f domain.PoisonFilter) []domain.Poison {
	found := slices.DeleteFunc(slices.Clone(m.poison), func(p domain.Poison) bool { return !m.matches(f, p) })
	slices.SortFunc(found, func(a, b domain.Poison) int {
		return cmp.Or(b.PoisonedAt.Compare(a.PoisonedAt), cmp.Compare(b.ID, a.ID))
	})
	return found
}

func (m *memory) PoisonGroups(_ context.Context, f domain.PoisonFilter, p domain.Page) ([]domain.PoisonGroup, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var groups []domain.PoisonGroup
	at := map[string]int{}
	workspaces := map[string]map[string]bool{}
	for _, x := range m.found(f) {
		when := domain.At(x.PoisonedAt)
		i, known := at[x.Fingerprint]
		if !known {
			i = len(groups)
			at[x.Fingerprint] = i
			workspaces[x.Fingerprint] = map[string]bool{}
			groups = append(groups, domain.PoisonGroup{
				Fingerprint: x.Fingerprint, Newest: x.ID, Projector: x.Projector, ErrorClass: x.ErrorClass, Where: x.Where, Error: x.Error,
				Counts: map[domain.PoisonState]int{}, Builds: []string{x.Build}, LastSeen: when,
			})
		}
		g := &groups[i]
		g.Counts[x.State]++
		g.FirstSeen = when
		if x.State == domain.PoisonOpen {
			g.OldestOpen = &when
			workspaces[x.Fingerprint][x.Event.WorkspaceID] = true
			g.Workspaces = len(workspaces[x.Fingerprint])
		}
	}
	slices.SortStableFunc(groups, func(a, b domain.PoisonGroup) int {
		return cmp.Or(cmp.Compare(min(1, b.Counts[domain.PoisonOpen]), min(1, a.Counts[domain.PoisonOpen])), b.LastSeen.Compare(a.LastSeen.Time))
	})
	return page(groups, p)
}

func (m *memory) ListPoison(_ context.Context, f domain.PoisonFilter, p domain.Page) ([]domain.Poison, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return page(m.found(f), p)
}

func (m *memory) CountPoison(_ context.Context, f domain.PoisonFilter) (map[domain.PoisonState]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := map[domain.PoisonState]int{}
	for _, p := range m.found(f) {
		counts[p.State]++
	}
	return counts, nil
}

func (m *memory) at(id string) (*domain.Poison, error) {
	for i := range m.poison {
		if m.poison[i].ID == id {
			return &m.poison[i], nil
		}
	}
	return nil, domain.Errorf(domain.CodeNotFound, "no such poison message")
}

func (m *memory) PoisonByID(_ context.Context, id string) (domain.Poison, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.at(id)
	if err != nil {
		return domain.Poison{}, err
	}
	return *p, nil
}

func (m *memory) log(by domain.Act, action, target, outcome string) {
	m.audit = append(m.audit, domain.AuditEntry{
		ID: int64(len(m.audit) + 1), At: domain.At(time.Now()), Operator: by.Operator, Role: by.Role, Via: by.Via,
		Action: action, Target: target, Outcome: outcome, Reason: by.Reason,
	})
}

func (m *memory) move(by domain.Act, action, id string, from, to domain.PoisonState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.at(id)
	switch {
	case err != nil:
	case p.State != from:
		err = domain.Errorf(domain.CodeConflict, "the poison message is %s, not %s", p.State, from)
	case by.IfVersion != 0 && by.IfVersion != p.Version:
		err = domain.Errorf(domain.CodeConflict, "the poison message has changed: it has version %d", p.Version)
	}
	if err != nil {
		m.log(by, action, id, "refused")
		return err
	}
	p.State, p.Version, p.Reason, p.UpdatedAt = to, p.Version+1, by.Reason, time.Now()
	m.log(by, action, id, "done")
	return nil
}

func (m *memory) RequeuePoison(_ context.Context, by domain.Act, id string) error {
	return m.move(by, "poison.requeue", id, domain.PoisonOpen, domain.PoisonRequeued)
}

func (m *memory) DiscardPoison(_ context.Context, by domain.Act, id string) error {
	return m.move(by, "poison.discard", id, domain.PoisonOpen, domain.PoisonDiscarded)
}

func (m *memory) RestorePoison(_ context.Context, by domain.Act, id string) error {
	return m.move(by, "poison.restore", id, domain.PoisonDiscarded, domain.PoisonOpen)
}

func (m *memory) CreateOperation(_ context.Context, by domain.Act, r domain.OperationRequest) (domain.Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id := m.keys[by.IdempotencyKey]; by.IdempotencyKey != "" && id != "" {
		return *m.operation(id), nil
	}
	found := m.found(r.Filter)
	if len(found) != r.Expect {
		m.log(by, "operation.create", string(r.Kind), "refused")
		return domain.Operation{}, domain.Errorf(domain.CodeConflict, "%d messages match, not %d", len(found), r.Expect)
	}
	op := domain.Operation{
		ID: domain.NewID("op"), Kind: r.Kind, State: domain.OperationRunning, Filter: r.Filter, Reason: by.Reason, Operator: by.Operator,
		Total: len(found), Pending: len(found), PerSecond: cmp.Or(r.PerSecond, 50), CreatedAt: domain.At(time.Now()),
	}
	for _, p := range found {
		m.items[op.ID] = append(m.items[op.ID], domain.OperationItem{PoisonID: p.ID, State: domain.ItemPending})
	}
	m.operations = append([]domain.Operation{op}, m.operations...)
	m.keys[by.IdempotencyKey] = op.ID
	m.log(by, "operation.create", op.ID, "done")
	return op, nil
}

func (m *memory) operation(id string) *domain.Operation {
	i := slices.IndexFunc(m.operations, func(op domain.Operation) bool { return op.ID == id })
	if i < 0 {
		return nil
	}
	return &m.operations[i]
}

func (m *memory) CancelOperation(_ context.Context, by domain.Act, id string) (domain.Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	op := m.operation(id)
	if op == nil {
		return domain.Operation{}, domain.Errorf(domain.CodeNotFound, "no such operation")
	}
	if op.State != domain.OperationRunning {
		return domain.Operation{}, domain.Errorf(domain.CodeConflict, "the operation is %s", op.State)
	}
	now := domain.At(time.Now())
	op.State, op.Why, op.FinishedAt = domain.OperationCancelled, "cancelled by "+by.Operator, &now
	m.log(by, "operation.cancel", id, "done")
	return *op, nil
}

func (m *memory) Operation(_ context.Context, id string) (domain.Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if op := m.operation(id); op != nil {
		return *op, nil
	}
	return domain.Operation{}, domain.Errorf(domain.CodeNotFound, "no such operation")
}

func (m *memory) Operations(_ context.Context, p domain.Page) ([]domain.Operation, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return page(slices.Clone(m.operations), p)
}

func (m *memory) OperationItems(_ context.Context, id string, state domain.ItemState, p domain.Page) ([]domain.OperationItem, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return page(slices.DeleteFunc(slices.Clone(m.items[id]), func(i domain.OperationItem) bool { return state != "" && i.State != state }), p)
}

func (m *memory) Audit(_ context.Context, f domain.AuditFilter, p domain.Page) ([]domain.AuditEntry, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	is := func(want, have string) bool { return want == "" || want == have }
	found := slices.DeleteFunc(slices.Clone(m.audit), func(e domain.AuditEntry) bool {
		return !is(f.Operator, e.Operator) || !is(f.Action, e.Action) || !is(f.Target, e.Target) || !is(f.Outcome, e.Outcome)
	})
	slices.Reverse(found)
	return page(found, p)
}

func (m *memory) RecordAct(_ context.Context, e domain.AuditEntry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.ID, e.At = int64(len(m.audit)+1), domain.At(time.Now())
	m.audit = append(m.audit, e)
	return nil
}

// add puts a message into the queue.
func (m *memory) add(n int, change func(*domain.Poison)) domain.Poison {
	at := time.Now().Add(-time.Duration(n) * time.Minute)
	p := domain.Poison{
		ID: fmt.Sprintf("psn_%d", n), State: domain.PoisonOpen, Version: 1, Fingerprint: "00000000000000aa",
		Event: domain.Event{
			ID: fmt.Sprintf("event-%d", n), Type: domain.EventMemberUpdated, WorkspaceID: "ws_1", AggregateID: "mem_1", CreatedAt: at,
			Payload:  json.RawMessage(`{"version":7,"name":"Olive Owner","tags":["a1",true,null]}`),
			Metadata: map[string]string{domain.MetaCorrelationID: "req_1", "email": "olive@acme.test"},
		},
		Projector: string(domain.EventMemberUpdated), Error: `project member "Olive Owner": column missing`, ErrorClass: "*errors.errorString",
		ErrorChain: []string{`project member "Olive Owner": column missing`, "column missing"}, Where: "project member <text>: column missing",
		Attempts: []domain.PoisonAttempt{{At: at, DurationMS: 1.5, Error: "column missing"}, {At: at.Add(time.Second), DurationMS: 3, Error: "column missing"}},
		Build:    "v1", Node: "node-1", PoisonedAt: at, UpdatedAt: at,
	}
	if change != nil {
		change(&p)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.poison = append(m.poison, p)
	return p
}

// world is a console over memory, with everything else at hand.
type world struct {
	*memory
	sessions []domain.SessionInfo
	closed   []string
	trace    *domain.Trace // one more that is known
}

func newWorld() *world {
	return &world{
		memory:   &memory{items: map[string][]domain.OperationItem{}, keys: map[string]string{}},
		sessions: []domain.SessionInfo{{ID: "ses_1", Transport: "ws", WorkspaceID: "ws_1", Workspace: "acme", MemberID: "mem_1", Position: domain.Position{Epoch: "k3f9", Offset: 41}, Behind: 1, LagMS: 12, OpenedAt: domain.At(time.Now())}},
	}
}

func (w *world) Sessions(workspace, member string, limit int) []domain.SessionInfo {
	found := slices.DeleteFunc(slices.Clone(w.sessions), func(s domain.SessionInfo) bool {
		return workspace != "" && s.WorkspaceID != workspace || member != "" && s.MemberID != member
	})
	return found[:min(limit, len(found))]
}

func (w *world) Audience(string, domain.Channel) map[string]int {
	return map[string]int{"ws": 2, "sse": 1}
}

func (w *world) Disconnect(id string) error {
	if id != "ses_1" {
		return domain.Errorf(domain.CodeNotFound, "no such session")
	}
	w.closed = append(w.closed, id)
	return nil
}

func (w *world) Preview(_ context.Context, ev domain.Event) (domain.PoisonSample, error) {
	return domain.PoisonSample{Events: []domain.PreviewedEvent{{
		Type: domain.ServerMemberUpdated, Channel: domain.WorkspaceChannel(ev.WorkspaceID), Data: json.RawMessage(`{"member":{"name":"Olive Owner"}}`),
	}}}, nil
}

func (w *world) AggregateNow(context.Context, domain.Event) (any, error) {
	return map[string]any{"id": "mem_1", "name": "Olive Owner"}, nil
}

func (w *world) Trace(_ context.Context, id string) (domain.Trace, error) {
	if w.trace != nil && w.trace.EventID == id {
		t := *w.trace
		t.Attempts = slices.Clone(t.Attempts)
		return t, nil
	}
	if id != "event-1" {
		return domain.Trace{}, domain.Errorf(domain.CodeNotFound, "no such event")
	}
	at := func(ms int) *domain.Time {
		t := domain.At(time.Now().Add(time.Duration(ms) * time.Millisecond))
		return &t
	}
	return domain.Trace{
		EventID: id, Type: domain.EventMemberUpdated, WorkspaceID: "ws_1", AggregateID: "mem_1", State: "projected",
		PublishedAt: at(0), ClaimedAt: at(1), Node: "node-1", ProjectedMS: 1.2, CommittedAt: at(4),
		Entries: []domain.TraceEntry{{
			Position: domain.Position{Epoch: "k3f9", Offset: 42}, Channel: "workspace:ws_1", Type: domain.ServerMemberUpdated,
			Writes: []domain.TraceWrite{{Node: "node-1", Transport: "ws", Live: 3, Replayed: 1, FirstAt: *at(5), LastAt: *at(9)}},
		}},
	}, nil
}

func (w *world) TraceTab(ctx context.Context, id, tab string) (domain.Trace, error) {
	t, err := w.Trace(ctx, id)
	t.Session = &domain.TraceSession{Asked: tab, Connected: w.sessions, Verdicts: []string{"the session has it"}}
	t.Waiting = &domain.TraceWaiting{Ahead: 3}
	return t, err
}

func (w *world) Status(context.Context) domain.OpsStatus {
	now := domain.At(time.Now())
	st := domain.OpsStatus{
		Node: "node-1", Build: "v1", StartedAt: domain.At(now.Add(-3 * time.Hour)), At: now,
		Verdict: domain.Verdict{State: "poisoned", Why: []string{"2 open poison messages in 1 group, the oldest 12 minutes old"}},
		Lanes:   []domain.LaneInfo{{Lane: 0, Owned: true}, {Lane: 1, Pending: 3, OldestAgeMS: 12.5, Owner: "node-2"}, {Lane: 2, Owned: true, LastError: "database away"}},
		Stages:  []domain.Stage{{Name: "claimed", Count: 1200, P50: 0.6, P95: 2.1, P99: 4}, {Name: "projected", Count: 1200, P50: 0.9, P95: 1.9, P99: 3}, {Name: "committed", Count: 1200, P50: 1.1, P95: 2.5, P99: 6}, {Name: "written", Count: 9000, P50: 0.4, P95: 3, P99: 8}, {Name: "total", Count: 9000, P50: 3.1, P95: 8.2, P99: 14}},
		Poison:  map[domain.PoisonState]int{domain.PoisonOpen: 2, domain.PoisonHealed: 11},
		Sessions: domain.SessionStats{Open: map[string]int{"ws": 812, "sse": 31, "poll": 4}, Opened: map[string]int{"ws": 2812, "sse": 131, "poll": 14},
			Closed: map[string]int{"client": 1900, "going_away": 180, "slow_consumer": 3}, Resumes: map[string]int{"resumed": 1700, "fresh": 220, "resync:trimmed": 2}, Members: 640},
		Slow:     w.sessions,
		Channels: []domain.ChannelStats{{WorkspaceID: "ws_1", Channel: "workspace:ws_1", Sessions: 80, Events: 412}},
	}
	for i := range 180 {
		x := float64(i%37) + float64(i*i%11)
		st.Series = append(st.Series, domain.Sample{At: now, Published: 20 + x, Projected: 18 + x, Written: 300 + 9*x, Pending: i % 5, Sessions: 800 + i, Poison: i / 100, TotalP99: 8 + x/4})
	}
	return st
}

func (w *world) Follow(ctx context.Context, workspace, _ string, emit func(domain.Position, domain.Entry) error) error {
	for i := range int64(3) {
		err := emit(domain.Position{Epoch: "k3f9", Offset: i + 1}, domain.Entry{Offset: i + 1, Channel: domain.WorkspaceChannel(workspace), Type: domain.ServerMemberUpdated, Data: []byte(`{"member":{"name":"Olive"}}`), EventID: "event-1", At: time.Now()})
		if err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) Workspace(_ context.Context, id string) (domain.Workspace, error) {
	if id != "ws_1" {
		return domain.Workspace{}, domain.Errorf(domain.CodeNotFound, "no such workspace")
	}
	return domain.Workspace{ID: "ws_1", Slug: "acme"}, nil
}

func (w *world) WorkspaceBySlug(ctx context.Context, slug string) (domain.Workspace, error) {
	if slug != "acme" {
		return domain.Workspace{}, domain.Errorf(domain.CodeNotFound, "no such workspace")
	}
	return w.Workspace(ctx, "ws_1")
}

func (w *world) ports() Ports {
	return Ports{
		Queue: w.memory, Previewer: w, Aggregates: w, Tracer: w, Monitor: w, Sessions: w, Tail: w, Workspaces: w,
		Export: func(_ context.Context, p domain.Poison) (any, error) { return map[string]any{"event": p.Event.ID}, nil },
	}
}
