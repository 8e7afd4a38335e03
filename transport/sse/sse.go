// Package sse carries sessions over Server-Sent Events.
//
// A session's rooms are fixed by its URL; to change them a client opens a new
// stream with its position, and loses nothing.
//
// Presence: a stream that the client ends counts as an abnormal drop, so its
// member goes offline after the grace. Closing a tab, EventSource.close, a
// reload and a broken network all look the same from here.
package sse

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/problem"
)

// Config adjusts a Server. Zero values mean the defaults.
type Config struct {
	WriteWait time.Duration // how long a write may take before the reader is cut (default 10 s)
	Retry     time.Duration // mean of the reconnect delay we suggest, spread by ±50 % (default 2 s)
	Logger    *slog.Logger  // default slog.Default()
}

// Server answers GET /v1/sse.
type Server struct {
	hub       *hub.Hub
	admission *auth.Admission
	cfg       Config
}

// New makes a Server. Its streams end with the hub's sessions: see hub.Drain.
func New(h *hub.Hub, admission *auth.Admission, cfg Config) *Server {
	if cfg.WriteWait <= 0 {
		cfg.WriteWait = 10 * time.Second
	}
	if cfg.Retry <= 0 {
		cfg.Retry = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Server{hub: h, admission: admission, cfg: cfg}
}

// lastEventID is the header in which an EventSource, reconnecting by itself,
// repeats the last id it saw.
const lastEventID = "Last-Event-ID"

// Handle serves one stream, until the client goes or the hub ends the session.
// The Last-Event-ID header wins over the parameter position: the browser
// repeats the URL of old and knows better by now.
func (s *Server) Handle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		problem.MethodNotAllowed(w, r, http.MethodGet)
		return
	}
	options, err := s.admission.Admit(r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	if id := r.Header.Get(lastEventID); id != "" {
		options.Position = id
	}
	st := newStream(w, s.cfg.WriteWait)
	defer st.close()
	options.Transport = hub.SSE
	options.OnReady = st.wake
	options.OnClose = st.end
	session, err := s.hub.Register(r.Context(), options)
	if err != nil {
		refuse(w, r, auth.Outsider(err))
		return
	}
	clean := false
	defer func() { session.Close(clean) }()

	code, err := s.serve(r.Context(), st, session)
	if err != nil {
		s.cfg.Logger.DebugContext(r.Context(), "sse: stream broken", "session", session.ID(), "error", err)
		return
	}
	clean = !code.Reconnect
}

// refuse answers with the problem; but 204 to an EventSource that reconnects
// without being signed in, or a member, anymore. For it 204 means stop (HTML,
// section 9.2.3), while it shows the page nothing of other answers.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Header.Get(lastEventID) != "" && domain.CodeOf(err) == domain.CodeUnauthenticated {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	problem.Write(w, r, err)
}

// serve writes until the hub ends the session, and returns its code, or until
// something fails: the client is gone, or doesn't read.
func (s *Server) serve(ctx context.Context, st *stream, session *hub.Session) (domain.CloseCode, error) {
	if err := st.open(s.retry()); err != nil {
		return domain.CloseCode{}, err
	}
	for {
		frames, err := session.Next(ctx, batchBytes)
		switch {
		case err != nil:
			return domain.CloseCode{}, err
		case len(frames) > 0:
			if err := st.write(encode(frames)); err != nil {
				return domain.CloseCode{}, err
			}
			continue
		}
		select {
		case <-st.ready:
		case bye := <-st.ended:
			goodbye := hub.Frame{Data: problem.Goodbye(bye.code, bye.delay)}
			return bye.code, st.write(encode([]hub.Frame{goodbye}))
		case <-ctx.Done():
			return domain.CloseCode{}, ctx.Err()
		}
	}
}

// retry is the first line of a stream: how long an EventSource waits before it
// reconnects, spread so that a restart doesn't bring everybody back at once.
func (s *Server) retry() []byte {
	delay := s.cfg.Retry/2 + rand.N(s.cfg.Retry)
	return append(strconv.AppendInt([]byte("retry: "), delay.Milliseconds(), 10), "\n\n"...)
}
