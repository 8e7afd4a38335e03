package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

// herdAtOnce is how many dials of a herd are in flight: a thousand clients
// behind one load balancer don't queue for each other either.
const herdAtOnce = 512

// retryPause is how long a tab waits that found no server.
const retryPause = 20 * time.Millisecond

// ResumeOptions say how to measure a herd that comes back.
type ResumeOptions struct {
	Target
	Tabs   int // default 1,000
	Missed int // events published while nobody is connected, default 20
	// Publish publishes body, a short text, to every tab, and returns when that
	// is acknowledged. By it the events are told from other people's.
	Publish func(ctx context.Context, body string) error
	// Break takes everybody's connection away, and returns when they may come
	// back. Default: the tabs drop theirs, all at once.
	Break    func(ctx context.Context) error
	Progress io.Writer // nil for none
}

// ResumeResult is what was measured.
type ResumeResult struct {
	Transport Transport `json:"transport"`
	Tabs      int       `json:"tabs"`
	Missed    int       `json:"missed"`
	Seconds   float64   `json:"seconds"` // from the first dial until all are live and have what they missed
	PerSecond float64   `json:"resumesPerSecond"`
	Spread              // of one tab, from its first dial on
	Retries   int       `json:"retries"` // dials that found no server, or a busy one
	Lost      int       `json:"lost"`    // events that didn't come within five seconds, over all tabs
	Twice     int       `json:"twice"`   // and those too many
}

func (r ResumeResult) String() string {
	return fmt.Sprintf("resume over %s: %d tabs back and live in %.2f s (%.0f/s), %d missed events each, %d retries\n  a tab: p50 %.0f ms   p99 %.0f ms   max %.0f ms   lost %d   twice %d",
		r.Transport, r.Tabs, r.Seconds, r.PerSecond, r.Missed, r.Retries, r.P50, r.P99, r.Max, r.Lost, r.Twice)
}

// Resume opens the tabs, takes their connections away, publishes what they
// miss, and lets all of them come back at once, each at its position.
func Resume(ctx context.Context, o ResumeOptions) (ResumeResult, error) {
	if o.Publish == nil {
		return ResumeResult{}, errors.New("bench: Publish is missing")
	}
	o.Tabs, o.Missed = orDefault(o.Tabs, 1000), orDefault(o.Missed, 20)
	f, err := openFleet(ctx, o.Target, o.Tabs, o.Progress)
	if err != nil {
		return ResumeResult{}, err
	}
	f.close()
	if o.Break != nil {
		if err := o.Break(ctx); err != nil {
			return ResumeResult{}, fmt.Errorf("break: %w", err)
		}
	}
	for i := range o.Missed {
		if err := o.Publish(ctx, stamped()); err != nil {
			return ResumeResult{}, fmt.Errorf("publish %d: %w", i, err)
		}
	}
	say(o.Progress, "%d tabs dropped, %d events published; everybody comes back", o.Tabs, o.Missed)

	back := make([]*tab, len(f.tabs))
	took, retries := make([]time.Duration, len(f.tabs)), make([]int, len(f.tabs))
	start := time.Now()
	g, opening := errgroup.WithContext(ctx)
	g.SetLimit(herdAtOnce)
	for i, before := range f.tabs {
		g.Go(func() (err error) {
			target, first := o.Target, time.Now()
			target.Position = before.position
			if back[i], retries[i], err = reopen(opening, ctx, target, i); err == nil {
				back[i].await(o.Missed)
			}
			took[i] = time.Since(first)
			return err
		})
	}
	err = g.Wait()
	all := time.Since(start)
	r := ResumeResult{
		Transport: o.transport(), Tabs: o.Tabs, Missed: o.Missed, Seconds: all.Seconds(),
		PerSecond: float64(o.Tabs) / all.Seconds(), Spread: spread(took),
	}
	for i, t := range back {
		if t == nil {
			continue
		}
		t.close()
		r.Retries += retries[i]
		r.Lost += max(0, o.Missed-t.replayed)
		r.Twice += max(0, t.replayed-o.Missed)
	}
	return r, err
}

// reopen dials until it succeeds, or opening ends. The tab lives in ctx.
func reopen(opening, ctx context.Context, target Target, i int) (t *tab, retries int, err error) {
	for {
		if t, err = openTab(ctx, target, target.source(i)); err == nil {
			return t, retries, nil
		}
		select {
		case <-opening.Done():
			return nil, retries, err
		case <-time.After(retryPause):
			retries++
		}
		if retries > 1000 {
			return nil, retries, fmt.Errorf("tab %d: %w", i, err)
		}
	}
}

// await reads until so many events have come: the newest may be committed, but
// not projected yet, when the tab is live.
func (t *tab) await(events int) {
	late := time.AfterFunc(settle, t.close)
	defer late.Stop()
	for t.replayed < events {
		lines, _, err := t.next()
		if err != nil {
			return
		}
		for _, data := range lines {
			if _, ours := sentAt(data); ours {
				t.replayed++
			}
		}
	}
}
