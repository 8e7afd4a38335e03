package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
)

// Ports is what the console works with. Queue is required; where another is
// nil, as without a running server, what needs it answers CodeUnavailable.
type Ports struct {
	Queue      Queue
	Previewer  Previewer
	Aggregates Aggregates
	Tracer     Tracer
	Monitor    Monitor
	Sessions   Sessions
	Tail       Tail
	Workspaces Workspaces
	// Export makes the fixture of a message: its event and the rows that the
	// projector reads, redacted.
	Export func(ctx context.Context, p domain.Poison) (any, error)
}

// Workspaces finds a workspace. domain.Reader implements it.
type Workspaces interface {
	Workspace(ctx context.Context, id string) (domain.Workspace, error)
	WorkspaceBySlug(ctx context.Context, slug string) (domain.Workspace, error)
}

// Service is all that operators can do, whichever way they come: the API and
// the pages are two faces of it. Every method masks payloads for viewers, and
// refuses acts to them with CodeForbidden, which the audit records.
type Service struct{ Ports }

func absent(what string) error {
	return domain.Errorf(domain.CodeUnavailable, "%s needs a running server: ask one with --server instead of --dsn", what)
}

// Groups lists poison groups, open and big ones first.
func (s *Service) Groups(ctx context.Context, who Caller, f domain.PoisonFilter, p domain.Page) (List[domain.PoisonGroup], error) {
	groups, next, err := s.Queue.PoisonGroups(ctx, f, p)
	if err != nil {
		return List[domain.PoisonGroup]{}, err
	}
	groups, err = s.viewGroups(ctx, who, groups)
	return List[domain.PoisonGroup]{Items: groups, Next: next}, err
}

// viewGroups are groups as the caller may see them. What a viewer may see of an
// error depends on what its event says, so the newest messages are looked up.
func (s *Service) viewGroups(ctx context.Context, who Caller, groups []domain.PoisonGroup) ([]domain.PoisonGroup, error) {
	newest := map[string]domain.Poison{}
	if !who.seesAll() && len(groups) > 0 {
		f := domain.PoisonFilter{}
		for _, g := range groups {
			f.IDs = append(f.IDs, g.Newest)
		}
		found, _, err := s.Queue.ListPoison(ctx, f, domain.Page{Limit: len(groups)})
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			newest[p.ID] = p
		}
	}
	views := make([]domain.PoisonGroup, 0, len(groups))
	for _, g := range groups {
		views = append(views, viewGroup(g, who, newest[g.Newest]))
	}
	return views, nil
}

// Group finds one group.
func (s *Service) Group(ctx context.Context, who Caller, fingerprint string) (domain.PoisonGroup, error) {
	groups, _, err := s.Queue.PoisonGroups(ctx, domain.PoisonFilter{Fingerprint: fingerprint}, domain.Page{Limit: 1})
	if err == nil && len(groups) == 0 {
		err = domain.Errorf(domain.CodeNotFound, "no such group")
	}
	if err == nil {
		groups, err = s.viewGroups(ctx, who, groups)
	}
	if err != nil {
		return domain.PoisonGroup{}, err
	}
	return groups[0], nil
}

// Messages lists poison messages, newest first.
func (s *Service) Messages(ctx context.Context, who Caller, f domain.PoisonFilter, p domain.Page, detail bool) (List[Message], error) {
	found, next, err := s.Queue.ListPoison(ctx, f, p)
	list := List[Message]{Items: make([]Message, 0, len(found)), Next: next}
	for _, m := range found {
		list.Items = append(list.Items, viewMessage(m, who, detail))
	}
	return list, err
}

// Message returns one in full.
func (s *Service) Message(ctx context.Context, who Caller, id string) (Message, error) {
	p, err := s.Queue.PoisonByID(ctx, id)
	if err != nil {
		return Message{}, err
	}
	return viewMessage(p, who, true), nil
}

// Count counts what a filter selects, by state.
func (s *Service) Count(ctx context.Context, f domain.PoisonFilter) (map[domain.PoisonState]int, error) {
	counts, err := s.Queue.CountPoison(ctx, f)
	if err != nil {
		return nil, err
	}
	all := make(map[domain.PoisonState]int, len(domain.PoisonStates))
	for _, state := range domain.PoisonStates {
		all[state] = counts[state]
	}
	return all, nil
}

