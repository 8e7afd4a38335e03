package hub

import (
	"context"
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
	OnReady func()
	// OnClose is called once, in a goroutine of its own, when the hub ends the
	// session (revoked, signed out, draining, slow consumer). The transport
	// tells the client (close frame, system.goodbye), cuts the connection at
	// once, and then calls Session.Close.
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

// Session is one connected socket or stream. It holds a position, not a queue:
// the transport asks for Next when it can write, so at most one write is in
// flight and a slow client costs nothing but its own lag.
type Session struct{}

// ID names the session, as in system.hello.
func (s *Session) ID() string { panic("stub") }

// Next returns what is to be written now, oldest first, at most about maxBytes
// (at least one frame if any is due), and advances the session's position as
// if it had been written: the caller writes all of it, or closes the session.
// No frames and no error means: nothing due, wait for OnReady. Next may read
// the log; it must not be called concurrently with itself. The first frames of
// a session are system.hello, then (if needed) system.resync, then the replay,
// then system.live.
func (s *Session) Next(ctx context.Context, maxBytes int) ([]Frame, error) { panic("stub") }

// Position is that of the newest event handed out.
func (s *Session) Position() domain.Position { panic("stub") }

// Heartbeat makes system.heartbeat due.
func (s *Session) Heartbeat() { panic("stub") }

// Subscribe adds a room. The answer (system.subscribed or system.error, with
// ref) is handed out by Next; with a position, the room's entries after it
// follow. Error: only when the session is closed.
func (s *Session) Subscribe(ctx context.Context, room string, position string, ref *int64) error {
	panic("stub")
}

// Unsubscribe drops a room; Next hands out system.unsubscribed.
func (s *Session) Unsubscribe(room string, ref *int64) error { panic("stub") }

// SendError makes a system.error due.
func (s *Session) SendError(code domain.Code, message string, ref *int64) { panic("stub") }

// Close unregisters the session. clean says that the client meant to leave
// (close frame with 1000 or 1001, or we ended it for good): presence then
// flips at once instead of after the grace. Idempotent.
func (s *Session) Close(clean bool) { panic("stub") }
