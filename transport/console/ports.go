// Package console is the operators' side, on the admin listener: one REST API,
// the pages over it, and nothing that a tab could reach.
package console

import (
	"context"

	"github.com/orbit/realtime/domain"
)

// Queue is the poison queue with its operations and audit. Package store
// implements it. Everything that changes something writes its audit entry in
// the same transaction. Errors: CodeNotFound, CodeConflict (not in the state
// for it, another version, another count than expected), CodeInvalid.
type Queue interface {
	// PoisonGroups lists groups, those with open messages first, then newest
	// and biggest first. next is the cursor of the page after, "" at the end.
	PoisonGroups(ctx context.Context, f domain.PoisonFilter, p domain.Page) (groups []domain.PoisonGroup, next string, err error)
	// ListPoison lists messages, newest first.
	ListPoison(ctx context.Context, f domain.PoisonFilter, p domain.Page) (list []domain.Poison, next string, err error)
	// CountPoison counts what a filter selects, by state.
	CountPoison(ctx context.Context, f domain.PoisonFilter) (map[domain.PoisonState]int, error)
	PoisonByID(ctx context.Context, id string) (domain.Poison, error)

	RequeuePoison(ctx context.Context, by domain.Act, id string) error
	DiscardPoison(ctx context.Context, by domain.Act, id string) error
	RestorePoison(ctx context.Context, by domain.Act, id string) error

	CreateOperation(ctx context.Context, by domain.Act, r domain.OperationRequest) (domain.Operation, error)
	CancelOperation(ctx context.Context, by domain.Act, id string) (domain.Operation, error)
	Operation(ctx context.Context, id string) (domain.Operation, error)
	Operations(ctx context.Context, p domain.Page) (list []domain.Operation, next string, err error)
	OperationItems(ctx context.Context, id string, state domain.ItemState, p domain.Page) (items []domain.OperationItem, next string, err error)

	Audit(ctx context.Context, f domain.AuditFilter, p domain.Page) (entries []domain.AuditEntry, next string, err error)
	// RecordAct writes an audit entry by itself: sign-ins, denials, and acts on
	// what isn't in the database (a session).
	RecordAct(ctx context.Context, e domain.AuditEntry) error
}

// Previewer runs an event's projector for a look. Package pipeline implements it.
type Previewer interface {
	Preview(ctx context.Context, ev domain.Event) (domain.PoisonSample, error)
}

// Aggregates reads what an event is about as it is now: the rows as JSON, null
// when gone. Package pipeline implements it over domain.Reader.
type Aggregates interface {
	AggregateNow(ctx context.Context, ev domain.Event) (any, error)
}

// Tracer tells the way of one event; CodeNotFound for an id nobody knows.
type Tracer interface {
	Trace(ctx context.Context, eventID string) (domain.Trace, error)
}

// TabTracer is a Tracer that also knows how an event stands to one tab: a
// session's id or a member's, on this node.
type TabTracer interface {
	TraceTab(ctx context.Context, eventID, who string) (domain.Trace, error)
}

// Monitor knows how this node is doing. Package app/telemetry implements it.
type Monitor interface {
	Status(ctx context.Context) domain.OpsStatus
}

// Sessions are the sessions of all nodes, as far as they answer. Package app
// implements it over hub.
type Sessions interface {
	// Sessions lists sessions, newest first; "" matches every workspace or member.
	Sessions(workspaceID, memberID string, limit int) []domain.SessionInfo
	// Audience counts the sessions on a channel by transport.
	Audience(workspaceID string, channel domain.Channel) map[string]int
	// Disconnect ends a session; its client may come back. CodeNotFound if it is gone.
	Disconnect(sessionID string) error
}

// Tail follows a workspace's server events as a session with every right would
// see them, for `orbit tail`. Package app implements it over the log.
type Tail interface {
	// Follow calls emit for each entry after the position ("" is: from now on)
	// until ctx ends or emit fails.
	Follow(ctx context.Context, workspace, after string, emit func(domain.Position, domain.Entry) error) error
}
