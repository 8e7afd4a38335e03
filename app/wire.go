package app

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/orbit/realtime/app/demo"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/transport/api"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/poll"
	"github.com/orbit/realtime/transport/presence"
	"github.com/orbit/realtime/transport/probe"
	"github.com/orbit/realtime/transport/sse"
	"github.com/orbit/realtime/transport/ws"
	page "github.com/orbit/realtime/web/demo"
)

// wire makes every part and ties them together, from the database outwards.
func (a *App) wire() error {
	cfg := a.cfg
	origins, err := auth.NewOrigins(cfg.AllowedOrigins...)
	if err != nil {
		return err
	}
	cookies := auth.NewCookieSessions(a.store.Reader(), auth.CookieConfig{Secure: cfg.CookieSecure == "always"})
	admission := auth.NewAdmission(cookies, a.store.Reader(), auth.AdmissionConfig{Origins: origins, MaxRooms: cfg.MaxRooms})

	if err := a.wireRelay(); err != nil {
		return err
	}
	entries := through(a, hub.Log(a.store), func(m Middle) func(hub.Log) hub.Log { return m.Log })
	a.hub = hub.New(entries, auth.NewEntitlements(cookies, a.store.Reader()), hub.Config{
		RingSize: cfg.RingSize, Heartbeat: cfg.Heartbeat,
		MaxSessions: cfg.MaxSessions, MaxWorkspaceSessions: cfg.MaxWorkspaceSessions,
		MaxUserSessions: cfg.MaxUserSessions, MaxRooms: cfg.MaxRooms,
		Observer: a.meters, Logger: a.log, Relay: a.relay, NodeID: a.nodeID,
	})
	flips := through(a, presence.Broadcaster(a.hub), func(m Middle) func(presence.Broadcaster) presence.Broadcaster { return m.Presence })
	a.presence = presence.New(flips, cfg.PresenceGrace)
	a.hub.SetPresence(a.presence)
	a.wireCluster()

	type projectors = map[domain.EventType]domain.Projector
	table := through(a, a.projectors, func(m Middle) func(projectors) projectors { return m.Projectors })
	relay := through(a, a.appended, func(m Middle) func(func([]domain.Appended)) func([]domain.Appended) { return m.Relay })
	a.pipeline, err = pipeline.New(a.store, table, pipeline.Config{
		Lanes:          cfg.Lanes,
		LaneQuota:      a.laneQuota(),
		OnAppended:     relay,
		Concerns:       handlers.Concerns,
		HandlerTimeout: cfg.HandlerTimeout,
		Retry:          pipeline.RetryConfig{Budget: max(cfg.RetryBudget, 1)}, // 0 is one attempt here, and the default there
		SafetyPoll:     cfg.SafetyPoll,
		Retention: pipeline.RetentionConfig{
			MaxAge: cfg.LogMaxAge, MaxEntries: cfg.LogMaxEntries, DedupeWindow: cfg.DedupeWindow, Traces: cfg.Traces,
			PoisonMaxAge: cfg.PoisonMaxAge, AuditMaxAge: cfg.AuditMaxAge,
		},
		Audit:    pipeline.AuditConfig{Rate: float64(cfg.AuditRate), Patience: cfg.AuditPatience},
		Observer: a.spans.Around(a.meters),
		Build:    Build(), Node: a.node(), Logger: a.log,
	})
	if err != nil {
		return err
	}
	a.wireWatch()

	a.sockets = ws.New(a.hub, admission, ws.Config{
		Heartbeat: cfg.Heartbeat, PongWait: cfg.PongWait, WriteWait: cfg.WriteWait,
		MaxMessageBytes: int64(cfg.MaxMessageBytes), MessagesPerSecond: float64(cfg.MessagesPerSecond),
		MessageBurst: 2 * cfg.MessagesPerSecond, Logger: a.log,
	})
	a.polls = poll.New(a.hub, admission, poll.Config{Lease: cfg.PollLease, WriteWait: cfg.WriteWait})
	events := sse.New(a.hub, admission, sse.Config{WriteWait: cfg.WriteWait, Logger: a.log})

	engine := api.NewEngine(a.log)
	engine.Use(a.meters.HTTP(streams...), a.spans.HTTP(streams...))
	api.New(api.Config{
		Commands: a.commands(), Reader: a.store.Reader(), Directory: a.store,
		Sessions: cookies, Cookies: cookies, Origins: origins,
		Online:      a.presence.Online,
		OnSignedOut: a.signedOut,
		Demo:        cfg.Demo, MaxBodyBytes: int64(cfg.MaxBodyBytes), CommandsPerSecond: cfg.CommandsPerSecond,
	}).Register(engine)
	engine.GET("/v1/ws", raw(a.sockets.Handle))
	engine.GET("/v1/sse", raw(events.Handle))
	engine.GET("/v1/poll", raw(a.polls.Handle))
	engine.GET("/v1/probe", raw(probe.New(a.hub, admission).Handle))

	if cfg.Demo {
		withPage(engine)
	}
	a.public = server(engine)
	if a.demo != nil {
		a.withDemo(engine)
	}
	if err := a.wireConsole(); err != nil {
		return err
	}
	a.admin = server(a.adminMux())
	a.admin.RegisterOnShutdown(a.console.Close)
	return nil
}

