// Package demo is what the demo's page plays with: two sides, each a network of
// its own that can be made as bad as real ones are, and buttons that flood,
// restart and break the server for real. Nothing of it exists without --demo.
package demo

import (
	"context"
	"net/http"
	"sync"

	"github.com/orbit/realtime/domain"
)

// Demo outlives the servers that it restarts: the faults of the two sides and
// the broken projectors stay as they were set.
type Demo struct {
	conns    conns
	sides    map[string]*side
	switches switches
	flooding sync.Mutex

	mu     sync.Mutex
	starts int
}

// New makes a demo in which nothing is broken yet.
func New() *Demo {
	d := &Demo{sides: map[string]*side{}}
	for _, name := range sideNames {
		d.sides[name] = newSide(name)
	}
	return d
}

// Host is the running server, as far as the demo has to do with it. Required
// are all but Restart.
type Host struct {
	// Public is where this server's own clients connect, and Admin where its
	// operators do: "http://127.0.0.1:8080".
	Public, Admin string
	Commands      domain.Commands
	Reader        domain.Reader
	// Waiting counts the events that are committed and not projected yet.
	Waiting func(context.Context) (int64, error)
	// Restart ends this server and starts another one in its place: at once and
	// without a word to anybody (crash), or in order. It returns before either.
	// Nil: this server can't.
	Restart func(crash bool)
}

// Route is an address of the demo. Without a Method it takes any.
type Route struct {
	Method, Path string
	Handle       http.HandlerFunc
}

// run is the demo on one server, from its start to its end.
type run struct {
	*Demo
	Host
	ctx context.Context // ends when the server shuts down
}

// Serve puts the demo onto a server that is about to start. ctx ends when it
// shuts down: whatever hangs then lets go.
func (d *Demo) Serve(ctx context.Context, host Host) []Route {
	d.mu.Lock()
	d.starts++
	d.mu.Unlock()
	r := &run{d, host, ctx}
	routes := []Route{
		{http.MethodGet, "/demo/state", r.getState},
		{http.MethodPost, "/demo/faults", act(r.setFaults)},
		{http.MethodPost, "/demo/restart", act(r.restart)},
		{http.MethodPost, "/demo/flood", act(r.flood)},
		{http.MethodPost, "/demo/break", act(r.breakProjector)},
		{http.MethodPost, "/demo/mend", act(r.mendProjector)},
	}
	for _, name := range sideNames {
		routes = append(routes, Route{"", "/demo/" + name + "/v1/*path", d.sides[name].proxy(ctx, host.Public)})
	}
	return routes
}
