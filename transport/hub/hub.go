// Package hub keeps sessions, channels and a ring of recent entries per active
// workspace, and wakes the sessions that a new entry concerns.
//
// Invariants:
//
//   - A session is handed every entry of its channels after its position, in
//     order of offset, once; or it is told so: system.resync, or a close code.
//     A lost, doubled or reordered hint costs latency, never an entry.
//   - A session holds a position, not a queue. Nothing is written into it when
//     an entry arrives; it is woken, and reads the ring, or else the log.
//   - A revocation takes effect in the feed, at the offset of its entry, before
//     any session can read that entry: nothing above it is handed out.
//   - Callbacks run outside of every lock.
//
// Locks, in the order in which they may nest: the presence tracker's, then a
// feed's (it covers its sessions too), then the hub's leaf lock for starting
// goroutines. The hub's registry lock is never held together with a feed's.
package hub

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
)

// Log is what the hub reads when its ring doesn't reach back far enough, when
// a hint was lost, and for the safety read. Package store implements it.
type Log interface {
	LogStates(ctx context.Context, workspaceIDs []string) (map[string]domain.LogState, error)
	LogAfter(ctx context.Context, workspaceID string, after, upTo int64, channels []domain.Channel, limit int) ([]domain.Entry, domain.LogState, error)
}

// Entitlements answers from the database, now. Package auth implements it.
type Entitlements interface {
	// Member verifies that sign-in and membership still stand: nil,
	// CodeUnauthenticated when the sign-in session ended, CodeForbidden when
	// the membership did, or a transient error.
	Member(ctx context.Context, id Identity) error
	// Room verifies that the member may read the room; a room that is unknown
	// and one that is closed to the member give the same CodeNotFound.
	Room(ctx context.Context, id Identity, room string) error
	// LiveSessions returns those of the sign-in sessions that have not ended.
	LiveSessions(ctx context.Context, authSessionIDs []string) (map[string]bool, error)
	// LiveMembers returns, by member id, which of the memberships stand.
	LiveMembers(ctx context.Context, ids []Identity) (map[string]bool, error)
}

// Presence is told of sessions coming and going. Package presence implements it.
type Presence interface {
	Join(workspaceID, memberID, sessionID string)
	Leave(workspaceID, memberID, sessionID string, clean bool)
	// View calls fn with the sorted ids of members online, while no flip of
	// that workspace can happen. fn may keep the slice, but not change it.
	View(workspaceID string, fn func(online []string))
}

// Relay brings hints from other nodes, for the workspaces that are followed: a
// node follows those it has tabs of. Package relay implements it. Called under
// the hub's lock: neither may block, nor call the hub.
type Relay interface {
	Follow(workspaceID string)
	Unfollow(workspaceID string)
}

// Config has the hub's limits. Zero values mean the defaults.
type Config struct {
	RingSize             int           // entries kept at least per active workspace (default 1024)
	Heartbeat            time.Duration // default 25 s
	SafetyRead           time.Duration // how often lost hints are looked for (default 1 s)
	RevokeGrace          time.Duration // time to write up to a revoking entry before the cut (default 1 s)
	Linger               time.Duration // how long a feed outlives its last session (default 30 s)
	MaxSessions          int           // per node (default 20,000)
	MaxWorkspaceSessions int           // per workspace (default 20,000)
	MaxUserSessions      int           // per user (default 100)
	MaxRooms             int           // per session (default 50)
	Logger               *slog.Logger  // default slog.Default()
	Observer             Observer      // default: nobody
	Relay                Relay         // default: there is one node
	NodeID               string        // of this run among the nodes; see OfNode
}

func (c Config) withDefaults() Config {
	c.RingSize = cmp.Or(c.RingSize, 1024)
	c.Heartbeat = cmp.Or(c.Heartbeat, 25*time.Second)
	c.SafetyRead = cmp.Or(c.SafetyRead, time.Second)
	c.RevokeGrace = cmp.Or(c.RevokeGrace, time.Second)
	c.Linger = cmp.Or(c.Linger, 30*time.Second)
	c.MaxSessions = cmp.Or(c.MaxSessions, 20_000)
	c.MaxWorkspaceSessions = cmp.Or(c.MaxWorkspaceSessions, 20_000)
	c.MaxUserSessions = cmp.Or(c.MaxUserSessions, 100)
	c.MaxRooms = cmp.Or(c.MaxRooms, 50)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Observer == nil {
		c.Observer = deaf{}
	}
	if c.Relay == nil {
		c.Relay = alone{}
	}
	return c
}

// Hub is the in-process hub. It is safe for concurrent use.
type Hub struct {
	log      Log
	ent      Entitlements
	cfg      Config
	presence Presence

	ctx    context.Context // of everything in the background; ended by Stop
	cancel context.CancelFunc

	background sync.WaitGroup
	spawning   sync.Mutex // leaf lock: orders spawn against Stop
	stopped    bool

	blind    bool // the last safety read failed; safetyRead's own
	failures int  // failed re-checks in a row; recheck's own

	missed chan struct{} // holds a token when the safety read shall come now

	mu       sync.Mutex // guards what follows
	feeds    map[string]*feed
	users    map[string]int // sessions per user
	counts   map[Transport]int
	sessions wheel
	draining bool

	suspects   map[string]bool // workspaces that Missed named since the last safety read
	suspectAll bool
}

