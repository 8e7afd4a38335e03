package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// FanoutOptions say how to measure what a delivery costs the server.
type FanoutOptions struct {
	Target
	Subscribers int // default 1,000
	Events      int // default 1,000
	// Writers publish side by side, each its next event as soon as the last is
	// acknowledged. Default 1; more make bursts, which a server may batch.
	Writers int
	PIDs    []int // of the servers, which must not be the process that runs Fanout
	// Publish publishes body, a short text, to every subscriber, and returns
	// when that is acknowledged.
	Publish  func(ctx context.Context, body string) error
	Progress io.Writer // nil for none
}

// FanoutResult is what was measured.
type FanoutResult struct {
	Transport   Transport `json:"transport"`
	Batches     bool      `json:"batches"` // whether a message may hold several events
	Subscribers int       `json:"subscribers"`
	Writers     int       `json:"writers"`
	Events      int       `json:"events"`
	Deliveries  int       `json:"deliveries"` // events × subscribers that arrived
	Bytes       int       `json:"bytesPerDelivery"`
	// PerMessage is how many events came in one message, on average.
	PerMessage    float64 `json:"eventsPerMessage"`
	PerSecond     float64 `json:"deliveriesPerSecond"`
	CPUSeconds    float64 `json:"cpuSeconds"`
	CPUPerMillion float64 `json:"cpuSecondsPerMillionDeliveries"`
	Spread                // from sending the event to its arrival
	// NodeP50 is the median in ms for the tabs of each node, in their order.
	NodeP50    []float64 `json:"nodeP50Ms"`
	Lost       int       `json:"lost"`
	Disordered int       `json:"disordered"` // not after the one before: out of order, or twice
}

func (r FanoutResult) String() string {
	return fmt.Sprintf(`%d subscribers, %d events by %d writers: %.0f deliveries/s of %d bytes, %.1f events a message
  server CPU %.2f s per million deliveries   p50 %.2f ms   p99 %.2f ms   lost %d   disordered %d`,
		r.Subscribers, r.Events, r.Writers, r.PerSecond, r.Bytes, r.PerMessage,
		r.CPUPerMillion, r.P50, r.P99, r.Lost, r.Disordered)
}

// stamp marks the events of a run, and carries when each was sent.
const stamp = "t="

// Fanout opens the subscribers, publishes, and compares what the server's
// process used of the processor with what arrived.
func Fanout(ctx context.Context, o FanoutOptions) (FanoutResult, error) {
	return fanout(ctx, o, func() (total time.Duration, err error) {
		for _, pid := range o.PIDs {
			used, err := cpuTime(pid)
			if err != nil {
				return 0, err
			}
			total += used
		}
		return total, nil
	})
}

func fanout(ctx context.Context, o FanoutOptions, used func() (time.Duration, error)) (FanoutResult, error) {
	if o.Publish == nil {
		return FanoutResult{}, errors.New("bench: Publish is missing")
	}
	o.Subscribers, o.Events, o.Writers = orDefault(o.Subscribers, 1000), orDefault(o.Events, 1000), orDefault(o.Writers, 1)
	f, err := openFleet(ctx, o.Target, o.Subscribers, o.Progress)
	if err != nil {
		return FanoutResult{}, err
	}
	var arrived atomic.Int64
	var reading sync.WaitGroup
	seen := make([]*arrivals, len(f.tabs))
	for i, t := range f.tabs {
		seen[i] = &arrivals{total: &arrived, node: t.node}
		reading.Go(func() { t.count(seen[i]) })
	}
	closeAll := sync.OnceFunc(func() { f.close(); reading.Wait() })
	defer closeAll()

	before, err := used()
	if err != nil {
		return FanoutResult{}, err
	}
	start := time.Now()
	if err := o.publish(ctx); err != nil {
		return FanoutResult{}, err
	}
	last := awaitCount(ctx, &arrived, int64(o.Events*o.Subscribers))
	after, err := used()
	if err != nil {
		return FanoutResult{}, err
	}
	closeAll()
	r := summarize(seen, o.Events)
	r.Transport, r.Batches = o.transport(), !o.Plain
	r.Subscribers, r.Writers, r.Events = o.Subscribers, o.Writers, o.Events
	r.CPUSeconds = (after - before).Seconds()
	if r.Deliveries > 0 {
		r.CPUPerMillion = r.CPUSeconds * 1e6 / float64(r.Deliveries)
		r.PerSecond = float64(r.Deliveries) / last.Sub(start).Seconds()
	}
	return r, ctx.Err()
}

