package hub

import (
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
)

// feed is one active workspace: the tail of its log, and who reads it. Its lock
// covers its sessions' state as well, so that a session's position, its
// subscriptions and the head are always seen together. It is held for short
// times only: never while the database is asked or a callback runs.
type feed struct {
	hub         *Hub
	workspaceID string

	// Guarded by hub.mu.
	refs      int
	idleSince time.Time // when refs became 0

	// turn admits one at a time to loading the feed and to filling its ring
	// backwards: whoever waited finds the work done.
	turn chan struct{}

	mu       sync.Mutex // guards what follows, and every session of the feed
	loaded   bool
	missed   bool // a hint came while the feed was being loaded
	dropped  bool
	epoch    string
	resets   int   // how often the log didn't continue
	floor    int64 // as last seen; the log's own may be higher by now
	ring     ring
	channels map[domain.Channel]*channel
	states   ephemerals
	beat     Frame // system.heartbeat at beatAt, shared by idle sessions
	beatAt   int64
	touched  []*tally // entries written since TakeWrites
	untold   int      // writes that touched had no room for

	reading, again bool // see refresh

	waking bool // wakeAll is running
	woken  []*Session
	spare  []*Session
}

func newFeed(h *Hub, workspaceID string) *feed {
	return &feed{
		hub: h, workspaceID: workspaceID, turn: make(chan struct{}, 1),
		ring: ring{size: h.cfg.RingSize}, channels: map[domain.Channel]*channel{}, beatAt: math.MinInt64,
	}
}

// deliver applies a hint. The next entry in line is appended; what is known is
// skipped; anything else says only that the log has more than we know.
func (f *feed) deliver(a domain.Appended) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.loaded {
		f.missed = true
		return
	}
	if a.Epoch != f.epoch || !f.apply(a.Entries) {
		f.refresh()
	}
}

// advanced applies a hint without entries.
func (f *feed) advanced(p domain.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.loaded:
		f.missed = true
	case p.Epoch != f.epoch || p.Offset > f.ring.head:
		f.refresh()
	}
}

// apply appends the entries that continue the head, and reports whether there
// was no gap before them. With f.mu held.
func (f *feed) apply(entries []domain.Entry) bool {
	now := time.Now()
	for _, e := range entries {
		switch {
		case e.Offset <= f.ring.head:
		case e.Offset == f.ring.head+1:
			f.append(e, now)
		default:
			return false
		}
	}
	return true
}

// append takes the next entry: it marks revocations first, so that no session
// can read past one, then wakes the sessions on the entry's channel, and
// nobody else. With f.mu held.
func (f *feed) append(e domain.Entry, heard time.Time) {
	f.ring.push(encode(f.epoch, e, heard))
	if e.Revoke != nil {
		f.revoke(e.Offset, *e.Revoke)
	}
	for _, sub := range f.on(e.Channel) {
		if sub.active && sub.until == 0 {
			sub.session.due(e.Offset)
		}
	}
}

// reset starts over at a log that doesn't continue the one known: every session
// is told to resync, and goes on from the new head. The history in between is
// unknown, revocations included, so each session's rights are verified again
// before it is handed anything. With f.mu held.
func (f *feed) reset(state domain.LogState, reason domain.ResyncReason) {
	f.resets++
	f.epoch, f.floor, f.beatAt = state.Epoch, state.Floor, math.MinInt64
	f.ring.reset(state.Head)
	f.touched = nil // offsets of the log that was
	for _, sub := range f.on(domain.WorkspaceChannel(f.workspaceID)) {
		sub.session.restart(state.Head, reason)
		f.wake(sub.session)
	}
}

// position is the head's. With f.mu held.
func (f *feed) position(offset int64) domain.Position {
	return domain.Position{Epoch: f.epoch, Offset: offset}
}

// wake makes the session's OnReady run soon, unless it ran since the last call
// of Next. With f.mu held.
func (f *feed) wake(s *Session) {
	if s.woken || s.closed {
		return
	}
	s.woken = true
	f.woken = append(f.woken, s)
	if !f.waking {
		f.waking = true
		f.hub.spawn(f.wakeAll)
	}
}

// wakeAll calls OnReady outside of every lock. It runs in a goroutine of the
// feed, so that neither the pipeline's lane nor the presence tracker's lock is
// held up by a broadcast to ten thousand sessions.
func (f *feed) wakeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.woken) > 0 {
		batch := f.woken
		f.woken = f.spare[:0]
		f.mu.Unlock()
		readyAll(batch)
		f.mu.Lock()
		f.spare = batch
	}
	f.waking = false
}

// shard is how many sessions are worth a goroutine. A transport may write in
// OnReady, which takes some microseconds each: the last of ten thousand
// shouldn't wait for all others where there are processors to spare.
const shard = 256

// readyAll makes every session of the batch ready, and forgets them.
func readyAll(batch []*Session) {
	workers := min(runtime.GOMAXPROCS(0), 1+len(batch)/shard)
	size := (len(batch) + workers - 1) / workers
	var working sync.WaitGroup
	for part := range slices.Chunk(batch, size) {
		work := func() {
			for i, s := range part {
				s.ready()
				part[i] = nil
			}
		}
		if workers == 1 {
			work()
		} else {
			working.Go(work)
		}
	}
	working.Wait()
}

// ready calls OnReady; a panic in it is the transport's, not everybody's.
func (s *Session) ready() {
	defer s.recovered("OnReady")
	if s.onReady != nil {
		s.onReady()
	}
}

func (s *Session) recovered(callback string) {
	if p := recover(); p != nil {
		s.feed.hub.cfg.Logger.Error("panic in a transport's callback", "callback", callback,
			"session", s.id, "transport", s.transport, "panic", p, "stack", string(debug.Stack()))
	}
}
