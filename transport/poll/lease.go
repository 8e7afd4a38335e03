package poll

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

// lease is a session between and during its polls.
type lease struct {
	session  *hub.Session
	identity hub.Identity
	rooms    []string      // sorted
	ready    chan struct{} // the session may have something
	ended    chan struct{} // closed when the hub ended the session; bye is set then
	ending   sync.Once
	bye      goodbye
	turn     chan struct{} // held by the one poll that may ask the session
	position string        // the client's, after the last answer; belongs to the turn

	// Guarded by leases.mu.
	newer  chan struct{} // closed when another poll comes; nil before the first
	polls  int           // that have or want the turn
	expiry *time.Timer   // runs while polls is 0
	gone   bool
}

type goodbye struct {
	code  domain.CloseCode
	delay time.Duration
}

func newLease(options hub.Options) *lease {
	return &lease{
		identity: options.Identity,
		rooms:    slices.Sorted(slices.Values(options.Rooms)),
		ready:    make(chan struct{}, 1),
		ended:    make(chan struct{}),
		turn:     make(chan struct{}, 1),
	}
}

// fits tells whether a request may go on with this session: nobody else's, and
// for the same rooms. JoinedOffset goes with the member.
func (l *lease) fits(options hub.Options) bool {
	return l.identity == options.Identity && slices.Equal(l.rooms, slices.Sorted(slices.Values(options.Rooms)))
}

// wake is the session's OnReady.
func (l *lease) wake() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// end is the session's OnClose. The lease lives on for a while, so that the
// next poll learns why the session ended.
func (l *lease) end(code domain.CloseCode, info hub.CloseInfo) {
	l.ending.Do(func() {
		l.bye = goodbye{code, info.Delay}
		close(l.ended)
		l.session.Close(!code.Reconnect)
	})
}

func (l *lease) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// answer makes an Answer, and remembers what position it gave out.
func (l *lease) answer(events []json.RawMessage) Answer {
	if events == nil {
		events = []json.RawMessage{}
	}
	l.position = l.session.Position().String()
	return Answer{Position: l.position, Events: events}
}

// leases are the sessions of all pollers.
type leases struct {
	length time.Duration

	mu     sync.Mutex
	byID   map[string]*lease
	closed bool
}

// add takes in a new lease, with the turn on it, unless the server is closed.
func (ls *leases) add(l *lease) (newer <-chan struct{}, ok bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return nil, false
	}
	if ls.byID == nil {
		ls.byID = map[string]*lease{}
	}
	ls.byID[l.session.ID()] = l
	l.newer, l.polls = make(chan struct{}), 1
	l.turn <- struct{}{}
	return l.newer, true
}

// get looks a session up.
func (ls *leases) get(id string) *lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.byID[id]
}

// find looks a session up, and counts the caller's poll in: done counts it out.
func (ls *leases) find(id string, options hub.Options) (l *lease, newer <-chan struct{}) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l = ls.byID[id]
	if l == nil || !l.fits(options) {
		return nil, nil
	}
	close(l.newer)
	l.newer = make(chan struct{})
	l.polls++
	if l.expiry != nil {
		l.expiry.Stop()
	}
	return l, l.newer
}

// done counts a poll out. With the last one the lease begins to run.
func (ls *leases) done(l *lease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.polls--; l.polls == 0 && !l.gone {
		l.expiry = time.AfterFunc(ls.length, func() { ls.expire(l) })
	}
}

func (ls *leases) expire(l *lease) {
	ls.mu.Lock()
	expired := l.polls == 0 && !l.gone // or a poll came at the last moment
	ls.mu.Unlock()
	if expired {
		ls.drop(l)
	}
}

// drop forgets a lease and ends its session: an abnormal drop, as far as
// presence is concerned, for a poller can't say that it leaves.
func (ls *leases) drop(l *lease) {
	ls.mu.Lock()
	l.gone = true
	delete(ls.byID, l.session.ID())
	if l.expiry != nil {
		l.expiry.Stop()
	}
	ls.mu.Unlock()
	l.session.Close(false)
}

// close ends all sessions. Waiting polls answer a goodbye.
func (ls *leases) close() {
	ls.mu.Lock()
	ls.closed = true
	var all []*lease
	for _, l := range ls.byID {
		all = append(all, l)
	}
	ls.mu.Unlock()
	for _, l := range all {
		l.end(domain.CloseGoingAway, hub.CloseInfo{})
		ls.drop(l)
	}
}

// take waits for the turn. It fails when a newer poll came, or the client went.
func (l *lease) take(ctx context.Context, newer <-chan struct{}) bool {
	select {
	case l.turn <- struct{}{}:
		return true
	case <-newer:
	case <-ctx.Done():
	}
	return false
}

// give gives the turn back.
func (l *lease) give() { <-l.turn }
