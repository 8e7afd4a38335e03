package hub

import (
	"context"
	"errors"
	"time"

	"github.com/orbit/realtime/domain"
)

// Identity is who a session belongs to, as admission found it.
type Identity struct {
	WorkspaceID   string
	WorkspaceSlug string
	MemberID      string
	UserID        string
	AuthSessionID string // the sign-in session, whose end closes this one
	JoinedOffset  int64  // replay never reaches behind it
}

// Transport names how a session's bytes travel.
type Transport string

const (
	WS   Transport = "ws"
	SSE  Transport = "sse"
	Poll Transport = "poll"
)

// Options describe a session to register.
type Options struct {
	Identity
	Transport Transport
	// Position is the client's, as sent; "" means "from now on". A position
	// that can't be resumed leads to system.resync, never to an error.
	Position string
	Rooms    []string // room ids to subscribe to at once
	Catalog  string   // the client's catalog hash; "" if it sent none
	// OnReady is called whenever Next may have something to return. It may be
	// called from any goroutine and often, never under a lock of the hub, and
	// must not block: a WebSocket pump schedules itself, an SSE loop is woken.
	// The first call of Next needs no OnReady, and none comes before it; one
	// may still come right after Close.
	OnReady func()
	// OnClose is called once, in a goroutine of its own, when the hub ends the
	// session (revoked, signed out, draining, slow consumer), but not before
	// the first call of Next. The transport tells the client (close frame,
	// system.goodbye), cuts the connection at once, and then calls
	// Session.Close.
	OnClose func(domain.CloseCode, CloseInfo)
}

// CloseInfo goes with a close code.
type CloseInfo struct {
	Delay time.Duration // when the client should come back; zero: its own choice
}

// Frame is one encoded server event.
type Frame struct {
	ID   string // the position, for SSE's id; "" for events without one
	Data []byte // one line of JSON; shared between sessions: read only
}

// ErrClosed is returned by a session after its Close.
var ErrClosed = errors.New("hub: the session is closed")

// maxReplies bounds the answers that wait for a client to read them. One that
// asks for more without reading is closed with CloseRateLimited.
const maxReplies = 64

// Session is one connected socket or stream. It holds a position, not a queue:
// the transport asks for Next when it can write, so at most one write is in
// flight and a slow client costs nothing but its own lag. All methods but Next
// are safe for concurrent use.
type Session struct {
	feed      *feed
	id        string
	identity  Identity
	transport Transport
	onReady   func()
	onClose   func(domain.CloseCode, CloseInfo)

	openedAt time.Time
	verified time.Time // that the sign-in session stands; recheck's own
	doubted  bool      // at the last look the membership had ended; recheck's own

	bucket, slot int // in the hub's wheel; guarded by hub.mu

	// The rest is guarded by feed.mu.

	// at is the offset up to which the log has been scanned for the session,
	// if dirty. Otherwise it is caught up: there is nothing for it up to the
	// feed's head, however far that moves.
	at       int64
	dirty    bool
	replayTo int64           // the head at registration
	handed   domain.Position // of the newest event handed out
	subs     []*subscription
	ends     bool                // some subscription's until is set
	cut      int64               // offset of the entry that ended the membership; 0: none
	resync   domain.ResyncReason // system.resync is due
	replies  []reply
	backfill *backfill
	seen     int64 // of the ephemeral states, if lags
	lags     bool

	greeted   bool // system.hello has been handed out
	resumed   bool
	outdated  bool // system.outdated is due
	live      bool // system.live has been handed out
	beat      bool // system.heartbeat is due
	unproven  bool // rights must be verified before anything is handed out
	blocked   bool // a read failed; waiting before the next
	failures  uint8
	started   bool // Next has been called
	woken     bool // OnReady has been, or will be, called since Next
	told      bool // OnClose has been called
	closed    bool
	closeWith *closing // set when the hub ended the session
	reason    string   // see NoteClose

	inFlight []handout // what the last call of Next handed out
}

type closing struct {
	code domain.CloseCode
	info CloseInfo
}

// ID names the session, as in system.hello.
func (s *Session) ID() string { return s.id }

// Position is that of the newest event handed out.
func (s *Session) Position() domain.Position {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return s.handed
}

// Heartbeat makes system.heartbeat due.
func (s *Session) Heartbeat() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.beat = true
	s.feed.wake(s)
}

// SendError makes a system.error due.
func (s *Session) SendError(code domain.Code, message string, ref *int64) {
	data := system(domain.ServerSystemError, domain.ErrorPayload{Code: code, Message: message, Ref: ref})
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.reply(reply{data: data})
}

