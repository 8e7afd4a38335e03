// Package check decides whether a history of a run kept Orbit's promises. It is
// pure: what happened goes in, what was broken comes out.
//
// The invariants, by the names that violations carry:
//
//   - complete: every committed event that a client was entitled to arrived, or
//     was covered by a resync and the snapshot that followed. A resync from a
//     position that the log still reached is a violation too.
//   - once: nothing arrived, or was logged, twice.
//   - ordered: positions grow, and so do the versions of each entity; what one
//     writer did later is later in the log.
//   - isolated: nothing of another tenant, nothing from before a member joined,
//     nothing after they were removed, nothing of a room they may not read.
//   - phantom: what arrived was committed; what was rolled back or refused was
//     never seen.
//   - presence: who is shown online is who has live connections, and one change
//     is told once.
//   - accounted: every committed event was projected, poisoned or superseded,
//     and none is left over.
//   - recovered: after healing, the server is as light as before.
//   - harness: the history contradicts itself; the checker, not the server, is
//     to blame.
package check

import (
	"time"

	"github.com/orbit/realtime/domain"
)

// History is all that happened in one round. Times count from its start.
type History struct {
	Bounds     Bounds
	Workspaces []Workspace
	Ops        []Op
	Clients    []Client
	Faults     []Fault
	RolledBack []string // ids of events whose transaction was rolled back
	Projected  map[string]bool
	Poison     map[string]Poisoned // by event id
	Pending    []string            // event ids left in the outbox at the end
	Vitals     []Vitals            // of servers, before and after the faults
}

// Bounds say how late is late. Zero: the check that needs it is left out.
type Bounds struct {
	Offline time.Duration // from the end of a member's last connection to the flip
	Online  time.Duration // from a member's first connection to the flip
}

// Poisoned is an event that is, or was, in the poison queue.
type Poisoned struct {
	State     domain.PoisonState
	Aggregate string // id
}

// Workspace is the committed truth about one tenant.
type Workspace struct {
	ID, Slug, Epoch string
	Base            int64    // offset before the first of Entries, which have no gap
	Floor           int64    // of the log at the end: below it nothing can be replayed
	Entries         []Entry  // by offset
	OpenRooms       []string // ids of rooms that every member may read
	// Messages has the body of every message of the round that is in the database.
	Messages map[string]string
}

// Entry is one entry of the log, as the database has it.
type Entry struct {
	Offset  int64
	Channel domain.Channel
	Type    domain.ServerEventType
	Cause   string   // id of the domain event
	Also    []string // ids of those that were collapsed into it
	Entity  string   // "member:mem_01"; "" where it has none
	Version int64
	Revoke  *domain.Revocation
	At      time.Duration // published
}

// Causes are all domain events that the entry answers for; none for what is
// addressed to one session.
func (e *Entry) Causes() []string { return causes(e.Cause, e.Also) }

// Outcome is what a writer knows of its command.
type Outcome string

const (
	OK      Outcome = "ok"      // a 2xx answer: committed
	Refused Outcome = "refused" // a 4xx answer: not committed
	Unknown Outcome = "unknown" // no answer, or a 5xx one: either
)

// Op is one command of a writer. Writers send one at a time.
type Op struct {
	Writer     string
	Workspace  string // id
	Kind       string // for people
	Sent, Done time.Duration
	Outcome    Outcome
	Event      string // id of the domain event; "" if unknown, or nothing had to change
	Fact       bool   // the event is a fact (a message), not a state
	Entity     string // what it changed, as in Entry
	Version    int64  // that it has since; 0 where unknown or gone
	Moot       bool   // an opposite event may come to speak for it
	Body       string // the unique text of a message
	Removes    string // id of a member whose membership it ends
}

// Client is one tab: a chain of connections that share a position.
type Client struct {
	Name, Workspace, Member string
	// Before is the log's head as read before the member was invited: nothing at
	// or below it may be seen. 0: a member from the start.
	Before      int64
	Connections []Connection
	Snapshots   []Snapshot
	// Open says that the tab is connected at the end, and ought to have it all.
	Open bool
	// Model has each entity's version as the tab shows it, and Database that of
	// the member's snapshot, both at the end. Nil: not compared.
	Model, Database map[string]int64
	Online          []string // of that snapshot
}

// Snapshot is one that a client fetched.
type Snapshot struct {
	At     time.Duration
	Epoch  string
	Offset int64
}

// Connection is one session, from its hello on.
type Connection struct {
	Transport string
	Start     time.Duration
	End       time.Duration // 0: still open
	Clean     bool          // ended by the client on purpose, and said so
	Asked     int64         // offset of the position it was opened with
	Epoch     string        // of that position; "" if it had none
	Forged    bool          // the position isn't the client's own: a resync is the right answer
	Rooms     []string      // asked for
	Frames    []Frame
}

// Frame is one server event as it arrived.
type Frame struct {
	At      time.Duration
	Type    domain.ServerEventType
	Offset  int64 // of its id; -1: it had none
	Channel domain.Channel
	Cause   string
	Also    []string
	Entity  string
	Version int64
	More    *More // what few frames have
}

// Causes are as those of an entry.
func (f *Frame) Causes() []string { return causes(f.Cause, f.Also) }

func causes(first string, others []string) []string {
	if first == "" {
		return nil
	}
	return append([]string{first}, others...)
}

// More has the fields of system events and presence.
type More struct {
	Epoch    string // of the id, where it isn't the connection's
	Resumed  bool
	Presence []string
	Rooms    []string
	Reason   string
	Code     string
	Room     string
	After    int64 // of a subscribe that was answered: the position it named
	Member   string
	Online   bool
}

// more spares the readers of rare fields a test for nil.
func (f *Frame) more() More {
	if f.More == nil {
		return More{}
	}
	return *f.More
}

// Fault is one thing that was broken on purpose.
type Fault struct {
	Name       string
	Detail     string
	Start, End time.Duration
}

// Vitals are a server process's resources, at rest.
type Vitals struct {
	PID        int           `json:"pid"`
	At         time.Duration `json:"atNs"` // since the round began
	Clients    int           `json:"clients"`
	Goroutines int           `json:"goroutines"` // 0: not known
	Files      int           `json:"files"`
	MemoryKB   int64         `json:"memoryKB"` // resident
}
