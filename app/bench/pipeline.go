package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// drainPoll is how often a pipeline is asked how far it is: the error of the
// measurement, and small against the seconds that a backlog takes.
const drainPoll = 5 * time.Millisecond

// PipelineOptions say how to measure projection.
type PipelineOptions struct {
	Backlog int // events, default 50,000
	// Fill puts n events into the outbox while nothing consumes it.
	Fill func(ctx context.Context, n int) error
	// Start begins consuming and returns at once.
	Start func(ctx context.Context) error
	// Drained tells how many of them have been projected and committed.
	Drained  func(ctx context.Context) (int, error)
	Progress io.Writer // nil for none
}

// PipelineResult is what was measured.
type PipelineResult struct {
	Events    int     `json:"events"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"eventsPerSecond"`
}

func (r PipelineResult) String() string {
	return fmt.Sprintf("pipeline: %d events projected in %.2f s, %.0f events/s", r.Events, r.Seconds, r.PerSecond)
}

// Pipeline fills the outbox, starts the clock and the pipeline together, and
// stops the clock when everything has been projected and committed.
func Pipeline(ctx context.Context, o PipelineOptions) (PipelineResult, error) {
	if o.Fill == nil || o.Start == nil || o.Drained == nil {
		return PipelineResult{}, errors.New("bench: Fill, Start and Drained are required")
	}
	o.Backlog = orDefault(o.Backlog, 50_000)
	say(o.Progress, "filling the outbox with %d events", o.Backlog)
	if err := o.Fill(ctx, o.Backlog); err != nil {
		return PipelineResult{}, fmt.Errorf("fill: %w", err)
	}
	start := time.Now()
	if err := o.Start(ctx); err != nil {
		return PipelineResult{}, fmt.Errorf("start: %w", err)
	}
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	nextReport := o.Backlog / 10
	for {
		done, err := o.Drained(ctx)
		if err != nil {
			return PipelineResult{}, fmt.Errorf("drained: %w", err)
		}
		took := time.Since(start)
		if done >= o.Backlog {
			return PipelineResult{Events: done, Seconds: took.Seconds(), PerSecond: float64(done) / took.Seconds()}, nil
		}
		if done >= nextReport {
			say(o.Progress, "%d of %d after %s", done, o.Backlog, took.Round(time.Millisecond))
			nextReport = done + o.Backlog/10
		}
		select {
		case <-ctx.Done():
			return PipelineResult{}, ctx.Err()
		case <-tick.C:
		}
	}
}
