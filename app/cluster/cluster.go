// Package cluster makes the processes over one database one product: who is
// there, what share of the lanes each takes, who is online on the others, and
// what every one of them is to do.
//
// Invariants:
//
//   - The database decides. What arrives by relay is a hint, and the next look
//     has it as well.
//   - A node is dead when its row has not moved for a lease, as far as this node
//     has been looking: time in which the database, or this process, stood still
//     does not count against others. No node's clock matters.
//   - Of a node that is dead, presence is dropped after what others are in time
//     to tell, and once.
package cluster

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// Database is what the nodes share. Package store implements it.
type Database interface {
	Beat(ctx context.Context, n store.Node) (nodes []store.Node, joined bool, err error)
	RemoveNode(ctx context.Context, id string, beat int64) error
	EvictLanes(ctx context.Context, nodeID string) error
	PresenceSince(ctx context.Context, nodeID string, known map[string]int64) ([]domain.NodePresence, error)
	AddCommand(ctx context.Context, kind, arg string) error
	Commands(ctx context.Context, d time.Duration) ([]store.Command, error)
	PruneCommands(ctx context.Context, d time.Duration) error
	AddAnswer(ctx context.Context, question, nodeID, answer string) error
	Answered(ctx context.Context, question string) (int, error)
	TakeAnswers(ctx context.Context, question string) (map[string]string, error)
}

// Presence takes what other nodes say of their sets. Package presence implements it.
type Presence interface {
	Apply([]domain.NodePresence)
	Replace(node string, set []domain.NodePresence)
}

// Config configures a Cluster. Zero values mean the defaults.
type Config struct {
	Self store.Node // Beat, Lanes and Stats are filled in
	// Lease is after how long without a heartbeat a node counts as dead
	// (default 5 s); its members are kept for PresenceLease (default and least:
	// Lease).
	Lease, PresenceLease time.Duration
	Interval             time.Duration                 // between heartbeats (default 1 s)
	Stats                func() string                 // JSON for operators (default "{}")
	OnCommand            func(store.Command)           // what every node is to do, once each
	OnAsk                func(kind, arg string) string // answers a question of another node
	OnRejoined           func()                        // this node was taken for dead: its record is gone
	Logger               *slog.Logger                  // default slog.Default
}

func (c *Config) setDefaults() {
	c.Interval = cmp.Or(c.Interval, time.Second)
	c.Lease = cmp.Or(c.Lease, 5*time.Second)
	c.PresenceLease = max(c.PresenceLease, c.Lease)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Stats == nil {
		c.Stats = func() string { return "{}" }
	}
	if c.OnCommand == nil {
		c.OnCommand = func(store.Command) {}
	}
	if c.OnAsk == nil {
		c.OnAsk = func(string, string) string { return "" }
	}
	if c.OnRejoined == nil {
		c.OnRejoined = func() {}
	}
}

const (
	// commandWindow is how far back commands are read. A node that doesn't look
	// for longer has missed them; what they are for has other nets.
	commandWindow = 30 * time.Second
	commandMemory = 2 * commandWindow
	// hintPause is the least time between two looks that hints asked for.
	hintPause = 20 * time.Millisecond
	// presenceMemory is after how long without a look everything is read anew:
	// well below what the record remembers of who left.
	presenceMemory = 30 * time.Second
)

// Cluster is this node's view of all nodes. It is safe for concurrent use.
type Cluster struct {
	db       Database
	presence Presence
	cfg      Config

	lanes   atomic.Bool // this node takes lanes
	takers  atomic.Pointer[place]
	others  atomic.Int64  // nodes alive beside this one
	hinted  chan struct{} // holds a token when commands are to be read
	beatNow chan struct{} // holds a token when a heartbeat shall come now

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows
	peers    map[string]*peer
	known    map[string]int64 // newest version read of each node's set
	lookedAt time.Time        // when the last look succeeded
	commands map[int64]bool   // carried out, within the window
	prunedAt time.Time
}

// peer is a node as this one sees it.
type peer struct {
	store.Node
	still   time.Duration // how long it hasn't moved
	evicted bool
	dropped bool // its presence was
}

// place is this node's among those that take lanes.
type place struct{ rank, of int }

// New makes a view; Start brings it to life.
func New(db Database, presence Presence, cfg Config) *Cluster {
	cfg.setDefaults()
	c := &Cluster{
		db: db, presence: presence, cfg: cfg,
		hinted: make(chan struct{}, 1), beatNow: make(chan struct{}, 1),
		peers: map[string]*peer{}, known: map[string]int64{}, commands: map[int64]bool{},
	}
	c.lanes.Store(true)
	c.takers.Store(&place{0, 1})
	return c
}

