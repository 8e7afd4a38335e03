package pipeline

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/orbit/realtime/store"
)

// notifyInterval is the least time between two NOTIFY statements. Notifying in
// every publishing transaction would halve the rate of publishing.
const notifyInterval = 5 * time.Millisecond

// Wake tells the lanes' consumers that events wait: those of this process at
// once, those of other processes by a NOTIFY within milliseconds. It never
// blocks; a store calls it after each commit that published.
func (b *Bus) Wake(lanes []int) { b.wake(store.Topic, lanes) }

func (b *Bus) wake(topic string, lanes []int) {
	foreign := b.wakeOwn(func(c *consumer) bool { return c.topic == topic }, lanes)
	if len(foreign) > 0 {
		b.notices.add(foreign)
	}
}

// wakeOwn wakes the chosen consumers of lanes, and returns the lanes that none
// of them holds.
func (b *Bus) wakeOwn(chosen func(*consumer) bool, lanes []int) (foreign []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, lane := range lanes {
		held := false
		for c := range b.consumers {
			if c.lane == lane && chosen(c) {
				c.wake()
				held = held || c.owned()
			}
		}
		if !held {
			foreign = append(foreign, lane)
		}
	}
	return foreign
}

// listen wakes consumers for what other processes published.
func (b *Bus) listen(ctx context.Context) {
	err := b.store.Listen(ctx, func(lane int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for c := range b.consumers {
			if lane == store.AnyLane || c.lane == lane {
				c.wake()
			}
		}
	})
	if err != nil && ctx.Err() == nil {
		b.cfg.Logger.Error("listening for other producers ended; the safety poll goes on", "error", err)
	}
}

// notices collects the lanes that other processes are to be told of.
type notices struct {
	mu    sync.Mutex
	lanes map[int]struct{}
	some  chan struct{} // holds one token while lanes is not empty
}

func newNotices() *notices {
	return &notices{lanes: make(map[int]struct{}), some: make(chan struct{}, 1)}
}

func (n *notices) add(lanes []int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, lane := range lanes {
		n.lanes[lane] = struct{}{}
	}
	select {
	case n.some <- struct{}{}:
	default:
	}
}

func (n *notices) take() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	lanes := slices.Sorted(maps.Keys(n.lanes))
	clear(n.lanes)
	return lanes
}

// notify sends collected notices in one statement each notifyInterval. One that
// fails is not repeated: it is a hint, and the safety poll is the net.
func (b *Bus) notify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.notices.some:
		}
		if err := b.store.Notify(ctx, b.notices.take()); err != nil && ctx.Err() == nil {
			b.cfg.Logger.Debug("notify other processes", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(notifyInterval):
		}
	}
}