// Close unregisters the session. clean says that the client meant to leave
// (close frame with 1000 or 1001, or we ended it for good): presence then
// flips at once instead of after the grace. When the hub ended the session, its
// close code decides instead: one that asks to reconnect is not clean, so that
// a drain flips nobody. Idempotent.
func (s *Session) Close(clean bool) {
	if !s.leave() {
		return
	}
	s.feed.hub.cfg.Observer.Closed(s.transport, s.closeReason(clean))
	if s.closeWith != nil { // doesn't change after leave
		clean = !s.closeWith.code.Reconnect
	}
	id := s.identity
	s.feed.hub.presence.Leave(id.WorkspaceID, id.MemberID, s.id, clean)
}

// due notes that the log has an entry for the session. A session that was
// caught up can't have missed anything below it, so its scan starts there: a
// quiet session never falls out of the ring. With f.mu held.
func (s *Session) due(offset int64) {
	if !s.dirty {
		s.dirty, s.at = true, offset-1
	}
	s.feed.wake(s)
}

// pos is the offset up to which the session has everything. With f.mu held.
func (s *Session) pos() int64 {
	if s.dirty {
		return s.at
	}
	return s.feed.ring.head
}

// hand notes the position of an event handed out; the newest counts. With f.mu held.
func (s *Session) hand(offset int64) {
	if s.handed.Epoch != s.feed.epoch || offset > s.handed.Offset {
		s.handed = s.feed.position(offset)
	}
}

// on tells whether the session may see a channel now. With f.mu held.
func (s *Session) on(name domain.Channel) bool {
	for _, sub := range s.subs {
		if sub.active && sub.channel.name == name {
			return true
		}
	}
	return false
}

// channels names the channels the session may see now. With f.mu held.
func (s *Session) channels() []domain.Channel {
	names := make([]domain.Channel, 0, len(s.subs))
	for _, sub := range s.subs {
		if sub.active {
			names = append(names, sub.channel.name)
		}
	}
	return names
}

// restart begins again at the head of a log that doesn't continue the one
// known. With f.mu held.
func (s *Session) restart(head int64, reason domain.ResyncReason) {
	if s.cut != 0 {
		s.end(domain.CloseRevoked, CloseInfo{})
		return
	}
	s.at, s.dirty, s.replayTo = head, true, head
	s.resumed, s.resync, s.unproven = false, reason, true
	s.backfill = nil
	for i := range s.replies {
		s.replies[i].fill = false
	}
	for _, sub := range s.subs {
		sub.skip = 0
		if sub.until != 0 {
			sub.until = atOnce
		}
	}
}

// end closes the session from the hub's side. With f.mu held.
func (s *Session) end(code domain.CloseCode, info CloseInfo) {
	if s.closed || s.closeWith != nil {
		return
	}
	s.closeWith = &closing{code, info}
	if s.started {
		s.tell()
	}
}

func (s *Session) endNow(code domain.CloseCode, info CloseInfo) {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.end(code, info)
}

// tell calls OnClose, once. With f.mu held.
func (s *Session) tell() {
	if s.told || s.onClose == nil {
		return
	}
	s.told = true
	go func(c closing) {
		defer s.recovered("OnClose")
		s.onClose(c.code, c.info)
	}(*s.closeWith)
}

// pause puts off the session's reads after a failed one: OnReady comes when the
// next attempt is due, and what needs no read goes on meanwhile.
func (s *Session) pause(err error) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hub.cfg.Logger.Debug("a session's read failed; trying again", "session", s.id, "error", err)
	s.blocked = true
	time.AfterFunc(backoff(int(s.failures)), func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		s.blocked = false
		f.wake(s)
	})
	s.failures = min(s.failures+1, 100)
}

// Next returns what is to be written now, oldest first, at most about maxBytes
// (at least one frame if any is due), and advances the session's position as
// if it had been written: the caller writes all of it, or closes the session.
// It is called again after the write, until there is nothing.
//
// No frames and no error means: nothing due, or the hub ended the session; wait
// for OnReady or OnClose. A database that is away is no error either: OnReady
// comes when another attempt is due. Errors: ctx's, and ErrClosed after Close.
//
// Next may read the log; it must not be called concurrently with itself. The
// first frames of a session are system.hello, then (if needed) system.resync
// and system.outdated, then the replay, then system.live.
func (s *Session) Next(ctx context.Context, maxBytes int) ([]Frame, error) {
	if !s.start() {
		return nil, ErrClosed
	}
	b := batch{limit: maxBytes}
	for {
		do := s.collect(&b)
		if do == nil || len(b.frames) > 0 {
			return b.frames, nil
		}
		if err := do(ctx, &b); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			s.pause(err)
		}
	}
}

// TryNext is Next as far as that needs no waiting, and appends to frames. If
// ready is false, only Next can tell what is due.
func (s *Session) TryNext(frames []Frame, maxBytes int) (due []Frame, ready bool, err error) {
	if !s.start() {
		return frames, true, ErrClosed
	}
	b := batch{frames: frames, limit: maxBytes}
	do := s.collect(&b)
	return b.frames, do == nil || len(b.frames) > 0, nil
}
