package hub

import (
	"time"

	"github.com/orbit/realtime/domain"
)

// Reasons of Observer.Closed beside the names of close codes.
const (
	ClosedLeft    = "left"    // the client meant to leave
	ClosedDropped = "dropped" // the connection broke, or a poller didn't come back
)

// Outcomes of Observer.Opened beside the resync reasons.
const (
	OpenedResumed = "resumed" // went on from the client's position
	OpenedFresh   = "fresh"   // the client sent no position
)

// Observer is told what becomes of sessions. Calls come from many goroutines,
// outside of the hub's locks; they must not block.
type Observer interface {
	// Opened says that a session was registered. outcome is OpenedResumed,
	// OpenedFresh, or the reason of the resync it begins with.
	Opened(t Transport, outcome string)
	// Closed says that it ended: ClosedLeft, ClosedDropped, or a close code's name.
	Closed(t Transport, reason string)
	// Written says that a session's transport has written an entry. total is
	// the time since its domain event was published, here the time since this
	// node heard of it: negative for one that was read from the log. live is
	// false for what was there before the session.
	Written(t Transport, live bool, total, here time.Duration)
}

// deaf is the observer of a hub that was given none.
type deaf struct{}

func (deaf) Opened(Transport, string)                              {}
func (deaf) Closed(Transport, string)                              {}
func (deaf) Written(Transport, bool, time.Duration, time.Duration) {}

// maxTouched bounds, per feed, the entries whose writes wait for TakeWrites.
const maxTouched = 8192

// tally counts to how many sessions an entry was written. It is shared by all
// of them, and guarded by the feed's lock.
type tally struct {
	offset  int64
	eventID string    // the domain event that led to it
	at      time.Time // when the domain event was published
	heard   time.Time // when this node heard of the entry; zero if it was read from the log
	touched bool      // it is in feed.touched
	writes  [len(transports)]writes
}

type writes struct {
	live, replayed int
	first, last    time.Time
}

// transports lists what a tally tells apart; one it doesn't know counts with the last.
var transports = [...]Transport{WS, SSE, Poll}

func (t Transport) index() int {
	for i, other := range transports {
		if t == other {
			return i
		}
	}
	return len(transports) - 1
}

// handout is an entry that Next has handed out, not known to be written yet.
type handout struct {
	*tally
	live bool
}

// settle counts what the last call of Next handed out as written: a transport
// calls Next again after the write. With f.mu held; the result is for observe,
// before the next hand-out.
func (s *Session) settle(now time.Time) []handout {
	f := s.feed
	for _, out := range s.inFlight {
		w := &out.writes[s.transport.index()]
		if out.live {
			w.live++
		} else {
			w.replayed++
		}
		if w.first.IsZero() {
			w.first = now
		}
		w.last = now
		switch {
		case out.touched:
		case len(f.touched) >= maxTouched:
			f.untold++
		default:
			out.touched = true
			f.touched = append(f.touched, out.tally)
		}
	}
	written := s.inFlight
	s.inFlight = s.inFlight[:0]
	if cap(written) > 8 { // most sessions are idle most of the time
		s.inFlight = nil
	}
	return written
}

// observe tells of what was written. Without the lock.
func (s *Session) observe(written []handout, now time.Time) {
	o := s.feed.hub.cfg.Observer
	for _, out := range written {
		here := time.Duration(-1)
		if !out.heard.IsZero() {
			here = now.Sub(out.heard)
		}
		o.Written(s.transport, out.live, max(0, now.Sub(out.at)), here)
	}
	clear(written)
}

// note keeps an entry that is being handed out for settle. With f.mu held.
func (s *Session) note(e *entry) {
	s.inFlight = append(s.inFlight, handout{e.tally, e.offset > s.replayTo})
}

// EntryWrites sums the sessions of one transport that an entry was written to.
type EntryWrites struct {
	Offset         int64
	EventID        string // the domain event that led to it
	Transport      Transport
	Live, Replayed int
	Heard          time.Time // when this node heard of the entry; zero if never
	First, Last    time.Time
}

// WorkspaceWrites is what was written of one workspace's log.
type WorkspaceWrites struct {
	WorkspaceID string
	Epoch       string
	Entries     []EntryWrites
	// Untold counts writes of entries that there was no room to remember.
	Untold int
}

// TakeWrites returns what was written since the last call. Whoever wants the
// story of each entry calls it about once a second; if nobody does, the hub
// remembers 8,192 entries per workspace and no more.
func (h *Hub) TakeWrites() []WorkspaceWrites {
	var all []WorkspaceWrites
	for _, f := range h.everyFeed() {
		f.mu.Lock()
		w := WorkspaceWrites{WorkspaceID: f.workspaceID, Epoch: f.epoch, Untold: f.untold}
		for _, t := range f.touched {
			for i, by := range t.writes {
				if by.live+by.replayed > 0 {
					w.Entries = append(w.Entries, EntryWrites{
						Offset: t.offset, EventID: t.eventID, Transport: transports[i], Live: by.live, Replayed: by.replayed,
						Heard: t.heard, First: by.first, Last: by.last,
					})
				}
			}
			t.touched, t.writes = false, [len(transports)]writes{}
		}
		f.touched, f.untold = nil, 0
		f.mu.Unlock()
		if len(w.Entries) > 0 || w.Untold > 0 {
			all = append(all, w)
		}
	}
	return all
}

func (h *Hub) everyFeed() []*feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	feeds := make([]*feed, 0, len(h.feeds))
	for _, f := range h.feeds {
		feeds = append(feeds, f)
	}
	return feeds
}

// closeReason names why a session ended.
func (s *Session) closeReason(clean bool) string {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	switch {
	case s.closeWith != nil:
		return s.closeWith.code.Name
	case s.reason != "":
		return s.reason
	case clean:
		return ClosedLeft
	}
	return ClosedDropped
}

// NoteClose says why the transport is about to close the session, for the
// statistics: without it, it has left or dropped. The hub's own reason wins.
func (s *Session) NoteClose(code domain.CloseCode) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.reason = code.Name
}
