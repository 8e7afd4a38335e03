package app

import (
	"context"
	"net/http"
	"time"

	"github.com/orbit/realtime/config"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/handlers/fixture"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/transport/console"
)

// wireConsole makes the operators' side of this server.
func (a *App) wireConsole() error {
	configured, err := a.cfg.Operators()
	if err != nil {
		return err
	}
	operators := make([]console.Operator, len(configured))
	for i, o := range configured {
		operators[i] = console.NewOperator(o.Name, console.Role(o.Role), o.Token)
	}
	ports := databasePorts(a.store, a.projectors, a.cfg.HandlerTimeout)
	ports.Monitor, ports.Tracer, ports.Sessions = a.monitor, a.tracer, sessions{a.hub, a}
	product := ""
	if a.cfg.Demo {
		product = visit(a.publicListener.Addr())
	}
	a.console = console.New(console.Config{
		Ports: ports, Operators: operators,
		Demo:     a.cfg.Demo && a.cfg.AdminLoopback(),
		Loopback: a.cfg.AdminLoopback(), Hosts: a.cfg.AdminHosts,
		Secure: a.cfg.CookieSecure == "always", Product: product, Build: Build(), Logger: a.log,
	})
	return nil
}

// databasePorts are the ports that need a database and no server.
func databasePorts(s *store.Store, projectors map[domain.EventType]domain.Projector, timeout time.Duration) console.Ports {
	previewer := pipeline.NewPreviewer(s, projectors, timeout, nil)
	return console.Ports{
		Queue: s, Workspaces: s.Reader(), Tail: tail{s}, Tracer: s, Previewer: previewer, Aggregates: previewer,
		Export: func(ctx context.Context, p domain.Poison) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return fixture.Export(ctx, s.Reader(), projectors, p)
		},
	}
}

// DirectConsole is the operators' side straight on the database, for the
// command line when no server runs. What needs one answers that it does.
// Whoever calls it is operator.
func DirectConsole(s *store.Store, operator string) http.Handler {
	return console.New(console.Config{
		Ports:  databasePorts(s, handlers.Table(), config.Default().HandlerTimeout),
		Direct: &console.Caller{Operator: operator, Role: console.RoleDirect, Via: console.ViaDirect},
		Build:  Build(),
	})
}

// tail follows a workspace's log by reading it again and again: an operator
// who watches is no reason to burden the hub.
type tail struct{ store *store.Store }

const (
	tailPeriod = 250 * time.Millisecond
	tailPage   = 500
)

// Follow implements console.Tail.
func (t tail) Follow(ctx context.Context, workspaceID, after string, emit func(domain.Position, domain.Entry) error) error {
	state, err := t.store.Reader().LogState(ctx, workspaceID)
	if err != nil {
		return err
	}
	at := state.Position()
	if after != "" {
		if at, err = domain.ParsePosition(after); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(tailPeriod)
	defer ticker.Stop()
	for {
		entries, state, err := t.store.LogAfter(ctx, workspaceID, at.Offset, 1<<62, nil, tailPage)
		switch {
		case err != nil && !(domain.IsTransient(err) && ctx.Err() == nil):
			return err
		case err == nil && (state.Epoch != at.Epoch || at.Offset < state.Floor || at.Offset > state.Head):
			return domain.Errorf(domain.CodeConflict, "the log no longer has what comes after %s", at)
		}
		for _, e := range entries {
			at.Offset = e.Offset
			if err := emit(at, e); err != nil {
				return err
			}
		}
		if len(entries) == tailPage {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
