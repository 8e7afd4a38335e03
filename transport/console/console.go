package console

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// Config is how the console is reached, and by whom.
type Config struct {
	Ports
	// Operators have tokens. Without any, nobody may do anything, unless Demo.
	Operators []Operator
	// Demo lets whoever reaches the listener act, as "demo operator", while
	// there are no Operators. For a loopback address alone.
	Demo bool
	// Direct makes every request that caller's; for a handler that listens
	// nowhere.
	Direct *Caller
	// Loopback: the listener is reached from this machine alone, so that a Host
	// other than a loopback name, or one of Hosts, is an attack.
	Loopback bool
	Hosts    []string
	// Secure makes the session's cookie Secure whatever the request came over.
	Secure bool
	// Product is the URL of the product's page, linked from the console; "".
	Product string
	Build   string
	// WriteTimeout bounds an answer that isn't a stream (default 30 s).
	WriteTimeout time.Duration
	Logger       *slog.Logger // default: slog.Default()
}

// Console serves the operators' side: the API under /admin/v1, the pages under
// /ops, and pprof.
type Console struct {
	Config
	service *Service
	gate    *gate
	pages   *pages
	handler http.Handler
	streams atomic.Int32
	closing context.Context
	close   context.CancelFunc
}

// New makes a console.
func New(cfg Config) *Console {
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	service := &Service{cfg.Ports}
	c := &Console{Config: cfg, service: service, gate: &gate{
		service: service, operators: cfg.Operators, demo: cfg.Demo && len(cfg.Operators) == 0, direct: cfg.Direct,
		logins: newLogins(cfg.Secure), failures: &failures{byIP: map[string]*limiter{}}, crossSite: http.NewCrossOriginProtection(),
	}}
	c.closing, c.close = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	c.api(mux)
	c.pages = newPages(c)
	c.pages.mount(mux)
	c.profiles(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, domain.Errorf(domain.CodeNotFound, "no such address; the console is at /ops, the API at %s", Prefix))
	})
	c.handler = c.guarded(mux)
	return c
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Close ends the streams, so that the listener can shut down. It is idempotent.
func (c *Console) Close() { c.close() }

// guarded is what every answer of the console goes through.
func (c *Console) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		id := r.Header.Get(problem.RequestIDHeader)
		if !domain.ValidID(id) {
			id = domain.NewID("req")
		}
		h.Set(problem.RequestIDHeader, id)
		r = r.WithContext(domain.WithCorrelation(r.Context(), id))
		if c.Loopback {
			if err := checkHost(r, c.Hosts); err != nil {
				problem.Write(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// limitTime bounds an ordinary request. The server has no deadlines, for it
// serves streams too.
func (c *Console) limitTime(w http.ResponseWriter, r *http.Request) {
	conn := http.NewResponseController(w)
	_ = conn.SetWriteDeadline(time.Now().Add(c.WriteTimeout)) // no connection: nothing to limit
	if r.Body != http.NoBody {
		_ = conn.SetReadDeadline(time.Now().Add(c.WriteTimeout))
	}
}

// only lets a request through to next if it is from somebody with the role.
func (c *Console) only(role Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, l, err := c.gate.identify(r)
		if err == nil {
			err = c.gate.checkForgery(r, l, r.Header.Get("X-CSRF-Token"))
		}
		if err == nil && !who.may(role) {
			err = c.service.allow(r.Context(), who, "pprof", r.URL.Path)
		}
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		// A profile takes as long as it was asked to.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		next.ServeHTTP(w, r)
	})
}

// profiles mounts net/http/pprof for operators: a heap dump holds secrets.
func (c *Console) profiles(mux *http.ServeMux) {
	for path, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.Handle("GET /debug/pprof/"+path, c.only(RoleOperator, h))
	}
}
