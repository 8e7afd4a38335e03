package pipeline

import (
	"time"

	"github.com/orbit/realtime/domain"
)

// Outcome is how an event left the outbox.
type Outcome string

const (
	Projected Outcome = "projected" // to one server event or more
	Silent    Outcome = "silent"    // to none: nothing to tell
	Poisoned  Outcome = "poisoned"
	Duplicate Outcome = "duplicate" // projected before
	Collapsed Outcome = "collapsed" // told by the entries of an earlier event, in this commit
)

// Outcomes are all of them.
var Outcomes = []Outcome{Projected, Silent, Collapsed, Poisoned, Duplicate}

// Observer is told what becomes of events. Calls come from several lanes at
// once, in the order of each lane; they hold it up, so they must not block.
type Observer interface {
	// Attempted is told of each run of a projector, and of its error if it failed.
	Attempted(t domain.EventType, took time.Duration, err error)
	// Handled is told of a commit, right after it and before OnAppended. The
	// slice, and the events in it, are only lent.
	Handled(lane int, committedAt time.Time, events []Handled)
}

// Handled is one event that left the outbox.
type Handled struct {
	Event     *domain.Event
	Outcome   Outcome
	Class     string        // of the error, if it was poisoned
	ClaimedAt time.Time     // read from the outbox
	DoneAt    time.Time     // its effects were staged; zero for a duplicate
	Took      time.Duration // the projector, in the attempt that counted
	Entries   []domain.Entry
}

// deaf is the observer of a pipeline that was given none.
type deaf struct{}

func (deaf) Attempted(domain.EventType, time.Duration, error) {}
func (deaf) Handled(int, time.Time, []Handled)                {}

// handled describes rows[committed:n], about to be counted as committed. The
// caller holds mu.
func (b *batch) handled(n int) []Handled {
	all := make([]Handled, 0, n-b.committed)
	for i := b.committed; i < n; i++ {
		e := &b.effects[i]
		h := Handled{Event: &b.rows[i].Event, Outcome: Duplicate, ClaimedAt: b.loadedAt, DoneAt: e.doneAt, Took: e.took}
		switch {
		case e.poison != nil:
			h.Outcome, h.Class = Poisoned, e.poison.ErrorClass
		case e.projection != nil && e.projection.Into != "":
			h.Outcome = Collapsed
		case e.projection != nil && len(e.projection.Entries) > 0:
			h.Outcome, h.Entries = Projected, e.projection.Entries
		case e.projection != nil:
			h.Outcome = Silent
		}
		all = append(all, h)
	}
	return all
}
