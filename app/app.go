// Package app is the composition root: it wires store, pipeline, hub and
// transports into one running server, and nothing else. Tests start the same
// struct on port 0 that the binary starts for real.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/orbit/realtime/app/cluster"
	"github.com/orbit/realtime/app/demo"
	"github.com/orbit/realtime/app/telemetry"
	"github.com/orbit/realtime/config"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/console"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/poll"
	"github.com/orbit/realtime/transport/presence"
	"github.com/orbit/realtime/transport/relay"
	"github.com/orbit/realtime/transport/ws"
)

// Interfaces live with their consumers; here they meet their implementations.
var (
	_ domain.UnitOfWork    = (*store.Store)(nil)
	_ hub.Log              = (*store.Store)(nil)
	_ hub.Entitlements     = (*auth.Entitlements)(nil)
	_ hub.Presence         = (*presence.Tracker)(nil)
	_ presence.Broadcaster = (*hub.Hub)(nil)
	_ presence.Record      = (*store.Store)(nil)
	_ console.Sessions     = (*hub.Hub)(nil)
	_ console.Monitor      = (*telemetry.Monitor)(nil)
	_ console.Tracer       = (*telemetry.Tracer)(nil)
	_ console.Queue        = (*store.Store)(nil)
	_ console.Sessions     = (*hub.Hub)(nil)
	_ console.Monitor      = (*telemetry.Monitor)(nil)
	_ console.Tracer       = (*store.Store)(nil)
	_ console.TabTracer    = (*telemetry.Tracer)(nil)
	_ console.Previewer    = (*pipeline.Previewer)(nil)
	_ console.Aggregates   = (*pipeline.Previewer)(nil)
	_ auth.Sessions        = (*auth.CookieSessions)(nil)
)

// App is one server process. Make it with New, then Run it once.
type App struct {
	cfg        config.Config
	log        *slog.Logger
	projectors map[domain.EventType]domain.Projector
	middles    []Middle

	store    *store.Store
	unlock   func() error
	nodeID   string // of this run of the process
	relay    *relay.Relay
	cluster  *cluster.Cluster
	hub      *hub.Hub
	presence *presence.Tracker
	recorder *presence.Recorder
	pipeline *pipeline.Pipeline
	sockets  *ws.Server
	polls    *poll.Server
	console  *console.Console
	watch

	public, admin                 *http.Server
	publicListener, adminListener net.Listener

	demo    *demo.Demo       // nil without --demo
	restart func(crash bool) // nil where only a new process makes a new server
	release func()           // lets go of what the demo holds back

	ready   chan struct{} // closed when the listeners accept
	serving atomic.Bool   // what /readyz says: false again while draining
}

// Option changes how an App is made.
type Option func(*App)

// LogTo sends the log to w instead of standard error.
func LogTo(w io.Writer) Option {
	return func(a *App) { a.log = newLogger(a.cfg, w) }
}

// Projectors replaces the projectors; tests make one fail with it.
func Projectors(table map[domain.EventType]domain.Projector) Option {
	return func(a *App) { a.projectors = table }
}

// New checks the configuration and takes the listen addresses, so that a port
// in use is told before anything else happens. Nothing runs yet.
func New(cfg config.Config, options ...Option) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, nodeID: domain.NewID("node"), projectors: handlers.Table(), ready: make(chan struct{})}
	LogTo(os.Stderr)(a)
	for _, option := range options {
		option(a)
	}
	if cfg.Demo {
		if a.demo == nil {
			a.demo = demo.New()
		}
		a.projectors = a.demo.Projectors(a.projectors)
	}
	for _, warning := range cfg.Warnings() {
		a.log.Warn(warning)
	}
	var err error
	listen := func(addr string) (net.Listener, error) {
		return new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	}
	if a.publicListener, err = listen(cfg.Addr); err != nil {
		return nil, fmt.Errorf("ORBIT_ADDR: can't listen on %s: %w (choose another with --addr)", cfg.Addr, err)
	}
	if a.adminListener, err = listen(cfg.AdminAddr); err != nil {
		a.publicListener.Close()
		return nil, fmt.Errorf("ORBIT_ADMIN_ADDR: can't listen on %s: %w (choose another with --admin-addr)", cfg.AdminAddr, err)
	}
	if a.demo != nil {
		a.publicListener = a.demo.Listener(a.publicListener)
	}
	return a, nil
}

// BaseURL is where the public listener is, "http://127.0.0.1:8080".
func (a *App) BaseURL() string { return "http://" + a.publicListener.Addr().String() }

// AdminURL is where the admin listener is.
func (a *App) AdminURL() string { return "http://" + a.adminListener.Addr().String() }

// Ready is closed once the server accepts requests.
func (a *App) Ready() <-chan struct{} { return a.ready }