// New makes a hub. Presence is given with SetPresence, for the two know each other.
func New(log Log, ent Entitlements, cfg Config) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	return &Hub{
		log: log, ent: ent, cfg: cfg.withDefaults(), presence: nobody{}, missed: make(chan struct{}, 1), suspects: map[string]bool{},
		ctx: ctx, cancel: cancel,
		feeds: map[string]*feed{}, users: map[string]int{}, counts: map[Transport]int{},
	}
}

// SetPresence must be called before Start.
func (h *Hub) SetPresence(p Presence) { h.presence = p }

// Start begins the heartbeat and the safety read; Stop, or the end of ctx, ends
// both. Call it once.
func (h *Hub) Start(ctx context.Context) error {
	context.AfterFunc(ctx, h.cancel)
	h.spawn(func() { h.every(h.cfg.Heartbeat/buckets, h.beat) })
	h.spawn(func() { h.every(h.cfg.Heartbeat/buckets, h.recheck) })
	h.spawn(h.watchLogs)
	return nil
}

// Stop ends the background work and waits for it. Sessions that are still
// there are woken no more: Drain comes before Stop. Idempotent.
func (h *Hub) Stop() {
	h.spawning.Lock()
	h.stopped = true
	h.spawning.Unlock()
	h.cancel()
	h.background.Wait()
}

// spawn runs fn in a goroutine that Stop waits for, unless the hub has stopped.
func (h *Hub) spawn(fn func()) {
	h.spawning.Lock()
	defer h.spawning.Unlock()
	if !h.stopped {
		h.background.Go(fn)
	}
}

// every calls fn once per interval until the hub stops. Ticks that fn is too
// slow for are skipped, as time.Ticker does.
func (h *Hub) every(interval time.Duration, fn func()) {
	ticker := time.NewTicker(max(interval, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
			fn()
		}
	}
}

// Deliver takes entries that were appended, after the commit. It is a hint: a
// gap is read from the log, what is known already is ignored. It doesn't block
// on sessions or on the database.
func (h *Hub) Deliver(a domain.Appended) {
	if f := h.feed(a.WorkspaceID); f != nil {
		f.deliver(a)
	}
}

// Advanced takes the hint that a workspace's log has grown to p, without the
// entries: they are read, unless they are here already.
func (h *Hub) Advanced(workspaceID string, p domain.Position) {
	if f := h.feed(workspaceID); f != nil {
		f.advanced(p)
	}
}

// Missed takes the hint that hints about these workspaces were lost, or about any
// (nil): the safety read of them comes now rather than at its time. It doesn't
// block.
func (h *Hub) Missed(workspaceIDs []string) {
	h.mu.Lock()
	for _, id := range workspaceIDs {
		h.suspects[id] = true
	}
	h.suspectAll = h.suspectAll || workspaceIDs == nil
	h.mu.Unlock()
	select {
	case h.missed <- struct{}{}:
	default: // a read is coming
	}
}

// Broadcast sends an ephemeral event to the sessions on its channel; of
// several waiting ones with the same key the last wins.
func (h *Hub) Broadcast(workspaceID string, ev domain.ServerEvent, key string) {
	f := h.feed(workspaceID)
	if f == nil {
		return
	}
	data, err := domain.EncodeServerEvent(ev, "", time.Time{})
	if err != nil {
		h.cfg.Logger.Error("an ephemeral event can't be encoded", "type", ev.Type, "error", err)
		return
	}
	f.broadcast(ev.Channel, key, Frame{Data: data})
}

// CloseAuthSession closes every session of a sign-in session.
func (h *Hub) CloseAuthSession(authSessionID string, code domain.CloseCode) {
	h.mu.Lock()
	var ended []*Session
	for s := range h.sessions.all() {
		if s.identity.AuthSessionID == authSessionID {
			ended = append(ended, s)
		}
	}
	h.mu.Unlock()
	for _, s := range ended {
		s.endNow(code, CloseInfo{})
	}
}

// Stats counts what there is now.
type Stats struct {
	Sessions   map[Transport]int
	Workspaces int // with at least one session
}

// Stats counts the sessions of this node.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	stats := Stats{Sessions: map[Transport]int{}}
	for transport, n := range h.counts {
		stats.Sessions[transport] = n
	}
	for _, f := range h.feeds {
		if f.refs > 0 {
			stats.Workspaces++
		}
	}
	return stats
}

func (h *Hub) feed(workspaceID string) *feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.feeds[workspaceID]
}

// nobody is the presence of a hub that was given none.
type nobody struct{}

func (nobody) Join(_, _, _ string)                  {}
func (nobody) Leave(_, _, _ string, _ bool)         {}
func (nobody) View(_ string, fn func(ids []string)) { fn(nil) }

// alone is the relay of a hub that was given none.
type alone struct{}

func (alone) Follow(string)   {}
func (alone) Unfollow(string) {}
