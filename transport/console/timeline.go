package console

import (
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// traceData is a trace and its picture: what happened when, on a line from the
// first moment known to the last.
type traceData struct {
	EventID, Tab string
	*domain.Trace
	Marks []mark
	Spans []traceSpan
	Took  string
}

// mark is a moment; X is in percent of the picture's width.
type mark struct {
	X    float64
	At   domain.Time
	Name string
	// After is the time since the first moment.
	After string
	Bad   bool
}

// traceSpan is something that took time.
type traceSpan struct {
	X, W float64
	Name string
	Bad  bool
}

// draw places everything that has a time.
func (d *traceData) draw() {
	type moment struct {
		at   time.Time
		name string
		bad  bool
	}
	var moments []moment
	add := func(at *domain.Time, name string, bad bool) {
		if at != nil && !at.IsZero() {
			moments = append(moments, moment{at.Time, name, bad})
		}
	}
	t := d.Trace
	add(t.PublishedAt, "published", false)
	add(t.ClaimedAt, "claimed by a lane", false)
	for _, a := range t.Attempts {
		at := domain.At(a.At)
		add(&at, "attempt failed", true)
	}
	add(t.CommittedAt, "in the log", false)
	for _, e := range t.Entries {
		for _, w := range e.Writes {
			add(&w.FirstAt, "first "+w.Transport+" tab", false)
			if w.LastAt.After(w.FirstAt.Time) {
				add(&w.LastAt, "last "+w.Transport+" tab", false)
			}
		}
	}
	if len(moments) == 0 {
		return
	}
	// What was mended was claimed again, after its attempts failed.
	slices.SortStableFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	first, last := moments[0].at, moments[len(moments)-1].at
	total := max(last.Sub(first), time.Millisecond)
	place := func(at time.Time) float64 { return 100 * float64(at.Sub(first)) / float64(total) }
	for _, m := range moments {
		d.Marks = append(d.Marks, mark{X: place(m.at), At: domain.At(m.at), Name: m.name, After: "+" + millis(float64(m.at.Sub(first).Microseconds())/1000), Bad: m.bad})
	}
	for _, a := range t.Attempts {
		d.Spans = append(d.Spans, traceSpan{X: place(a.At), W: max(0.5, 100*a.DurationMS*float64(time.Millisecond)/float64(total)), Name: "attempt", Bad: true})
	}
	d.Took = span(last.Sub(first))
}
