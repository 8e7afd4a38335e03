package pipeline

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"

	"github.com/orbit/realtime/store"
)

// laneRetry is about how often a lane that another process holds is asked for:
// the price of a takeover once the holder's death is noticed.
const laneRetry = 250 * time.Millisecond

// consumer is one subscription's side of a lane: the Beginner that hands out
// batches while this process holds the lane.
type consumer struct {
	executor
	bus     *Bus
	topic   string
	lane    int
	size    *batchSize
	share   *share
	trouble *trouble
	woken   chan struct{} // holds one wake-up

	ctx   context.Context // ends with the subscription
	work  context.Context // ends with ctx, or with drain: begin nothing more
	drain context.CancelFunc

	claim atomic.Pointer[claim] // nil while this subscription doesn't hold the lane

	mu      sync.Mutex // held to change claim, and for current
	current *batch     // nil between batches
}

var _ wsql.Beginner = (*consumer)(nil)

func newConsumer(ctx context.Context, bus *Bus, topic string, lane int) *consumer {
	c := &consumer{
		executor: executor{bus.store}, bus: bus, topic: topic, lane: lane,
		size:    newBatchSize(),
		share:   bus.shareOf(topic),
		trouble: newTrouble(bus.cfg.Logger.With("topic", topic, "lane", lane)),
		woken:   make(chan struct{}, 1),
		ctx:     ctx,
	}
	c.work, c.drain = context.WithCancel(ctx)
	context.AfterFunc(c.work, c.leaveIfIdle)
	return c
}

// BeginTx waits until this subscription holds the lane, and begins a batch.
func (c *consumer) BeginTx(context.Context, *sql.TxOptions) (wsql.Tx, error) {
	for {
		b, err := c.begin()
		if err != nil {
			return nil, err
		}
		if b != nil {
			return b, nil
		}
		if err := c.acquire(); err != nil {
			return nil, err
		}
	}
}

// begin returns a new batch, or nil when the lane is not held.
func (c *consumer) begin() (*batch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.work.Err() != nil || !c.owned() || c.surplus() {
		c.leave()
	}
	if c.work.Err() != nil {
		return nil, c.work.Err()
	}
	if cl := c.claim.Load(); cl != nil {
		c.current = newBatch(c, cl)
	}
	return c.current, nil
}

// surplus tells whether the lane belongs in another node's share, and counts it
// out if so. The caller holds mu.
func (c *consumer) surplus() bool {
	cl := c.claim.Load()
	if cl == nil || time.Since(cl.since) <= c.share.settle || !c.share.shed() {
		return false
	}
	cl.shed = true
	return true
}

// acquire asks for the lane until nobody else holds it, be it another
// subscription of this process or another process. A lane beyond this node's
// share is asked for at leisure, so that those it belongs to are first.
func (c *consumer) acquire() error {
	for turnedAway := time.Now(); ; {
		if c.share.take(time.Since(turnedAway) > c.share.patience) {
			turnedAway = time.Now()
			lock, err := c.tryLane()
			if lock == nil {
				c.share.give()
			}
			if err != nil {
				return fmt.Errorf("take lane %d: %w", c.lane, err)
			}
			if lock != nil {
				c.mu.Lock()
				c.claim.Store(&claim{LaneLock: lock, since: time.Now()})
				c.mu.Unlock()
				return nil
			}
		}
		select {
		case <-time.After(laneRetry/2 + rand.N(laneRetry)):
		case <-c.work.Done():
			return c.work.Err()
		}
	}
}

func (c *consumer) tryLane() (store.LaneLock, error) {
	ctx, cancel := context.WithTimeout(c.work, statementTimeout)
	defer cancel()
	return c.bus.store.TryLane(ctx, c.topic, c.lane)
}

// batchEnded is told by the batch. A fenced one means that somebody else owns
// the lane by now, whatever our lock believes.
func (c *consumer) batchEnded(fenced bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
	if fenced || c.work.Err() != nil {
		c.leave()
	}
}

// leaveIfIdle gives the lane up unless a batch is under way; then its end does.
func (c *consumer) leaveIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		c.leave()
	}
}

// leave gives the lane up. The caller holds mu.
func (c *consumer) leave() {
	if cl := c.claim.Swap(nil); cl != nil {
		cl.Release()
		if !cl.shed {
			c.share.give()
		}
	}
}

// drained stops the lane after the message in hand, and waits until what was
// handled is committed, or ctx ends.
func (c *consumer) drained(ctx context.Context) error {
	c.drain()
	c.mu.Lock()
	b := c.current
	c.mu.Unlock()
	if b == nil {
		return nil
	}
	select {
	case <-b.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("lane %d: the message in hand isn't done: %w", c.lane, context.Cause(ctx))
	}
}

func (c *consumer) wake() {
	select {
	case c.woken <- struct{}{}:
	default: // a wake-up is waiting already
	}
}

// owned doesn't take mu, for publishers ask, and they must not wait for a lane
// that is being given up.
func (c *consumer) owned() bool {
	cl := c.claim.Load()
	return cl != nil && !cl.lost()
}

// claim is the lane held.
type claim struct {
	store.LaneLock
	since time.Time
	shed  bool // counted out of the share already
}

func (cl *claim) lost() bool {
	select {
	case <-cl.Lost():
		return true
	default:
		return false
	}
}