func (o FanoutOptions) publish(ctx context.Context) error {
	var next atomic.Int64
	g, running := errgroup.WithContext(ctx)
	for range o.Writers {
		g.Go(func() error {
			for next.Add(1) <= int64(o.Events) {
				if err := o.Publish(running, stamped()); err != nil {
					return fmt.Errorf("publish: %w", err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// awaitCount returns when so many have arrived, or nothing has for a while, and
// says when the last one did.
func awaitCount(ctx context.Context, arrived *atomic.Int64, want int64) time.Time {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	last, lastAt := arrived.Load(), time.Now()
	for last < want && time.Since(lastAt) < settle {
		select {
		case <-ctx.Done():
			return lastAt
		case <-tick.C:
		}
		if now := arrived.Load(); now != last {
			last, lastAt = now, time.Now()
		}
	}
	return lastAt
}

// arrivals is what one subscriber saw of a run. Its tab writes it; it is read
// when the tab has ended.
type arrivals struct {
	total      *atomic.Int64
	node       int
	count      int
	messages   int
	bytes      int
	disordered int
	offset     int64
	latencies  []time.Duration
}

// count notes the run's events, until the tab closes. It reads no JSON: with
// thousands of subscribers the load would cost more than what is measured.
func (t *tab) count(a *arrivals) {
	for {
		events, at, err := t.next()
		if err != nil {
			return
		}
		counted := 0
		for _, data := range events {
			sent, ok := sentAt(data)
			if !ok {
				continue
			}
			counted++
			a.bytes += len(data)
			a.latencies = append(a.latencies, at.Sub(sent))
			if offset := offsetOf(data); offset > a.offset {
				a.offset = offset
			} else {
				a.disordered++
			}
		}
		if counted > 0 {
			a.messages++
			a.count += counted
			a.total.Add(int64(counted))
		}
	}
}

func stamped() string { return stamp + strconv.FormatInt(time.Now().UnixNano(), 10) }

// sentAt finds the stamp in an event's body.
func sentAt(event []byte) (time.Time, bool) {
	_, rest, found := bytes.Cut(event, []byte(`"body":"`+stamp))
	digits, _, ended := bytes.Cut(rest, []byte(`"`))
	if !found || !ended {
		return time.Time{}, false
	}
	nanos, err := strconv.ParseInt(string(digits), 10, 64)
	return time.Unix(0, nanos), err == nil
}

// offsetOf reads an event's id, "<epoch>-<offset>": 0 if it has none.
func offsetOf(event []byte) int64 {
	_, rest, _ := bytes.Cut(event, []byte(`"id":"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	offset, _ := strconv.ParseInt(string(id[bytes.LastIndexByte(id, '-')+1:]), 10, 64)
	return offset
}

func summarize(seen []*arrivals, events int) (r FanoutResult) {
	var latencies []time.Duration
	var byNode [][]time.Duration
	var size, messages int
	for _, a := range seen {
		r.Deliveries += a.count
		r.Lost += max(0, events-a.count)
		r.Disordered += a.disordered
		size += a.bytes
		messages += a.messages
		latencies = append(latencies, a.latencies...)
		for len(byNode) <= a.node {
			byNode = append(byNode, nil)
		}
		byNode[a.node] = append(byNode[a.node], a.latencies...)
	}
	if r.Deliveries > 0 {
		r.Bytes = size / r.Deliveries
		r.PerMessage = float64(r.Deliveries) / float64(messages)
	}
	r.Spread = spread(latencies)
	for node := range byNode {
		r.NodeP50 = append(r.NodeP50, spread(byNode[node]).P50)
	}
	return r
}
