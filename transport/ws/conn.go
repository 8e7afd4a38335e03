package ws

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/olahol/melody"
	"golang.org/x/time/rate"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/problem"
)

const (
	// registerWait bounds registration, subscribeWait a subscription: while
	// one waits for the database, pongs aren't read.
	registerWait, subscribeWait = 10 * time.Second, 5 * time.Second
	badMessageWindow            = time.Minute
)

// conn is one connection. The read pump calls connected, received, failed and
// disconnected, one after the other; the rest may happen at any time.
type conn struct {
	server  *Server
	options hub.Options
	socket  *melody.Session // set by connected, under server.mu
	session atomic.Pointer[hub.Session]

	handedOver chan struct{}   // tells Handle that nobody needs the request anymore
	ctx        context.Context // ends when the connection is gone
	gone       context.CancelFunc

	// The writing side: see pump.go.
	wire    *wire
	batches bool
	turn    turn

	// The reading side.
	messages, bad *rate.Limiter // nil until a message comes
	left          bool          // the client closed properly

	farewell atomic.Pointer[farewell]
}

func newConn(s *Server, options hub.Options) *conn {
	c := &conn{server: s, options: options, handedOver: make(chan struct{}, 1)}
	c.ctx, c.gone = context.WithCancel(context.Background())
	c.turn.take() // until connected starts the pump
	return c
}

// handOver lets Handle return. Only the first call matters.
func (c *conn) handOver() {
	select {
	case c.handedOver <- struct{}{}:
	default:
	}
}

// connected registers the session. melody has answered 101 by now, so a
// failure can only be told by a close code.
func (c *conn) connected(socket *melody.Session) {
	conn := socket.WebsocketConnection()
	c.wire = conn.NetConn().(*wire)
	defer func() { go c.pump(nil) }() // whatever happens: there may be a goodbye to write
	defer c.recover("connect")
	socket.Request = nil // melody has no use for it, and the headers weigh more than we do
	c.handOver()
	c.server.mu.Lock()
	c.socket = socket
	closed := c.server.closed
	c.server.mu.Unlock()
	if closed {
		c.end(domain.CloseGoingAway, 0)
		return
	}

	c.batches = conn.Subprotocol() == Subprotocol
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error {
		defer c.recover("ping")
		if !c.allow() {
			return nil
		}
		return pong(data)
	})

	// Not from c.ctx, in which a child would leave its map behind.
	ctx, cancel := context.WithTimeout(context.Background(), registerWait)
	defer cancel()
	options := c.options
	c.options = hub.Options{} // the hub keeps what it needs
	options.Transport = hub.WS
	options.OnReady = c.wake
	options.OnClose = func(code domain.CloseCode, info hub.CloseInfo) { c.end(code, info.Delay) }
	session, err := onOwnStack(func() (*hub.Session, error) { return c.server.hub.Register(ctx, options) })
	if err != nil {
		c.server.cfg.Logger.Debug("websocket: registration refused", "workspace", options.WorkspaceID, "error", err)
		c.end(problem.KindOf(err).Close, retryDelay())
		return
	}
	c.session.Store(session)
}

// onOwnStack calls fn on another goroutine, and waits. The read pump's lives as
// long as the connection; had it been as deep as a database query, its stack
// would stay that large, and stacks are most of what an idle connection takes.
func onOwnStack[T any](fn func() (T, error)) (value T, err error) {
	var cause any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { cause = recover() }()
		value, err = fn()
	}()
	<-done
	if cause != nil {
		panic(cause)
	}
	return value, err
}

// disconnected comes last, whatever happened before.
func (c *conn) disconnected() {
	defer c.recover("disconnect")
	clean := c.left
	if bye := c.farewell.Load(); bye != nil && !bye.code.Reconnect {
		clean = true
	}
	c.leave(clean)
}

// leave closes the session, if there is one. The first call's word counts.
func (c *conn) leave(clean bool) {
	if session := c.session.Load(); session != nil {
		if bye := c.farewell.Load(); bye != nil {
			session.NoteClose(bye.code)
		}
		session.Close(clean)
	}
}

// received handles a text message.
func (c *conn) received(data []byte) {
	defer c.recover("message")
	session := c.session.Load()
	if session == nil || !c.allow() {
		return
	}
	if !utf8.Valid(data) { // gorilla leaves this check to us
		c.end(closeInvalidUTF8, 0)
		return
	}
	message, err := parse(data)
	if err != nil {
		c.refuse(session, err.Error(), message.Ref)
		return
	}
	switch message.Type {
	case messageSubscribe:
		ctx, cancel := context.WithTimeout(c.ctx, subscribeWait)
		defer cancel()
		// Fails only when the session is closed, and then its end is under way.
		_ = session.Subscribe(ctx, message.Room, message.Position, message.Ref)
	case messageUnsubscribe:
		_ = session.Unsubscribe(message.Room, message.Ref)
	case messagePing:
		session.Heartbeat()
	}
}

func (c *conn) receivedBinary() {
	defer c.recover("binary message")
	if session := c.session.Load(); session != nil && c.allow() {
		c.refuse(session, "messages are text", nil)
	}
}

// refuse answers a bad message, and closes a connection that repeats itself.
func (c *conn) refuse(session *hub.Session, reason string, ref *int64) {
	if c.bad == nil {
		limit := c.server.cfg.MaxBadMessages
		c.bad = rate.NewLimiter(rate.Every(badMessageWindow/time.Duration(limit)), limit)
	}
	if !c.bad.Allow() {
		c.end(domain.CloseBadMessage, 0)
		return
	}
	session.SendError(domain.CodeInvalid, reason, ref)
}

// allow counts whatever the client sends, and ends a flood. It says no to
// everything that comes after the end.
func (c *conn) allow() bool {
	defer c.recover("rate limit")
	if c.farewell.Load() != nil {
		return false
	}
	if c.messages == nil {
		c.messages = rate.NewLimiter(rate.Limit(c.server.cfg.MessagesPerSecond), c.server.cfg.MessageBurst)
	}
	if c.messages.Allow() {
		return true
	}
	c.end(domain.CloseRateLimited, retryDelay())
	return false
}

// recover is deferred by every callback and goroutine. After a panic in the
// read pump melody never fires disconnect, and the session would live on
// without a connection; one in the write pump would end the process.
func (c *conn) recover(where string) {
	if cause := recover(); cause != nil {
		c.server.cfg.Logger.Error("websocket: panic", "in", where, "panic", cause, "stack", string(debug.Stack()))
		c.end(problem.CloseInternal, 0)
	}
}
