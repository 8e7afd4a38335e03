package domain

import (
	"encoding/json"
	"time"
)

// PoisonState is where a poison message stands.
type PoisonState string

const (
	PoisonOpen       PoisonState = "open"       // waits for an operator
	PoisonRequeued   PoisonState = "requeued"   // sent back, not handled yet
	PoisonHealed     PoisonState = "healed"     // handled after a requeue
	PoisonSuperseded PoisonState = "superseded" // a later event of the aggregate was projected: moot
	PoisonDiscarded  PoisonState = "discarded"  // dropped by an operator, with a reason; can be restored
)

// PoisonStates lists every state, the ones that need somebody first.
var PoisonStates = []PoisonState{PoisonOpen, PoisonRequeued, PoisonHealed, PoisonSuperseded, PoisonDiscarded}

// PoisonAttempt is one try at handling an event.
type PoisonAttempt struct {
	At         time.Time `json:"at"`
	DurationMS float64   `json:"durationMs"`
	Error      string    `json:"error"`
}

// Poison is the full story of an event that could not be handled.
type Poison struct {
	ID          string
	State       PoisonState
	Version     int64  // grows with every change of the row: what If-Match names
	Fingerprint string // the group it belongs to: 16 hex digits
	Event       Event  // payload and metadata untouched
	Projector   string // the projector that failed
	Error       string // the outermost error's text
	ErrorClass  string // panic, timeout, or the error's code or Go type
	ErrorChain  []string
	// Where is what the fingerprint was made of beside projector and class: the
	// first stack frame of ours, or else the message with ids and numbers masked.
	Where string
	// Kind is what the event's AggregateID points at: EventSpec.Aggregate, or ""
	// for a type that nobody knows.
	Kind string
	// Told are the channels that got system.stale, Stale those of them that have
	// not had system.healed since, and Untold says why nobody was told.
	Told, Stale []Channel
	Untold      string
	// Seq is the event's place in the outbox when it failed last; 0: not known.
	Seq        int64
	Stack      string // for panics: the goroutine's stack at the panic
	Attempts   []PoisonAttempt
	Build      string // version of the binary that gave up
	Node       string // host and process that gave up
	Requeues   int
	Reason     string // why it was discarded
	PoisonedAt time.Time
	UpdatedAt  time.Time
}

// Superseded reports whether a later projection of the aggregate has made up for
// it on every tab that was told.
func (p Poison) Superseded() bool {
	return p.State == PoisonSuperseded || len(p.Told) > 0 && len(p.Stale) == 0
}

// PoisonGroup is all poison of one fingerprint.
type PoisonGroup struct {
	Fingerprint string              `json:"fingerprint"`
	Newest      string              `json:"newest"` // id of the message that the next four are of
	Projector   string              `json:"projector"`
	ErrorClass  string              `json:"errorClass"`
	Where       string              `json:"where"`
	Error       string              `json:"error"` // of the newest
	Counts      map[PoisonState]int `json:"counts"`
	Workspaces  int                 `json:"workspaces"` // with open or requeued messages
	Builds      []string            `json:"builds"`     // newest first, at most 10
	FirstSeen   Time                `json:"firstSeen"`
	LastSeen    Time                `json:"lastSeen"`
	OldestOpen  *Time               `json:"oldestOpen"` // null when none is open
}

// PoisonFilter narrows what is listed, grouped or selected. Zero fields match
// everything.
type PoisonFilter struct {
	States      []PoisonState `json:"states,omitempty"`
	Fingerprint string        `json:"fingerprint,omitempty"`
	WorkspaceID string        `json:"workspaceId,omitempty"`
	AggregateID string        `json:"aggregateId,omitempty"`
	Type        EventType     `json:"type,omitempty"`
	Projector   string        `json:"projector,omitempty"`
	Text        string        `json:"text,omitempty"`  // found in the error or an id, letter case ignored
	Since       *time.Time    `json:"since,omitempty"` // poisoned at or after
	Until       *time.Time    `json:"until,omitempty"` // poisoned before
	IDs         []string      `json:"ids,omitempty"`   // exactly these
	// IDsAlone looks for Text in ids alone: for whom errors are masked, a search
	// in them would be a way to guess what they say.
	IDsAlone bool `json:"-"`
}

// Page asks for a piece of a list. Keyset pagination: After is the cursor that
// the page before returned.
type Page struct {
	Limit int // 1 to 1000, default 100
	After string
}

// PoisonSample is what the projector would do now: Preview's answer.
type PoisonSample struct {
	// Events are what would be appended, in order; none: silence.
	Events []PreviewedEvent `json:"events"`
	// Error is what it would fail with, else "".
	Error      string `json:"error,omitempty"`
	ErrorClass string `json:"errorClass,omitempty"`
	// Superseded: a later event of the aggregate was projected, so that tabs
	// have this or newer already.
	Superseded bool `json:"superseded"`
}

// PreviewedEvent is one server event as it would be, and who would get it now.
type PreviewedEvent struct {
	Type    ServerEventType `json:"type"`
	Channel Channel         `json:"channel"`
	Data    json.RawMessage `json:"data"`
	// Sessions counts this node's sessions on the channel, by transport. It is
	// filled in where a hub is at hand.
	Sessions map[string]int `json:"sessions"`
	Revokes  bool           `json:"revokes"` // it would end somebody's right
}
