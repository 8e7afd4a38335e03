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
func (e *environment) revive(ctx context.Context) error {
	var err error
	for end := time.Now().Add(startPatience); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
		if err = e.server.start(); err != nil {
			return err
		}
		if err = e.server.waitReady(ctx, time.Until(end)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the server does not come back: %w; it said:\n%s", err, e.log)
}

func kill(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	if err := r.env.server.kill(); err != nil {
		return err
	}
	sleep(ctx, time.Duration(d.Int64N(int64(f.For))))
	return r.env.revive(context.WithoutCancel(ctx))
}

// killAt makes the server kill itself at a point that it passes the nth time.
func killAt(point string, within int) func(context.Context, *round, fault, *rand.Rand) error {
	return func(ctx context.Context, r *round, f fault, d *rand.Rand) error {
		if err := r.env.order(onProcess, fmt.Sprintf("%s kill every=%d", point, 1+d.IntN(within))); err != nil {
			return err
		}
		return r.env.afterDeath(ctx, f.For+10*time.Second)
	}
}

func killMidReplay(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	// Once to empty the memory, so that what clients missed is read from the log.
	if err := r.env.server.kill(); err != nil {
		return err
	}
	sleep(ctx, f.For)
	if err := r.env.order(onProcess, fmt.Sprintf("replay kill every=%d", 1+d.IntN(6))); err != nil {
		return err
	}
	if err := r.env.server.start(); err != nil {
		return err
	}
	return r.env.afterDeath(ctx, 8*time.Second)
}

// afterDeath waits until the server has killed itself, and brings it back with
// no such order.
func (e *environment) afterDeath(ctx context.Context, patience time.Duration) error {
	select {
	case <-e.server.dead():
	case <-time.After(patience): // the point was not passed often enough: no harm
	case <-ctx.Done():
	}
	if err := e.order(onProcess, ""); err != nil {
		return err
	}
	if err := e.server.kill(); err != nil { // it may have died at any moment until now
		return err
	}
	return e.revive(context.WithoutCancel(ctx))
}

// order tells the server's failpoints what to do; "" ends an order.
func (e *environment) order(of target, text string) error {
	e.ordering.Lock()
	defer e.ordering.Unlock()
	e.ordered[of] = text
	var all strings.Builder
	for _, t := range targets {
		fmt.Fprintln(&all, e.ordered[t])
	}
	draft := e.orders + ".new"
	if err := os.WriteFile(draft, []byte(all.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, e.orders)
}

func pause(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	if err := r.env.server.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	sleep(ctx, f.For)
	if err := r.env.server.signal(syscall.SIGCONT); err != nil {
		return err
	}
	return r.env.server.waitReady(context.WithoutCancel(ctx), startPatience)
}

func rolling(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	e := r.env
	ctx = context.WithoutCancel(ctx)
	if e.opts.Engine == store.SQLite { // one process at a time has the file
		if err := e.server.terminate(ctx); err != nil {
			r.broke("%v", err)
		}
		return e.revive(ctx)
	}
	if e.spare == nil {
		spare, err := e.newServer()
		if err != nil {
			return err
		}
		e.spare = spare
		e.later(func() error { return e.spare.kill() })
	}
	old := e.server
	e.swap()
	if err := e.revive(ctx); err != nil {
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
		if err := r.env.order(onEvents, order); err != nil {
			return err
		}
		sleep(ctx, f.For)
		return r.env.order(onEvents, "")
	}
}
