package bench

import (
	"context"
	"fmt"
	"io"
)

// CollapseOptions say how to measure what collapsing a backlog saves.
type CollapseOptions struct {
	Aggregates int // that the events are about, for the report
	// Each projects event by event, Collapsed as a server does. Both have a
	// backlog of the same size and make.
	Each, Collapsed PipelineOptions
	// Reads tells how often projectors have run since it was asked last.
	Reads    func() int
	Progress io.Writer // nil for none
}

// CollapseResult is what was measured.
type CollapseResult struct {
	Aggregates int          `json:"aggregates"`
	Each       CollapseSide `json:"each"`
	Collapsed  CollapseSide `json:"collapsed"`
	Ratio      float64      `json:"ratio"` // of events a second, collapsed to each
}

// CollapseSide is one of the two.
type CollapseSide struct {
	PipelineResult
	Reads int `json:"reads"`
}

func (r CollapseResult) String() string {
	line := func(how string, s CollapseSide) string {
		return fmt.Sprintf("%-10s %d events of %d aggregates in %.2f s, %.0f events/s, %d reads (%.1f events each)\n",
			how, s.Events, r.Aggregates, s.Seconds, s.PerSecond, s.Reads, float64(s.Events)/float64(max(s.Reads, 1)))
	}
	return line("each", r.Each) + line("collapsed", r.Collapsed) + fmt.Sprintf("ratio      %.2f", r.Ratio)
}

// Collapse drains two backlogs of the same make, one after the other.
func Collapse(ctx context.Context, o CollapseOptions) (CollapseResult, error) {
	r := CollapseResult{Aggregates: o.Aggregates}
	for _, side := range []struct {
		name string
		PipelineOptions
		into *CollapseSide
	}{{"event by event", o.Each, &r.Each}, {"collapsed", o.Collapsed, &r.Collapsed}} {
		say(o.Progress, "%s", side.name)
		o.Reads()
		drained, err := Pipeline(ctx, side.PipelineOptions)
		if err != nil {
			return CollapseResult{}, fmt.Errorf("%s: %w", side.name, err)
		}
		*side.into = CollapseSide{PipelineResult: drained, Reads: o.Reads()}
	}
	r.Ratio = r.Collapsed.PerSecond / r.Each.PerSecond
	return r, nil
}
