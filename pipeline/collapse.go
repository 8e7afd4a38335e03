package pipeline

import (
	"fmt"
	"slices"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// Collapse: of the events of one type and one aggregate in a batch, the first is
// projected, and its entries answer for the others as well.
//
// That is sound because a batch is read before anything of it is handled. Each
// of its rows was committed by then, so the first one's re-read sees what all of
// them did; projecting the others would show the same once more. What is
// appended is therefore what would be without collapsing, less the repeats:
// nothing moves, neither forward nor back. Only types of which
// [domain.Collapses] holds take part, and nothing is collapsed across an event
// that [domain.Parts] names, or across a commit, that is, across a failure: what
// comes after a failure is read again, and makes up for it.

// runKey names events that tell the same.
type runKey struct {
	workspaceID string
	typ         domain.EventType
	aggregateID string
}

func runKeyOf(ev *domain.Event) runKey { return runKey{ev.WorkspaceID, ev.Type, ev.AggregateID} }

// run is an event that was projected, and those that it answers for.
type run struct {
	first int // index in rows
	size  int
}

// runs are those of a batch.
type runs struct {
	open  map[runKey]*run
	walls map[string]int // workspace → index of the last event that parts
}

// begin notes that the event at index i is about to be handled.
func (r *runs) begin(ev *domain.Event, i int) {
	if !domain.Parts(ev.Type) {
		return
	}
	if r.walls == nil {
		r.walls = map[string]int{}
	}
	r.walls[ev.WorkspaceID] = i
}

// lead notes that the event at index i was projected.
func (r *runs) lead(ev *domain.Event, i int) {
	if !collapsible(ev) {
		return
	}
	if r.open == nil {
		r.open = map[runKey]*run{}
	}
	r.open[runKeyOf(ev)] = &run{first: i, size: 1}
}

// follow returns the run that answers for the event, too, or nil. committed is
// how many rows are committed: nothing can be added to their entries.
func (r *runs) follow(ev *domain.Event, committed int) *run {
	if !collapsible(ev) {
		return nil
	}
	found := r.open[runKeyOf(ev)]
	if found == nil || found.first < committed || found.size >= domain.MaxCauses {
		return nil
	}
	if wall, ok := r.walls[ev.WorkspaceID]; ok && wall > found.first {
		return nil
	}
	return found
}

// collapsible: what an operator sends back is handled by itself, for it is the
// outcome of that which the operator wants to know.
func collapsible(ev *domain.Event) bool {
	return domain.Collapses(ev.Type) && ev.Metadata[store.MetaPoisonID] == ""
}

// answeredBy returns the projection whose entries answer for the event, too, or
// nil if it is to be projected itself. Call it once per delivery, in order.
func (b *batch) answeredBy(ev *domain.Event) *store.Projection {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.place[ev.ID]
	if !ok {
		return nil
	}
	b.runs.begin(ev, i)
	r := b.runs.follow(ev, b.committed)
	if r == nil || r.first >= i || b.effects[r.first].projection == nil {
		return nil
	}
	r.size++
	return b.effects[r.first].projection
}

// gatherCauses completes the entries of rows[committed:n], which are about to be
// committed, with the events that were collapsed into them. placed says where in
// projected a row's projection is.
func (b *batch) gatherCauses(projected []store.Projection, placed map[int]int, n int) error {
	causes := map[int][]string{}
	for i := b.committed; i < n; i++ {
		p := b.effects[i].projection
		if p == nil || p.Into == "" {
			continue
		}
		first, ok := placed[b.place[p.Into]]
		if !ok {
			return fmt.Errorf("event %s was collapsed into %s, which is not in this commit", p.EventID, p.Into)
		}
		causes[first] = append(causes[first], p.EventID)
		projected[first].Seq = b.rows[i].Seq
	}
	for first, others := range causes {
		p := &projected[first]
		p.Entries = slices.Clone(p.Entries)
		for at, entry := range p.Entries {
			data, err := domain.WithCauses(entry.Data, others)
			if err != nil {
				return err
			}
			p.Entries[at].Data = data
		}
	}
	return nil
}