// Stats sums up what a filter selects.
func (s *Service) Stats(ctx context.Context, f domain.PoisonFilter) (PoisonStats, error) {
	var stats PoisonStats
	var err error
	if stats.Counts, err = s.Count(ctx, f); err != nil || stats.Counts[domain.PoisonOpen] == 0 {
		return stats, err
	}
	f.States = []domain.PoisonState{domain.PoisonOpen}
	groups, _, err := s.Queue.PoisonGroups(ctx, f, domain.Page{Limit: 1000})
	stats.Groups = len(groups)
	for _, g := range groups {
		if g.OldestOpen != nil && (stats.OldestOpen == nil || g.OldestOpen.Before(stats.OldestOpen.Time)) {
			stats.OldestOpen = g.OldestOpen
		}
	}
	stats.OldestOpenMS = age(stats.OldestOpen, time.Now())
	return stats, err
}

// Preview runs the projector that failed, for a look: what it would append, and
// how many of this node's sessions would get that.
func (s *Service) Preview(ctx context.Context, who Caller, id string) (domain.PoisonSample, error) {
	if s.Previewer == nil {
		return domain.PoisonSample{}, absent("a preview")
	}
	p, err := s.Queue.PoisonByID(ctx, id)
	if err != nil {
		return domain.PoisonSample{}, err
	}
	sample, err := s.Previewer.Preview(ctx, p.Event)
	if err != nil {
		return sample, err
	}
	sample.Error = valid(sample.Error)
	if !who.seesAll() {
		sample.Error = newRedactor(p.Event).text(sample.Error)
	}
	events := make([]domain.PreviewedEvent, 0, len(sample.Events))
	for _, ev := range sample.Events {
		if s.Sessions != nil {
			ev.Sessions = s.Sessions.Audience(p.Event.WorkspaceID, ev.Channel)
		}
		if ev.Sessions == nil {
			ev.Sessions = map[string]int{}
		}
		if !who.seesAll() {
			ev.Data = redactJSON(ev.Data)
		}
		events = append(events, ev)
	}
	sample.Events = events
	return sample, nil
}

// AggregateNow reads what a message is about as it is now, null when it is gone.
func (s *Service) AggregateNow(ctx context.Context, who Caller, id string) (json.RawMessage, error) {
	if s.Aggregates == nil {
		return nil, absent("an aggregate")
	}
	p, err := s.Queue.PoisonByID(ctx, id)
	if err != nil {
		return nil, err
	}
	now, err := s.Aggregates.AggregateNow(ctx, p.Event)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(now)
	if err != nil {
		return nil, err
	}
	if !who.seesAll() {
		raw = redactJSON(raw)
	}
	return raw, nil
}

// Fixture exports a message for a test on a developer's machine.
func (s *Service) Fixture(ctx context.Context, who Caller, id string) (any, error) {
	if err := s.allow(ctx, who, "poison.export", id); err != nil {
		return nil, err
	}
	if s.Export == nil {
		return nil, absent("an export")
	}
	p, err := s.Queue.PoisonByID(ctx, id)
	if err != nil {
		return nil, err
	}
	fixture, err := s.Export(ctx, p)
	if err != nil {
		return nil, err
	}
	return fixture, s.record(ctx, who, domain.AuditEntry{Action: "poison.export", Target: id, Outcome: "done"}, nil)
}

// Verb is what is done to one message.
type Verb string

const (
	VerbRequeue Verb = "requeue"
	VerbDiscard Verb = "discard"
	VerbRestore Verb = "restore"
)

// ActOptions are the particulars of an act.
type ActOptions struct {
	Reason         string
	IfVersion      int64
	IdempotencyKey string
}

func (o ActOptions) by(who Caller) domain.Act {
	return domain.Act{
		Operator: who.Operator, Role: string(who.Role), Via: who.Via,
		Reason: strings.TrimSpace(o.Reason), IfVersion: o.IfVersion, IdempotencyKey: o.IdempotencyKey,
	}
}

// Act does something to one message, once, and returns it as it is after.
func (s *Service) Act(ctx context.Context, who Caller, verb Verb, id string, o ActOptions) (Message, error) {
	if err := s.allow(ctx, who, "poison."+string(verb), id); err != nil {
		return Message{}, err
	}
	do := map[Verb]func(context.Context, domain.Act, string) error{
		VerbRequeue: s.Queue.RequeuePoison, VerbDiscard: s.Queue.DiscardPoison, VerbRestore: s.Queue.RestorePoison,
	}[verb]
	act := o.by(who)
	if verb == VerbDiscard && act.Reason == "" {
		return Message{}, domain.InvalidField("reason", "a discard needs a reason; it is kept with the message")
	}
	if err := do(ctx, act, id); err != nil {
		return Message{}, err
	}
	return s.Message(ctx, who, id)
}

