// Package poll carries sessions over long polling, for networks that buffer
// everything else.
//
// A session outlives its requests: it is held under a lease that every poll
// renews. On many nodes, with no sticky routing, the next poll may reach another
// one: that opens a session of its own, and waits like the one before would have.
// The position in the URL is the truth about what the client has. When
// it isn't the one the session handed out last, an answer was lost on its way,
// and a new session starts from there: nothing is lost, nothing comes twice.
package poll

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/problem"
)

// MaxWait is how long a poll waits at most, and by default.
const MaxWait = 25 * time.Second

// Config adjusts a Server. Zero values mean the defaults.
type Config struct {
	Lease     time.Duration // how long a session waits for the next poll (default 10 s)
	WriteWait time.Duration // how long an answer may take to be written (default 10 s)
	MaxBytes  int           // size of an answer, roughly (default 1 MiB)
}

// Server answers GET /v1/poll.
type Server struct {
	hub       *hub.Hub
	admission *auth.Admission
	cfg       Config
	leases    leases
}

// New makes a Server. Close it to end its sessions.
func New(h *hub.Hub, admission *auth.Admission, cfg Config) *Server {
	if cfg.Lease <= 0 {
		cfg.Lease = 10 * time.Second
	}
	if cfg.WriteWait <= 0 {
		cfg.WriteWait = 10 * time.Second
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 1 << 20
	}
	return &Server{hub: h, admission: admission, cfg: cfg, leases: leases{length: cfg.Lease}}
}

// Close ends all sessions: waiting polls answer a goodbye, later ones 503.
// Idempotent.
func (s *Server) Close() { s.leases.close() }

// Answer is what a poll is answered.
type Answer struct {
	// Position is the client's after it has applied the events: the next
	// poll's position parameter.
	Position string            `json:"position"`
	Events   []json.RawMessage `json:"events"` // oldest first; never null
}

// Handle answers one poll with an Answer.
//
// Beside the parameters of every transport it takes session, the id from
// system.hello, and wait, 0 to 25 seconds. A poll without a session, or with
// one that is unknown, expired, somebody else's, on other rooms or at another
// position, opens a session and answers at once: hello, then as much of the
// replay as fits. With another node's session it waits like one that goes on, if
// nothing is due but hello. Without the parameter rooms a session goes on with its own. A poll that goes on with its session waits until something
// is due, and answers a system.heartbeat when nothing came. A full answer is
// followed up by the next poll, which then doesn't wait.
//
// Of two polls on one session the older is answered without events.
func (s *Server) Handle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		problem.MethodNotAllowed(w, r, http.MethodGet)
		return
	}
	query := r.URL.Query()
	options, err := s.admission.Admit(r)
	if l := s.leases.get(query.Get("session")); l != nil && query.Get("rooms") == "" {
		options.Rooms = l.rooms // as before
	}
	if domain.CodeOf(err) == domain.CodeUnauthenticated {
		options, err = s.lastWords(r, query, err)
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	wait, err := parseWait(query.Get("wait"))
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	control := http.NewResponseController(w)
	err = s.poll(r.Context(), query.Get("session"), options, wait, func(ans Answer) {
		// The server's WriteTimeout counts from the request on.
		_ = control.SetWriteDeadline(time.Now().Add(s.cfg.WriteWait))
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		// If the client misses the answer, its next position tells us.
		_ = json.NewEncoder(w).Encode(ans)
	})
	if err != nil && r.Context().Err() == nil {
		problem.Write(w, r, err)
	}
}

// lastWords lets a session go on whose membership has just ended, as a socket
// would: the hub knows up to which entry it may read, and ends it there. So a
// poller, too, learns of its own removal, and why there is no more. refused is
// returned to everybody else.
func (s *Server) lastWords(r *http.Request, query url.Values, refused error) (hub.Options, error) {
	l := s.leases.get(query.Get("session"))
	if l == nil || l.identity.WorkspaceSlug != query.Get("workspace") {
		return hub.Options{}, refused
	}
	signedIn, err := s.admission.SignedIn(r)
	if err != nil || signedIn.SessionID != l.identity.AuthSessionID {
		return hub.Options{}, refused
	}
	return hub.Options{Identity: l.identity, Position: query.Get("position"), Rooms: l.rooms}, nil
}

