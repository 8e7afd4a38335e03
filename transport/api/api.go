// Package api is Orbit's HTTP side: the commands and the snapshot, as thin
// gin handlers over the use cases in package domain. The table in routes.go is
// the index of all there is.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
)

// EventIDHeader carries the id of the domain event that a command published.
// The server event it leads to has that id as its cause, so a client can wait
// for its own change. It is absent when nothing had to change.
const EventIDHeader = "Orbit-Event-Id"

// Cookies hands a session's token to the client and takes it away again.
// auth.CookieSessions implements it.
type Cookies interface {
	Issue(w http.ResponseWriter, r *http.Request, token string, expires time.Time)
	Clear(w http.ResponseWriter, r *http.Request)
}

// Directory tells where a user is a member. Package store implements it.
type Directory interface {
	// WorkspacesOfUser lists them sorted by slug; none is not an error.
	WorkspacesOfUser(ctx context.Context, userID string) ([]domain.Workspace, error)
}

// Config is what the API works with. Required are those from Commands to
// Cookies, and Online.
type Config struct {
	Commands  domain.Commands
	Reader    domain.Reader
	Directory Directory
	Sessions  auth.Sessions
	Cookies   Cookies
	// Origins may send state-changing requests; the zero value is same origin.
	Origins auth.Origins
	// Online returns the sorted ids of a workspace's members online.
	Online func(workspaceID string) []string
	// OnSignedOut is called after a sign-in session has ended, so that its
	// sockets can be closed. Default: nothing.
	OnSignedOut func(sessionID string)
	// Demo enables POST /v1/demo/login, which signs in whoever asks.
	Demo bool
	// MaxBodyBytes bounds a request's body (default 65,536).
	MaxBodyBytes int64
	// CommandsPerSecond bounds the state-changing requests of one user, sustained
	// (default 100); CommandBurst those at once (default twice that).
	CommandsPerSecond, CommandBurst int
	// ReadTimeout bounds how long a body may take to arrive (default 10 s).
	ReadTimeout time.Duration
	// WriteTimeout bounds a request from its headers to the answer's last byte,
	// so that nobody ties up the server by not reading (default 30 s).
	WriteTimeout time.Duration
}

// API serves the routes of the table.
type API struct {
	Config
	pace *pace
}

// New makes an API.
func New(cfg Config) *API {
	if cfg.OnSignedOut == nil {
		cfg.OnSignedOut = func(string) {}
	}
	if cfg.MaxBodyBytes <= 0 {
		cfg.MaxBodyBytes = 64 << 10
	}
	if cfg.CommandsPerSecond <= 0 {
		cfg.CommandsPerSecond = 100
	}
	if cfg.CommandBurst <= 0 {
		cfg.CommandBurst = 2 * cfg.CommandsPerSecond
	}
	if cfg.ReadTimeout <= 0 {
		cfg.ReadTimeout = 10 * time.Second
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 30 * time.Second
	}
	return &API{cfg, newPace(cfg.CommandsPerSecond, cfg.CommandBurst)}
}

// Register mounts every route on the engine.
func (a *API) Register(engine *gin.Engine) {
	for _, route := range Routes {
		if route.Needs != NeedsDemo || a.Demo {
			engine.Handle(route.Method, route.Path, a.serve(route))
		}
	}
}

// NewEngine makes a gin engine that trusts no proxy, answers unknown routes,
// wrong methods and panics with problem documents, names each request, and
// logs requests at debug level. logger nil means slog.Default().
func NewEngine(logger *slog.Logger) *gin.Engine {
	if logger == nil {
		logger = slog.Default()
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	if err := engine.SetTrustedProxies(nil); err != nil {
		panic(err) // an empty list can't be malformed
	}
	engine.RedirectTrailingSlash = false
	engine.HandleMethodNotAllowed = true
	engine.Use(named, logged(logger), guarded, recovered(logger))
	engine.NoRoute(unknownRoute)
	engine.NoMethod(wrongMethod)
	return engine
}