// selectable is the state that a message must have for a kind of operation.
var selectable = map[domain.OperationKind]domain.PoisonState{
	domain.OperationRequeue: domain.PoisonOpen,
	domain.OperationDiscard: domain.PoisonOpen,
	domain.OperationRestore: domain.PoisonDiscarded,
}

// Matching counts what an operation of that kind would be about now.
func (s *Service) Matching(ctx context.Context, kind domain.OperationKind, f domain.PoisonFilter) (int, error) {
	f, err := fitting(kind, f)
	if err != nil {
		return 0, err
	}
	counts, err := s.Queue.CountPoison(ctx, f)
	return counts[selectable[kind]], err
}

// fitting narrows a filter to the messages that an operation can be about.
func fitting(kind domain.OperationKind, f domain.PoisonFilter) (domain.PoisonFilter, error) {
	state, known := selectable[kind]
	if !known {
		return f, domain.InvalidField("kind", "an operation is one of requeue, discard, restore")
	}
	if len(f.States) > 0 && !slices.Contains(f.States, state) {
		return f, domain.InvalidField("filter.states", "only %s messages can be %s", state, participle[kind])
	}
	f.States = []domain.PoisonState{state}
	return f, nil
}

var participle = map[domain.OperationKind]string{
	domain.OperationRequeue: "requeued", domain.OperationDiscard: "discarded", domain.OperationRestore: "restored",
}

// Operate begins a bulk operation over what r selects.
func (s *Service) Operate(ctx context.Context, who Caller, r domain.OperationRequest, o ActOptions) (domain.Operation, error) {
	if err := s.allow(ctx, who, "operation.create", string(r.Kind)); err != nil {
		return domain.Operation{}, err
	}
	var err error
	if r.Filter, err = fitting(r.Kind, r.Filter); err != nil {
		return domain.Operation{}, err
	}
	act := o.by(who)
	if r.Kind == domain.OperationDiscard && act.Reason == "" {
		return domain.Operation{}, domain.InvalidField("reason", "a discard needs a reason; it is kept with every message")
	}
	return s.Queue.CreateOperation(ctx, act, r)
}

// CancelOperation ends an operation: what it has not begun stays as it is.
func (s *Service) CancelOperation(ctx context.Context, who Caller, id string, o ActOptions) (domain.Operation, error) {
	if err := s.allow(ctx, who, "operation.cancel", id); err != nil {
		return domain.Operation{}, err
	}
	return s.Queue.CancelOperation(ctx, o.by(who), id)
}

// OperationItems lists what became of each message. Of a failed one that is its
// error's text: viewers look at the message, where it is masked.
func (s *Service) OperationItems(ctx context.Context, who Caller, id string, state domain.ItemState, p domain.Page) (List[domain.OperationItem], error) {
	found, next, err := s.Queue.OperationItems(ctx, id, state, p)
	list := List[domain.OperationItem]{Items: make([]domain.OperationItem, 0, len(found)), Next: next}
	for _, item := range found {
		if item.Detail = valid(item.Detail); item.State == domain.ItemFailed && !who.seesAll() {
			item.Detail = maskedText
		}
		list.Items = append(list.Items, item)
	}
	return list, err
}

// Audit lists who did what, newest first.
func (s *Service) Audit(ctx context.Context, f domain.AuditFilter, p domain.Page) (List[domain.AuditEntry], error) {
	entries, next, err := s.Queue.Audit(ctx, f, p)
	return List[domain.AuditEntry]{Items: nonNil(entries), Next: next}, err
}

// Trace tells the way of one event; with a tab, which is the id of a session or
// a member, also what became of it there.
func (s *Service) Trace(ctx context.Context, who Caller, eventID, tab string) (domain.Trace, error) {
	if s.Tracer == nil {
		return domain.Trace{}, absent("a trace")
	}
	find := s.Tracer.Trace
	if tab != "" {
		tracer, ok := s.Tracer.(TabTracer)
		if !ok {
			return domain.Trace{}, absent("a look at a tab")
		}
		find = func(ctx context.Context, id string) (domain.Trace, error) { return tracer.TraceTab(ctx, id, tab) }
	}
	trace, err := find(ctx, eventID)
	if err != nil {
		return trace, err
	}
	trace.Attempts, trace.Entries = nonNil(trace.Attempts), nonNil(trace.Entries)
	text := valid
	if !who.seesAll() && trace.PoisonID != "" {
		p, err := s.Queue.PoisonByID(ctx, trace.PoisonID)
		if err != nil {
			return domain.Trace{}, err
		}
		text = newRedactor(p.Event).text
	}
	for i, a := range trace.Attempts {
		trace.Attempts[i].Error = text(a.Error)
	}
	return trace, nil
}

