package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

const (
	writersAtOnce = 64
	settle        = 5 * time.Second // silence after which what is missing counts as lost
	settlePoll    = 50 * time.Millisecond
)

// LatencyOptions say how to measure commit → tab.
type LatencyOptions struct {
	Target
	Rate     int           // commits per second, default 500
	Duration time.Duration // of committing, default 10 s
	Tabs     int           // default 10
	// Commit commits the i-th event, and returns its id and when the clock
	// started: at the commit, or before the command if that is to be measured
	// too. Every tab must get exactly one server event from it. It is called
	// from up to 64 goroutines.
	Commit   func(ctx context.Context, i int) (start time.Time, eventID string, err error)
	Progress io.Writer // nil for none
}

// LatencyResult is what was measured.
type LatencyResult struct {
	Transport  Transport `json:"transport"`
	Tabs       int       `json:"tabs"`
	Asked      int       `json:"askedPerSecond"`
	Rate       float64   `json:"committedPerSecond"`
	Committed  int       `json:"committed"`
	Deliveries int       `json:"deliveries"` // events × tabs that arrived, duplicates apart
	Spread
	Lost  int `json:"lost"`
	Twice int `json:"twice"`
}

func (r LatencyResult) String() string {
	return fmt.Sprintf(`latency over %s: %d tabs, %d events at %.0f/s (asked %d/s), %d deliveries
  p50 %.2f ms   p99 %.2f ms   p99.9 %.2f ms   max %.2f ms
  lost %d   twice %d`,
		r.Transport, r.Tabs, r.Committed, r.Rate, r.Asked, r.Deliveries,
		r.P50, r.P99, r.P999, r.Max, r.Lost, r.Twice)
}

// Latency opens the tabs, commits at the rate, and compares. It is an open
// loop: a commit is due when its time comes, however the ones before it fare,
// so a stall shows in every commit it delays (until 64 are in flight; Rate
// tells what was reached). It waits for stragglers until five seconds pass
// without any. Errors: a tab that can't be opened, a commit that fails.
func Latency(ctx context.Context, o LatencyOptions) (LatencyResult, error) {
	if o.Commit == nil {
		return LatencyResult{}, errors.New("bench: Commit is missing")
	}
	o.Rate, o.Tabs = orDefault(o.Rate, 500), orDefault(o.Tabs, 10)
	o.Duration = orDefault(o.Duration, 10*time.Second)

	f, err := openFleet(ctx, o.Target, o.Tabs, o.Progress)
	if err != nil {
		return LatencyResult{}, err
	}
	var arrived atomic.Int64
	var watching sync.WaitGroup
	seen := make([]*sightings, len(f.tabs))
	for i, t := range f.tabs {
		seen[i] = newSightings(&arrived)
		watching.Go(func() { t.watch(seen[i]) })
	}
	defer watching.Wait()
	defer f.close()

	commits, took, err := o.write(ctx)
	if err != nil {
		return LatencyResult{}, err
	}
	say(o.Progress, "%d events committed in %s, waiting for the tabs", len(commits), took.Round(time.Millisecond))
	waitForAll(ctx, commits, seen, &arrived)
	latencies, lost, twice := match(commits, seen)
	return LatencyResult{
		Transport: o.transport(), Tabs: o.Tabs, Asked: o.Rate, Rate: float64(len(commits)) / took.Seconds(),
		Committed: len(commits), Deliveries: len(latencies), Spread: spread(latencies), Lost: lost, Twice: twice,
	}, ctx.Err()
}

// write commits Rate × Duration events.
func (o LatencyOptions) write(ctx context.Context) ([]commit, time.Duration, error) {
	n := max(1, int(float64(o.Rate)*o.Duration.Seconds()))
	commits := make([]commit, n)
	pace := rate.NewLimiter(rate.Limit(o.Rate), 1)
	g, running := errgroup.WithContext(ctx)
	g.SetLimit(writersAtOnce)
	start := time.Now()
	for i := range n {
		if pace.Wait(running) != nil {
			break // a commit failed, or the caller gave up: g.Wait tells
		}
		g.Go(func() error {
			at, id, err := o.Commit(running, i)
			if err != nil {
				return fmt.Errorf("commit %d: %w", i, err)
			}
			commits[i] = commit{id, at}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, 0, err
	}
	return commits, time.Since(start), ctx.Err()
}

// waitForAll returns when every tab has seen every commit, or nothing has
// arrived for a while. It asks for these very commits: a tab may be sent other
// people's events as well, and a bare count would stop too early.
func waitForAll(ctx context.Context, commits []commit, tabs []*sightings, arrived *atomic.Int64) {
	tick := time.NewTicker(settlePoll)
	defer tick.Stop()
	last, lastAt := arrived.Load(), time.Now()
	for complete := false; time.Since(lastAt) < settle; {
		if complete {
			return // a moment later, so that a duplicate at the end is seen
		}
		_, lost, _ := match(commits, tabs)
		complete = lost == 0
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := arrived.Load(); now != last {
			last, lastAt = now, time.Now()
		}
	}
}

// orDefault returns fallback for zero and less.
func orDefault[T int | time.Duration](v, fallback T) T {
	if v <= 0 {
		return fallback
	}
	return v
}