// Start joins: when it returns, this node has a row, and knows who is online.
func (c *Cluster) Start(ctx context.Context) error {
	if err := c.beat(ctx); err != nil {
		return err
	}
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.running.Go(func() { c.run(ctx) })
	return nil
}

// Stop ends the heartbeats. The row stays: members who were here have the lease
// to come back on another node. Idempotent.
func (c *Cluster) Stop() {
	if c.stop != nil {
		c.stop()
		c.running.Wait()
	}
}

// Retire tells the others that this node takes no lanes anymore. It doesn't wait.
func (c *Cluster) Retire() {
	c.lanes.Store(false)
	signal(c.beatNow)
}

// Hint says that there may be commands. It doesn't block.
func (c *Cluster) Hint() { signal(c.hinted) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Heard takes changes of a node's set that came by relay. Those of a node that
// isn't known, or is given up, wait for the look that finds it.
func (c *Cluster) Heard(changes []domain.NodePresence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.presence.Apply(slices.DeleteFunc(slices.Clone(changes), func(p domain.NodePresence) bool {
		peer := c.peers[p.Node]
		return peer == nil || peer.dropped || p.Version <= c.known[p.Node]
	}))
}

// LaneQuota is this node's share of so many lanes: the same for all, and one
// more for the first few.
func (c *Cluster) LaneQuota(lanes int) int {
	p := c.takers.Load()
	quota := lanes / p.of
	if p.rank < lanes%p.of {
		quota++
	}
	return quota
}

// Command asks every node, this one included.
func (c *Cluster) Command(ctx context.Context, kind, arg string) error {
	err := c.db.AddCommand(ctx, kind, arg)
	c.Hint()
	return err
}

// Alone tells whether no other node is alive.
func (c *Cluster) Alone() bool { return c.others.Load() == 0 }

// Nodes lists the nodes that are alive, by id.
func (c *Cluster) Nodes() []store.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	var nodes []store.Node
	for _, id := range slices.Sorted(maps.Keys(c.peers)) {
		if p := c.peers[id]; p.still < c.cfg.Lease {
			nodes = append(nodes, p.Node)
		}
	}
	return nodes
}

func (c *Cluster) run(ctx context.Context) {
	tick := time.NewTicker(c.cfg.Interval)
	defer tick.Stop()
	failing := false
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err = c.beat(ctx)
		case <-c.beatNow:
			err = c.beat(ctx)
		case <-c.hinted:
			select {
			case <-ctx.Done():
				return
			case <-time.After(hintPause):
			}
			err = c.obey(ctx)
		}
		if ctx.Err() == nil && (err != nil) != failing {
			if failing = err != nil; failing {
				c.cfg.Logger.Warn("this node can't reach the others' record", "error", err)
			} else {
				c.cfg.Logger.Info("this node reaches the others' record again")
			}
		}
	}
}

// beat renews this node's row, and looks at everybody's.
func (c *Cluster) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(c.cfg.Interval, time.Second)*2)
	defer cancel()
	self := c.cfg.Self
	self.Lanes, self.Stats = c.lanes.Load(), c.cfg.Stats()
	nodes, joined, err := c.db.Beat(ctx, self)
	if err != nil {
		return err
	}
	first := c.look(nodes)
	if joined && !first {
		c.cfg.Logger.Warn("this node was taken for dead; it is back")
		c.cfg.OnRejoined()
	}
	if err := c.sync(ctx); err != nil {
		return err
	}
	if err := c.bury(ctx); err != nil {
		return err
	}
	return c.obey(ctx)
}