// Run serves until ctx ends, then shuts down in order. It returns nil after an
// orderly shutdown.
func (a *App) Run(ctx context.Context) error {
	defer a.publicListener.Close()
	defer a.adminListener.Close()
	if err := a.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			err = nil // told to stop before it had begun: as orderly as any other stop
		}
		return errors.Join(err, a.closeStore())
	}

	// The parts live longer than ctx: shutdown stops them one by one.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if err := a.hub.Start(life); err != nil {
		return errors.Join(err, a.closeStore())
	}
	a.relay.Start(life)
	if err := a.cluster.Start(life); err != nil {
		a.relay.Stop()
		a.hub.Stop()
		return errors.Join(err, a.closeStore())
	}
	if err := a.pipeline.Start(life); err != nil {
		a.cluster.Stop()
		a.relay.Stop()
		a.hub.Stop()
		return errors.Join(err, a.closeStore())
	}
	a.recorder.Start(life)
	a.startWatch(life)
	failed := make(chan error, 2)
	serve := func(name string, server *http.Server, l net.Listener) {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("%s listener: %w", name, err)
		}
	}
	go serve("public", a.public, a.publicListener)
	go serve("admin", a.admin, a.adminListener)
	a.serving.Store(true)
	close(a.ready)
	a.announce()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	if errors.Is(context.Cause(ctx), errCrash) {
		return a.crash(end)
	}
	return errors.Join(err, a.shutdown(end))
}

// prepare does all that can fail before anything runs.
func (a *App) prepare(ctx context.Context) error {
	if err := a.open(ctx); err != nil {
		return err
	}
	if err := a.openWatch(ctx); err != nil {
		return err
	}
	if err := a.wire(); err != nil {
		return err
	}
	return a.seed(ctx)
}

// open takes the database: lock, schema, lanes, and a look at the logs.
func (a *App) open(ctx context.Context) (err error) {
	if a.unlock, err = store.LockFile(a.cfg.DatabaseURL); err != nil {
		return err
	}
	if a.store, err = store.Open(ctx, store.Config{DSN: a.cfg.DatabaseURL, MaxConns: a.cfg.DBMaxConns, Node: a.node(), NodeID: a.nodeID}); err != nil {
		return err
	}
	if a.cfg.Migrate {
		applied, err := a.store.Migrate(ctx)
		if err != nil {
			return err
		}
		if applied > 0 {
			a.log.Info("migrations applied", "count", applied)
		}
	} else if err := a.store.RequireSchema(ctx); err != nil {
		return err
	}
	broken, err := a.store.CheckLogs(ctx)
	for _, id := range broken {
		a.log.Warn("log history is missing: new epoch, clients will resync", "workspace", id)
	}
	return err
}

func (a *App) closeStore() error {
	var errs []error
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.unlock != nil {
		errs = append(errs, a.unlock())
	}
	return errors.Join(errs...)
}

func (a *App) announce() {
	url := visit(a.publicListener.Addr())
	a.log.Info("serving", "url", url, "admin", visit(a.adminListener.Addr()), "database", a.store.Dialect(), "lanes", a.store.Lanes(), "build", Build())
	if a.cfg.Demo {
		a.log.Info("demo: open the url, change a role on the left, and watch the right", "url", url)
	} else {
		a.log.Info("there is no page at the url, the API alone: serve --demo has one")
	}
}

// visit is the URL that a browser on this machine opens: a listener on every
// interface has an address, such as [::], that is none to visit.
func visit(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
	return "http://" + addr.String()
}

// shutdown is the one place where the order is written down:
//
//  1. /readyz says no, so that no balancer sends newcomers
//  2. new sessions are refused (503, Retry-After)
//  3. lanes end after the message in hand, and other nodes take them; what waits
//     stays in the outbox
//  4. sessions are drained at a paced rate, each told when to come back
//  5. requests in flight end, listeners close
//  6. relay, hub and presence stop, without flipping anybody
//  7. the database closes
func (a *App) shutdown(end context.CancelFunc) error {
	a.log.Info("shutting down", "timeout", a.cfg.ShutdownTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.ShutdownTimeout)
	defer cancel()

	a.serving.Store(false)
	a.hub.Refuse()
	a.cluster.Retire()
	errs := []error{a.pipeline.Stop(ctx)}
	a.hub.Drain(ctx, a.cfg.Drain)
	a.sockets.Close()
	a.polls.Close()
	if err := a.public.Shutdown(ctx); err != nil {
		errs = append(errs, a.public.Close())
	}
	a.relay.Stop()
	a.hub.Stop()
	a.presence.Stop()
	a.recorder.Stop()
	a.cluster.Stop()
	if err := a.admin.Shutdown(ctx); err != nil {
		errs = append(errs, a.admin.Close())
	}
	a.stopWatch()
	end()
	errs = append(errs, a.closeStore())
	a.log.Info("shut down")
	return errors.Join(errs...)
}
