// Package ws carries sessions over WebSocket; all that we use of melody is here.
//
// Invariants:
//
//   - At most one write of a connection is in flight: more is asked of the
//     session when that is done. Nothing goes through melody's queue, which
//     drops silently when full: melody upgrades, reads and pings, and the pump
//     writes (see wire).
//   - A connection ends once, in a goroutine of its own, and never through
//     melody's queue. Whoever can't take the close frame in time is cut.
//   - No callback panics: melody would leave a session behind that still
//     receives, or take the process down.
//   - Whatever happened to the connection, its session is closed.
package ws

import (
	"cmp"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/problem"
)

// Subprotocol is what a client offers that accepts several server events in
// one text message, each on a line.
const Subprotocol = "orbit.v1"

const (
	// queueSize is melody's queue per connection, which stays empty.
	queueSize = 1
	// readBufferSize fits the messages clients send; writeBufferSize is shared
	// through a pool and only held while a frame is written.
	readBufferSize, writeBufferSize = 512, 4096

	connKey = "conn"
)

// Config adjusts a Server. Zero values mean the defaults.
type Config struct {
	Heartbeat         time.Duration // between pings (default 25 s)
	PongWait          time.Duration // how long after a ping its pong may come (default 10 s)
	WriteWait         time.Duration // how long a frame may take to be written (default 10 s)
	MaxMessageBytes   int64         // size of a client's message (default 4096)
	MessagesPerSecond float64       // of one client, sustained, pings and pongs included (default 20)
	MessageBurst      int           // of one client, at once (default 40)
	MaxBadMessages    int           // malformed or unknown messages a minute, before the close (default 5)
	Logger            *slog.Logger  // default slog.Default()
}

func (c Config) withDefaults() Config {
	c.Heartbeat = cmp.Or(c.Heartbeat, 25*time.Second)
	c.PongWait = cmp.Or(c.PongWait, 10*time.Second)
	c.WriteWait = cmp.Or(c.WriteWait, 10*time.Second)
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, 4096)
	c.MessagesPerSecond = cmp.Or(c.MessagesPerSecond, 20)
	c.MessageBurst = cmp.Or(c.MessageBurst, 40)
	c.MaxBadMessages = cmp.Or(c.MaxBadMessages, 5)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

// Server answers GET /v1/ws.
type Server struct {
	hub       *hub.Hub
	admission *auth.Admission
	cfg       Config
	melody    *melody.Melody

	mu       sync.Mutex
	closed   bool
	handling sync.WaitGroup
}

// New makes a Server. Close it to end its connections: http.Server.Shutdown
// knows nothing of a connection that was upgraded.
func New(h *hub.Hub, admission *auth.Admission, cfg Config) *Server {
	s := &Server{hub: h, admission: admission, cfg: cfg.withDefaults(), melody: melody.New()}

	m := s.melody
	m.Config = &melody.Config{
		WriteWait:  s.cfg.WriteWait,
		PingPeriod: s.cfg.Heartbeat,
		// melody counts from the pong before, so the wait spans a ping period.
		PongWait:          s.cfg.Heartbeat + s.cfg.PongWait,
		MaxMessageSize:    s.cfg.MaxMessageBytes,
		MessageBufferSize: queueSize,
	}
	m.Upgrader = &websocket.Upgrader{
		ReadBufferSize:  readBufferSize,
		WriteBufferSize: writeBufferSize,
		WriteBufferPool: &sync.Pool{},
		Subprotocols:    []string{Subprotocol},
		CheckOrigin:     func(*http.Request) bool { return true }, // admission has checked it
		Error:           badHandshake,
		// No compression: gorilla's read limit counts compressed bytes.
	}
	m.HandleConnect(func(ms *melody.Session) { connOf(ms).connected(ms) })
	m.HandleDisconnect(func(ms *melody.Session) { connOf(ms).disconnected() })
	m.HandleMessage(func(ms *melody.Session, data []byte) { connOf(ms).received(data) })
	m.HandleMessageBinary(func(ms *melody.Session, _ []byte) { connOf(ms).receivedBinary() })
	m.HandlePong(func(ms *melody.Session) { connOf(ms).allow() })
	m.HandleError(func(ms *melody.Session, err error) { connOf(ms).failed(err) })
	return s
}

func connOf(ms *melody.Session) *conn { return ms.Keys[connKey].(*conn) }

// Handle upgrades a request. Whatever stands in its way is answered with a
// problem document before a WebSocket exists: 405, 426, and all that package
// auth and hub.CanRegister refuse.
//
// It returns after the upgrade, while melody's read pump runs on in a goroutine
// of its own: net/http keeps its buffers, and gin its context, for as long as a
// handler runs, and that is half of what an idle connection would take.
func (s *Server) Handle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		problem.MethodNotAllowed(w, r, http.MethodGet)
		return
	}
	options, err := s.admission.Admit(r)
	if err == nil {
		err = s.hub.CanRegister(options.Identity)
	}
	// gorilla would upgrade HTTP/1.0 as well, which knows no upgrade (RFC 6455,
	// section 4.2.1).
	if err == nil && (!websocket.IsWebSocketUpgrade(r) || !r.ProtoAtLeast(1, 1)) {
		problem.UpgradeRequired(w, r) // last: whoever asks with curl learns what is really wrong
		return
	}
	if err == nil {
		err = s.begin()
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	c := newConn(s, options)
	go func() {
		defer s.handling.Done()
		defer c.gone()
		defer c.handOver()
		defer c.recover("melody")
		// An error means that there was no upgrade, and has been answered.
		_ = s.melody.HandleRequestWithKeys(hijacker{w}, r, map[string]any{connKey: c})
	}()
	<-c.handedOver
}

// begin counts a connection in, unless the server is closed. melody itself
// would answer a closed server's clients with 200.
func (s *Server) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return domain.Errorf(domain.CodeUnavailable, "the server is shutting down")
	}
	s.handling.Add(1)
	return nil
}

// badHandshake answers a request that asks for an upgrade, but not properly.
func badHandshake(w http.ResponseWriter, r *http.Request, status int, reason error) {
	w.Header().Set("Sec-Websocket-Version", "13")
	code := domain.CodeInvalid
	if status == http.StatusInternalServerError {
		code = domain.CodeInternal
	}
	problem.Write(w, r, domain.Wrap(reason, code, "the WebSocket handshake is malformed"))
}

// Close refuses new connections, ends the present ones with CloseGoingAway and
// returns when they are gone. Idempotent.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	var conns []*conn
	sessions, _ := s.melody.Sessions() // fails when closed, and then there are none
	for _, ms := range sessions {
		// One without a socket is on its way into connected, and will see there
		// that the server is closed.
		if c := connOf(ms); c.socket != nil {
			conns = append(conns, c)
		}
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.end(domain.CloseGoingAway, 0)
	}
	s.handling.Wait()
	_ = s.melody.Close() // fails when closed before
}
