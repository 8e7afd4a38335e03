package domain

import "time"

// Act says who does something to the poison queue, and how. It is written to
// the audit in the transaction of the act.
type Act struct {
	Operator string // a name from the configuration, or the system user of the command line
	Role     string // viewer or operator; "direct" for the command line on the database
	Via      string // console, api, cli or direct
	Reason   string // why; required to discard
	// IfVersion makes the act fail with CodeConflict unless the message still
	// has that version; 0: whatever it has.
	IfVersion int64
	// IdempotencyKey makes the same request twice one act: 1 to 128 printable
	// ASCII characters, remembered for a day; "" if there is none.
	IdempotencyKey string
}

// OperationKind is what a bulk operation does to each message.
type OperationKind string

const (
	OperationRequeue OperationKind = "requeue"
	OperationDiscard OperationKind = "discard"
	OperationRestore OperationKind = "restore"
)

// OperationState is where an operation stands.
type OperationState string

const (
	OperationRunning   OperationState = "running"
	OperationDone      OperationState = "done"      // every item has an outcome
	OperationStopped   OperationState = "stopped"   // by itself: the canary failed
	OperationCancelled OperationState = "cancelled" // by an operator
)

// Operation is a bulk act. Its selection is pinned when it is made: what
// matches later is not in it. It survives a restart.
type Operation struct {
	ID       string         `json:"id"`
	Kind     OperationKind  `json:"kind"`
	State    OperationState `json:"state"`
	Filter   PoisonFilter   `json:"filter"` // what was asked for
	Reason   string         `json:"reason,omitempty"`
	Operator string         `json:"operator"`
	// Total items were pinned. Requeues begin with a canary: 1, then 10, then
	// the rest; Stage is the number of items let through so far.
	Total     int `json:"total"`
	Stage     int `json:"stage"`
	Pending   int `json:"pending"`
	InFlight  int `json:"inFlight"` // requeued, outcome awaited
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Skipped   int `json:"skipped"` // changed by somebody else meanwhile
	// PerSecond is the rate limit, items a second.
	PerSecond  int    `json:"perSecond"`
	Why        string `json:"why,omitempty"` // it stopped, or was cancelled
	CreatedAt  Time   `json:"createdAt"`
	FinishedAt *Time  `json:"finishedAt"`
}

// OperationRequest asks for one.
type OperationRequest struct {
	Kind   OperationKind
	Filter PoisonFilter
	// Expect is how many the operator saw; another number selected is
	// CodeConflict, and nothing is done.
	Expect    int
	PerSecond int  // 1 to 1000, default 50
	NoCanary  bool // everything at once, at the rate
}

// ItemState is the outcome of one message of an operation.
type ItemState string

const (
	ItemPending   ItemState = "pending"
	ItemInFlight  ItemState = "inFlight"
	ItemSucceeded ItemState = "succeeded"
	ItemFailed    ItemState = "failed"
	ItemSkipped   ItemState = "skipped"
)

// OperationItem is one message of an operation.
type OperationItem struct {
	PoisonID string    `json:"poisonId"`
	State    ItemState `json:"state"`
	Detail   string    `json:"detail,omitempty"`
	At       *Time     `json:"at"`
}

// AuditEntry is one act, or the refusal of one.
type AuditEntry struct {
	ID       int64  `json:"id,string"`
	At       Time   `json:"at"`
	Operator string `json:"operator"`
	Role     string `json:"role"`
	Via      string `json:"via"`
	Action   string `json:"action"`  // poison.requeue, operation.create, session.close, login, …
	Target   string `json:"target"`  // an id
	Outcome  string `json:"outcome"` // done, denied (not allowed) or refused (a conflict, a bad request)
	Reason   string `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// AuditFilter narrows the audit. Zero fields match everything.
type AuditFilter struct {
	Operator, Action, Target, Outcome string
	Since, Until                      *time.Time
}