// Status tells how this node is doing.
func (s *Service) Status(ctx context.Context) (domain.OpsStatus, error) {
	if s.Monitor == nil {
		return domain.OpsStatus{}, absent("the status")
	}
	return s.Monitor.Status(ctx), nil
}

// maxSessions is how many sessions an answer holds at most.
const maxSessions = 20_000

// ListSessions lists the sessions of all nodes, newest first.
func (s *Service) ListSessions(workspaceID, memberID string, limit int) ([]domain.SessionInfo, error) {
	if s.Sessions == nil {
		return nil, absent("the list of sessions")
	}
	return nonNil(s.Sessions.Sessions(workspaceID, memberID, limit)), nil
}

// Presence sums the sessions of all nodes by workspace, the biggest first.
func (s *Service) Presence() ([]WorkspacePresence, error) {
	sessions, err := s.ListSessions("", "", maxSessions)
	if err != nil {
		return nil, err
	}
	byID := map[string]*WorkspacePresence{}
	members := map[[2]string]bool{}
	for _, session := range sessions {
		w := byID[session.WorkspaceID]
		if w == nil {
			w = &WorkspacePresence{WorkspaceID: session.WorkspaceID, Workspace: session.Workspace, Transports: map[string]int{}}
			byID[session.WorkspaceID] = w
		}
		w.Sessions++
		w.Transports[session.Transport]++
		w.Behind = max(w.Behind, session.Behind)
		if who := [2]string{session.WorkspaceID, session.MemberID}; !members[who] {
			members[who] = true
			w.Members++
		}
	}
	list := make([]WorkspacePresence, 0, len(byID))
	for w := range maps.Values(byID) {
		list = append(list, *w)
	}
	slices.SortFunc(list, func(a, b WorkspacePresence) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.WorkspaceID, b.WorkspaceID))
	})
	return list, nil
}

// Disconnect ends one session, of whatever node; its client may come back.
func (s *Service) Disconnect(ctx context.Context, who Caller, id, reason string) error {
	const action = "session.close"
	if err := s.allow(ctx, who, action, id); err != nil {
		return err
	}
	if s.Sessions == nil {
		return absent("a disconnect")
	}
	outcome := "done"
	err := s.Sessions.Disconnect(id)
	if err != nil {
		outcome = "refused"
	}
	return s.record(ctx, who, domain.AuditEntry{Action: action, Target: id, Outcome: outcome, Reason: reason}, err)
}

// workspace finds one by what people type: its slug, or its id.
func (s *Service) workspace(ctx context.Context, name string) (domain.Workspace, error) {
	if s.Workspaces == nil {
		return domain.Workspace{}, absent("a look at workspaces")
	}
	w, err := s.Workspaces.WorkspaceBySlug(ctx, name)
	if errors.Is(err, domain.ErrNotFound) {
		w, err = s.Workspaces.Workspace(ctx, name)
	}
	return w, err
}

// Follow calls emit for each server event of a workspace after
// a position, until ctx ends.
func (s *Service) Follow(ctx context.Context, who Caller, workspace, after string, emit func(TailEvent) error) error {
	if s.Tail == nil {
		return absent("a tail")
	}
	return s.Tail.Follow(ctx, workspace, after, func(p domain.Position, e domain.Entry) error {
		return emit(viewTail(p, e, who))
	})
}

// workspaceID finds the id for what people type: a slug, or an id, of a
// workspace that may be long gone.
func (s *Service) workspaceID(ctx context.Context, name string) (string, error) {
	if name == "" || s.Workspaces == nil || !domain.ValidSlug(name) {
		return name, nil
	}
	w, err := s.Workspaces.WorkspaceBySlug(ctx, name)
	switch {
	case errors.Is(err, domain.ErrNotFound):
		return name, nil
	case err != nil:
		return "", err
	}
	return w.ID, nil
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