func (a *App) commands() domain.Commands { return domain.Commands{UoW: a.store} }

// seed fills an empty database for the demo.
func (a *App) seed(ctx context.Context) error {
	if !a.cfg.Demo {
		return nil
	}
	return a.commands().SeedDemo(ctx)
}

// raw hands gin's request to a transport that streams, without gin's help.
func raw(handle http.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) { handle(c.Writer, c.Request) }
}

// withPage adds the demo's page. Its files are routes like the API's, so that
// other paths and methods get problem documents there too.
func withPage(engine *gin.Engine) {
	for path, file := range page.Files() {
		engine.GET(path, raw(file))
		engine.HEAD(path, raw(file))
	}
}

// withDemo adds what the demo's page plays with.
func (a *App) withDemo(engine *gin.Engine) {
	ctx, release := context.WithCancel(context.Background())
	a.release = release
	a.public.RegisterOnShutdown(release)
	a.public.ConnContext = demo.ConnContext
	for _, route := range a.demo.Serve(ctx, demo.Host{
		Public: visit(a.publicListener.Addr()), Admin: visit(a.adminListener.Addr()),
		Commands: a.commands(), Reader: a.store.Reader(), Waiting: a.waiting, Restart: a.restart,
	}) {
		if route.Method == "" {
			engine.Any(route.Path, raw(route.Handle))
		} else {
			engine.Handle(route.Method, route.Path, raw(route.Handle))
		}
	}
}

// waiting counts the events that are committed and not projected yet.
func (a *App) waiting(ctx context.Context) (int64, error) {
	lanes, err := a.store.OutboxStats(ctx)
	var waiting int64
	for _, lane := range lanes {
		waiting += lane.Pending
	}
	return waiting, err
}

// bodyWait bounds how long a request's body may take, and answerWait a request
// from its headers to the answer's last byte, unless its handler knows better.
// net/http's own timeouts would end every stream.
const bodyWait, answerWait = 10 * time.Second, 30 * time.Second

// server has the limits of every listener.
func server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           impatient(h),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// impatient gives every request a deadline. Handlers that read a body or write
// a stream set nearer ones; but net/http reads what a handler has left of a body
// before it lets an answer out, so without this a body that never comes would
// hold a connection and its goroutine forever, even at an address that is none.
// net/http lifts both after the answer.
func impatient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		_ = conn.SetWriteDeadline(time.Now().Add(answerWait)) // no connection: nothing to limit
		// Without a body net/http is reading ahead already, and would take a
		// deadline for the client's end.
		if r.Body != http.NoBody {
			_ = conn.SetReadDeadline(time.Now().Add(bodyWait))
		}
		next.ServeHTTP(w, r)
	})
}
