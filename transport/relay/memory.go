package relay

import (
	"context"
	"sync"
	"time"
)

// Bus connects the relays of one process: tests have many nodes in one, and a
// SQLite database has one node.
type Bus struct {
	mu    sync.Mutex
	nodes map[*Memory]struct{}
}

// NewBus makes a bus.
func NewBus() *Bus { return &Bus{nodes: map[*Memory]struct{}{}} }

// memoryLimit is a courtesy: nothing but memory bounds it.
const memoryLimit = 1 << 20

// memoryQueue is how many messages wait for a receiver; the rest is lost, which
// the receiver is told.
const memoryQueue = 1024

// Memory is a carrier over a Bus.
type Memory struct {
	bus   *Bus
	queue chan []byte
	lost  chan struct{}
}

// Carrier adds a node to the bus; it hears of the others once it runs.
func (b *Bus) Carrier() *Memory {
	return &Memory{bus: b, queue: make(chan []byte, memoryQueue), lost: make(chan struct{}, 1)}
}

// Limit implements Carrier.
func (*Memory) Limit() int { return memoryLimit }

// Pace implements Carrier.
func (*Memory) Pace() time.Duration { return 0 }

// Connected implements Carrier.
func (*Memory) Connected() bool { return true }

// Send implements Carrier.
func (c *Memory) Send(_ context.Context, parcels []Parcel) error {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	for other := range c.bus.nodes {
		if other != c {
			other.put(parcels)
		}
	}
	return nil
}

func (c *Memory) put(parcels []Parcel) {
	for _, p := range parcels {
		select {
		case c.queue <- p.Data:
		default:
			select {
			case c.lost <- struct{}{}:
			default:
			}
		}
	}
}

// Run implements Carrier.
func (c *Memory) Run(ctx context.Context, _ *Interest, receive func([]byte), missed func([]string)) {
	c.bus.mu.Lock()
	c.bus.nodes[c] = struct{}{}
	c.bus.mu.Unlock()
	defer func() {
		c.bus.mu.Lock()
		defer c.bus.mu.Unlock()
		delete(c.bus.nodes, c)
	}()
	missed(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case data := <-c.queue:
			receive(data)
		case <-c.lost:
			missed(nil)
		}
	}
}
