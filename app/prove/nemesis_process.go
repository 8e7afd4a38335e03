package prove

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/orbit/realtime/store"
)

// startPatience is how long a server may take to be ready again.
const startPatience = 60 * time.Second

// revive starts the server, as a supervisor would: again whenever it ends, for
// its database may be away at the moment. It returns when the server is ready.
func (e *environment) revive(ctx context.Context, p *process) error {
	var err error
	for end := time.Now().Add(startPatience); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
		if err = p.start(); err != nil {
			return err
		}
		if err = p.waitReady(ctx, time.Until(end)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the server does not come back: %w; it said:\n%s", err, e.log)
}

func kill(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	p := r.env.victim(d)
	if err := p.kill(); err != nil {
		return err
	}
	sleep(ctx, time.Duration(d.Int64N(int64(f.For))))
	return r.env.revive(context.WithoutCancel(ctx), p)
}

// killAt makes the server kill itself at a point that it passes the nth time.
func killAt(point string, within int) func(context.Context, *round, fault, *rand.Rand) error {
	return func(ctx context.Context, r *round, f fault, d *rand.Rand) error {
		p := r.env.victim(d)
		if err := r.env.order(onProcess, fmt.Sprintf("%s kill every=%d", point, 1+d.IntN(within)), p); err != nil {
			return err
		}
		return r.env.afterDeath(ctx, p, f.For+10*time.Second)
	}
}

func killMidReplay(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	// Once to empty the memory, so that what clients missed is read from the log.
	p := r.env.victim(d)
	if err := p.kill(); err != nil {
		return err
	}
	sleep(ctx, f.For)
	if err := r.env.order(onProcess, fmt.Sprintf("replay kill every=%d", 1+d.IntN(6)), p); err != nil {
		return err
	}
	if err := p.start(); err != nil {
		return err
	}
	return r.env.afterDeath(ctx, p, 8*time.Second)
}

// afterDeath waits until the server has killed itself, and brings it back with
// no such order.
func (e *environment) afterDeath(ctx context.Context, p *process, patience time.Duration) error {
	select {
	case <-p.dead():
	case <-time.After(patience): // the point was not passed often enough: no harm
	case <-ctx.Done():
	}
	if err := e.order(onProcess, "", p); err != nil {
		return err
	}
	if err := p.kill(); err != nil { // it may have died at any moment until now
		return err
	}
	return e.revive(context.WithoutCancel(ctx), p)
}

// order tells failpoints what to do; "" ends an order.
func (e *environment) order(of target, text string, who ...*process) error {
	e.ordering.Lock()
	defer e.ordering.Unlock()
	for _, p := range who {
		p.ordered[of] = text
		var all strings.Builder
		for _, t := range targets {
			fmt.Fprintln(&all, p.ordered[t])
		}
		draft := p.orders + ".new"
		if err := os.WriteFile(draft, []byte(all.String()), 0o600); err != nil {
			return err
		}
		if err := os.Rename(draft, p.orders); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	p := r.env.victim(d)
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	sleep(ctx, f.For)
	if err := p.signal(syscall.SIGCONT); err != nil {
		return err
	}
	return p.waitReady(context.WithoutCancel(ctx), startPatience)
}

func rolling(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	e := r.env
	ctx = context.WithoutCancel(ctx)
	// One process at a time has a SQLite file; where there are several nodes,
	// the others serve meanwhile.
	if e.opts.Engine == store.SQLite || len(e.others) > 0 {
		for _, p := range e.nodes() {
			if err := p.terminate(ctx); err != nil {
				r.broke("%v", err)
			}
			if err := e.revive(ctx, p); err != nil {
				return err
			}
		}
		return nil
	}
	if e.spare == nil {
		spare, err := e.newServer()
		if err != nil {
			return err
		}
		e.spare = spare
		e.later(spare.kill) // this one, whichever of the two is the spare by then
	}
	old := e.server
	e.swap()
	if err := e.revive(ctx, e.server); err != nil {
		return err
	}
	e.front.to(e.server.local())
	sleep(ctx, f.For/2) // both serve
	if err := old.terminate(ctx); err != nil {
		r.broke("%v", err)
	}
	return nil
}

// node is the server that new connections go to.
func (e *environment) node() *process {
	e.swapping.Lock()
	defer e.swapping.Unlock()
	return e.server
}

func (e *environment) swap() {
	e.swapping.Lock()
	defer e.swapping.Unlock()
	e.server, e.spare = e.spare, e.server
}

// misproject gives the projectors an order for a while.
func misproject(order string) func(context.Context, *round, fault, *rand.Rand) error {
	return func(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
		// The spare too: it may be the server before this is over.
		all := r.env.nodes()
		if spare := r.env.turns(); spare != nil {
			all = append(all, spare)
		}
		if err := r.env.order(onEvents, order, all...); err != nil {
			return err
		}
		sleep(ctx, f.For)
		return r.env.order(onEvents, "", all...)
	}
}