func parseWait(s string) (time.Duration, error) {
	if s == "" {
		return MaxWait, nil
	}
	seconds, err := strconv.Atoi(s)
	if err != nil || seconds < 0 || seconds > int(MaxWait/time.Second) {
		return 0, domain.InvalidField("wait", "wait takes 0 to %d seconds", int(MaxWait/time.Second))
	}
	return time.Duration(seconds) * time.Second, nil
}

// poll goes on with a session or opens one, and answers while it has the turn:
// a lease counts from the answer on.
func (s *Server) poll(ctx context.Context, id string, options hub.Options, wait time.Duration, send func(Answer)) error {
	if l, newer := s.leases.find(id, options); l != nil {
		defer s.leases.done(l)
		if !l.take(ctx, newer) {
			send(Answer{Position: options.Position, Events: []json.RawMessage{}})
			return nil
		}
		defer l.give()
		if l.position == options.Position {
			ans, err := s.await(ctx, l, newer, wait)
			if err == nil {
				send(ans)
			}
			return err
		}
		// Only when the new session has joined: presence mustn't flip.
		defer s.leases.drop(l)
	}
	l, newer, err := s.open(ctx, options)
	if err != nil {
		return err
	}
	defer s.leases.done(l)
	defer l.give()
	if !s.hub.Foreign(id) {
		wait = 0 // hello is due
	}
	ans, err := s.begin(ctx, l, newer, wait)
	if err != nil {
		s.leases.drop(l)
		return err
	}
	send(ans)
	return nil
}

// open registers a session, and has the turn on it.
func (s *Server) open(ctx context.Context, options hub.Options) (*lease, <-chan struct{}, error) {
	l := newLease(options)
	options.Transport = hub.Poll
	options.OnReady = l.wake
	options.OnClose = l.end
	session, err := s.hub.Register(ctx, options)
	if err != nil {
		return nil, nil, auth.Outsider(err)
	}
	l.session = session // OnClose waits for the first Next
	newer, ok := s.leases.add(l)
	if !ok {
		session.Close(false)
		return nil, nil, domain.Errorf(domain.CodeUnavailable, "the server is shutting down")
	}
	return l, newer, nil
}

// welcome is how many events a session begins with when nothing was missed:
// system.hello and system.live.
const welcome = 2

// begin answers hello and what follows. A client that comes from another node's
// session has had a hello, and would come back at once for what it waits for:
// it gets ours with that.
func (s *Server) begin(ctx context.Context, l *lease, newer <-chan struct{}, wait time.Duration) (Answer, error) {
	first, err := s.collect(ctx, l)
	if err != nil || wait == 0 || len(first.Events) > welcome || l.hasEnded() {
		return first, err
	}
	next, err := s.await(ctx, l, newer, wait)
	if err != nil {
		return next, err
	}
	next.Events = append(first.Events, next.Events...)
	return next, nil
}

// await answers what is due, or waits for it.
func (s *Server) await(ctx context.Context, l *lease, newer <-chan struct{}, wait time.Duration) (Answer, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for waited := false; ; {
		ans, err := s.collect(ctx, l)
		if err != nil || waited || len(ans.Events) > 0 {
			return ans, err
		}
		select {
		case <-l.ready:
		case <-l.ended:
		case <-timer.C:
			waited = true
			l.session.Heartbeat()
		case <-newer:
			return ans, nil // nothing is in it
		case <-ctx.Done():
			return ans, ctx.Err()
		}
	}
}

// collect asks the session for as much as an answer takes. What it handed out
// must be answered: an error after the first events waits for the next poll.
func (s *Server) collect(ctx context.Context, l *lease) (Answer, error) {
	var events []json.RawMessage
	for size := 0; size < s.cfg.MaxBytes; {
		frames, err := l.session.Next(ctx, s.cfg.MaxBytes-size)
		if err != nil && len(events) == 0 && !l.hasEnded() {
			return Answer{}, err
		}
		if len(frames) == 0 {
			break
		}
		for _, frame := range frames {
			events = append(events, frame.Data)
			size += len(frame.Data)
		}
	}
	if l.hasEnded() {
		events = append(events, problem.Goodbye(l.bye.code, l.bye.delay))
		s.leases.drop(l)
	}
	return l.answer(events), nil
}