// look compares everybody's row with what it was.
func (c *Cluster) look(nodes []store.Node) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	first = c.lookedAt.IsZero()
	// However long nobody looked, a node had no more than this to move.
	passed := min(now.Sub(c.lookedAt), 2*c.cfg.Interval)
	if first {
		passed = 0
	} else if now.Sub(c.lookedAt) > presenceMemory {
		clear(c.known)
	}
	c.lookedAt = now

	var mine int64
	for _, n := range nodes {
		if n.ID == c.cfg.Self.ID {
			mine = n.Beat
		}
	}
	there := map[string]bool{}
	for _, n := range nodes {
		there[n.ID] = true
		p := c.peers[n.ID]
		switch {
		case p == nil:
			p = &peer{Node: n}
			// Nobody takes lanes who hasn't moved for long, by the database's own clock.
			if age := time.Duration(mine-n.Beat) * time.Microsecond; age > c.cfg.Lease {
				p.still = c.cfg.Lease
			}
			c.peers[n.ID] = p
		case n.Beat == p.Beat && n.ID != c.cfg.Self.ID:
			p.still += passed
		default:
			if p.dropped {
				delete(c.known, n.ID) // what was dropped is read again
			}
			*p = peer{Node: n}
		}
	}
	for id, p := range c.peers {
		if !there[id] { // somebody else removed it
			delete(c.peers, id)
			c.drop(p)
		}
	}
	c.deal()
	return first
}

// deal finds this node's place among those that take lanes. With c.mu held.
func (c *Cluster) deal() {
	p := &place{}
	others := int64(0)
	for id, n := range c.peers {
		if n.still < c.cfg.Lease && id != c.cfg.Self.ID {
			others++
		}
		if n.Lanes && n.still < c.cfg.Lease || id == c.cfg.Self.ID {
			p.of++
			if id < c.cfg.Self.ID {
				p.rank++
			}
		}
	}
	c.takers.Store(p)
	c.others.Store(others)
}

// drop takes a node's members for gone. With c.mu held.
func (c *Cluster) drop(p *peer) {
	if !p.dropped && p.ID != c.cfg.Self.ID {
		p.dropped = true
		c.presence.Replace(p.ID, nil)
	}
	delete(c.known, p.ID)
}

// sync reads what changed in the others' sets.
func (c *Cluster) sync(ctx context.Context) error {
	c.mu.Lock()
	known := maps.Clone(c.known)
	c.mu.Unlock()
	changes, err := c.db.PresenceSince(ctx, c.cfg.Self.ID, known)
	if err != nil {
		return err
	}
	byNode := map[string][]domain.NodePresence{}
	for _, p := range changes {
		byNode[p.Node] = append(byNode[p.Node], p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.peers {
		if p.dropped || id == c.cfg.Self.ID {
			continue
		}
		set := byNode[id]
		if before, was := known[id]; was {
			c.presence.Apply(set)
			c.known[id] = before
		} else { // nothing was known, or no more: this is all
			c.presence.Replace(id, set)
			c.known[id] = 0
		}
		if len(set) > 0 {
			c.known[id] = set[len(set)-1].Version
		}
	}
	return nil
}

// bury takes the lanes of nodes that are dead, and later their members.
func (c *Cluster) bury(ctx context.Context) error {
	var evict, remove []store.Node
	c.mu.Lock()
	for id, p := range c.peers {
		if id == c.cfg.Self.ID || p.still < c.cfg.Lease {
			continue
		}
		if !p.evicted {
			p.evicted = true
			evict = append(evict, p.Node)
		}
		if p.still >= c.cfg.PresenceLease {
			c.drop(p)
			remove = append(remove, p.Node)
		}
	}
	c.mu.Unlock()
	for _, n := range evict {
		c.cfg.Logger.Info("a node is gone", "node", n.Name, "id", n.ID)
		if err := c.db.EvictLanes(ctx, n.ID); err != nil {
			// Not ours to end, perhaps: then the server's keepalive has to.
			c.cfg.Logger.Warn("a dead node's lanes can't be taken from it", "node", n.Name, "error", err)
		}
	}
	for _, n := range remove {
		if err := c.db.RemoveNode(ctx, n.ID, n.Beat); err != nil {
			return err
		}
	}
	return nil
}

// obey carries out the commands that are new.
func (c *Cluster) obey(ctx context.Context) error {
	list, err := c.db.Commands(ctx, commandWindow)
	if err != nil {
		return err
	}
	var fresh []store.Command
	seen := map[int64]bool{}
	c.mu.Lock()
	for _, command := range list {
		seen[command.ID] = true
		if !c.commands[command.ID] {
			fresh = append(fresh, command)
		}
	}
	c.commands = seen
	prune := time.Since(c.prunedAt) > commandMemory
	if prune {
		c.prunedAt = time.Now()
	}
	c.mu.Unlock()
	for _, command := range fresh {
		if command.Kind == commandAsk {
			c.answer(ctx, command)
			continue
		}
		c.cfg.OnCommand(command)
	}
	if prune {
		return c.db.PruneCommands(ctx, commandMemory)
	}
	return nil
}
