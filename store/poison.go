package store

import (
	"context"
	"time"

	"github.com/orbit/realtime/domain"
)

// PoisonState is where a poison message stands.
type PoisonState string

const (
	PoisonOpen      PoisonState = "open"      // waits for an operator
	PoisonRequeued  PoisonState = "requeued"  // sent back, not handled yet
	PoisonHealed    PoisonState = "healed"    // handled after a requeue
	PoisonDiscarded PoisonState = "discarded" // dropped by an operator, with a reason
)

// PoisonAttempt is one try at handling an event.
type PoisonAttempt struct {
	At         time.Time `json:"at"`
	DurationMS float64   `json:"durationMs"`
	Error      string    `json:"error"`
}

// Poison is the full story of an event that could not be handled.
type Poison struct {
	ID         string
	State      PoisonState
	Event      domain.Event // payload and metadata untouched
	Projector  string       // the projector that failed
	Error      string       // the outermost error's text
	ErrorClass string       // panic, timeout, or the error's code or Go type
	ErrorChain []string     // each wrapped error, outermost first
	Stack      string       // for panics: the goroutine's stack at the panic
	Attempts   []PoisonAttempt
	Build      string // version of the binary that gave up
	Node       string // host and process that gave up
	Requeues   int
	Reason     string // why it was discarded
	PoisonedAt time.Time
	UpdatedAt  time.Time
}

// PoisonFilter narrows ListPoison. Zero fields match everything.
type PoisonFilter struct {
	State       PoisonState
	WorkspaceID string
	Type        domain.EventType
	Limit       int    // 1 to 1000, default 100
	After       string // id of the last one of the page before; newest first
}

// ListPoison lists poison messages, newest first.
func (s *Store) ListPoison(ctx context.Context, f PoisonFilter) ([]Poison, error) { panic("stub") }

// PoisonByID returns one, or an error that matches domain.ErrNotFound.
func (s *Store) PoisonByID(ctx context.Context, id string) (Poison, error) { panic("stub") }

// RequeuePoison sends an open message back to the projector that failed, in
// one transaction, and once: if it isn't open the error is CodeConflict.
func (s *Store) RequeuePoison(ctx context.Context, id string) error { panic("stub") }

// DiscardPoison drops an open message for a reason; CodeConflict if it isn't open.
func (s *Store) DiscardPoison(ctx context.Context, id, reason string) error { panic("stub") }

// MetaPoisonID marks, in a requeued event's metadata, the poison message it
// came from. A projection carries it back as Projection.PoisonID.
const MetaPoisonID = "orbit_poison_id"
