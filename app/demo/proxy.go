package demo

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// maxWithheld bounds what a buffering proxy keeps of one stream, in bytes.
const maxWithheld = 1 << 20

// kind is what a request is for, as far as faults care.
type kind int

const (
	kindOther kind = iota
	kindWebSocket
	kindSSE
)

func kindOf(r *http.Request) kind {
	switch {
	case r.Header.Get("Upgrade") != "":
		return kindWebSocket
	case strings.HasSuffix(r.URL.Path, "/v1/sse"):
		return kindSSE
	}
	return kindOther
}

// side is the network of one of the two people: a reverse proxy from
// /demo/<side>/v1/… to the server's own /v1/…, over real connections.
type side struct {
	name string

	mu     sync.Mutex
	faults faults
	// changed is closed and replaced when the faults change: who hangs looks again.
	changed chan struct{}
	open    map[*http.Request]kind
}

func newSide(name string) *side {
	return &side{
		name:    name,
		faults:  faults{Plug: plugIn, WebSocket: websocketOpen, SSE: sseOpen},
		changed: make(chan struct{}),
		open:    map[*http.Request]kind{},
	}
}

func (s *side) now() (f faults, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults, s.changed
}

// set changes the network, and cuts what could not be open in the new one.
func (s *side) set(p faultsPatch) {
	s.mu.Lock()
	before := s.faults
	s.faults = p.apply(before)
	close(s.changed)
	s.changed = make(chan struct{})
	var hit []*http.Request
	for r, k := range s.open {
		if s.faults.hits(before, k) {
			hit = append(hit, r)
		}
	}
	s.mu.Unlock()
	for _, r := range hit {
		cut(r.Context())
	}
}

// enter registers a request until leave, so that it can be cut. The faults it
// returns are those it was registered under: a change finds it or precedes it.
func (s *side) enter(r *http.Request, k kind) (faults, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[r] = k
	return s.faults, s.changed
}

func (s *side) leave(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, r)
}

// proxy serves the side on a server whose public address is target, until ctx ends.
func (s *side) proxy(ctx context.Context, target string) http.HandlerFunc {
	to, err := url.Parse(target)
	if err != nil {
		panic(err) // it is a listener's address
	}
	dialer := &net.Dialer{}
	forward := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(to)
			pr.Out.URL.Path = strings.TrimPrefix(pr.In.URL.Path, "/demo/"+s.name)
			pr.Out.URL.RawPath = strings.TrimPrefix(pr.In.URL.RawPath, "/demo/"+s.name)
			pr.Out.Host = pr.In.Host // or the server's check of the Origin would find it foreign
			s.cookiesIn(pr.Out)
		},
		ModifyResponse: func(res *http.Response) error {
			s.cookiesOut(res.Header)
			if f, _ := s.now(); f.SSE == sseBuffered && strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
				res.Body = &withheld{from: res.Body}
			}
			return nil
		},
		// A network has no answers of its own to give.
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, _ error) { reset(r) },
		ErrorLog:     log.New(io.Discard, "", 0), // it would log what the page's buttons do
		Transport: &http.Transport{
			// One connection a request: what is kept alive would break at every restart.
			DisableKeepAlives:  true,
			DisableCompression: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dialer.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return slow{c, s}, nil
			},
		},
	}
	return func(w http.ResponseWriter, r *http.Request) {
		k := kindOf(r)
		f, changed := s.enter(r, k)
		defer s.leave(r)
		if f.Plug == plugPulled {
			reset(r)
		}
		if k == kindWebSocket && f.WebSocket == websocketBlocked {
			problem.Write(w, r, domain.Errorf(domain.CodeForbidden, "this network blocks WebSocket"))
			return
		}
		if k == kindWebSocket && f.WebSocket == websocketHangs {
			select {
			case <-changed:
			case <-ctx.Done():
			case <-r.Context().Done():
			}
			reset(r)
		}
		forward.ServeHTTP(w, r)
	}
}

// reset ends a request as a network does that has lost it.
func reset(r *http.Request) {
	cut(r.Context())
	panic(http.ErrAbortHandler) // there is nobody left to answer
}

// prefix marks the side's cookies, so that two people can be signed in to one
// server from one browser, and neither is taken for who signed in without a side.
func (s *side) prefix() string { return s.name + "_" }

func (s *side) cookiesIn(r *http.Request) {
	cookies := r.Cookies()
	r.Header.Del("Cookie")
	for _, c := range cookies {
		if name, ok := strings.CutPrefix(c.Name, s.prefix()); ok {
			r.AddCookie(&http.Cookie{Name: name, Value: c.Value})
		}
	}
}

func (s *side) cookiesOut(h http.Header) {
	cookies := h.Values("Set-Cookie")
	h.Del("Set-Cookie")
	for _, line := range cookies {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			continue // the server wrote it, so this doesn't happen
		}
		c.Name, c.Path = s.prefix()+c.Name, "/demo/"+s.name+"/"
		h.Add("Set-Cookie", c.String())
	}
}

// slow is a connection whose bytes are under way for the side's latency.
type slow struct {
	net.Conn
	side *side
}

func (c slow) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if f, _ := c.side.now(); f.LatencyMS > 0 {
		time.Sleep(time.Duration(f.LatencyMS) * time.Millisecond)
	}
	return n, err
}

// withheld is a stream that arrives when it has ended.
type withheld struct {
	from io.ReadCloser
	all  *bytes.Reader
}

func (w *withheld) Read(p []byte) (int, error) {
	if w.all == nil {
		body, err := io.ReadAll(io.LimitReader(w.from, maxWithheld))
		if err != nil {
			return 0, err
		}
		w.all = bytes.NewReader(body)
	}
	return w.all.Read(p)
}

func (w *withheld) Close() error { return w.from.Close() }
