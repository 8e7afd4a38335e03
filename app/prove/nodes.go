package prove

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"time"
)

// nodes are the servers that serve, the first one first.
func (e *environment) nodes() []*process {
	e.swapping.Lock()
	defer e.swapping.Unlock()
	return append([]*process{e.server}, e.others...)
}

// turns is the process that takes turns with the server; nil if none does.
func (e *environment) turns() *process {
	e.swapping.Lock()
	defer e.swapping.Unlock()
	return e.spare
}

// victim picks a node.
func (e *environment) victim(d *rand.Rand) *process {
	all := e.nodes()
	if len(all) == 1 {
		return all[0]
	}
	return all[d.IntN(len(all))]
}

// makeRelay starts a NATS server, and a proxy for each node to reach it by.
func (e *environment) makeRelay(ctx context.Context) error {
	path, err := exec.LookPath("nats-server")
	if err != nil {
		return errors.New("nats-server is not installed")
	}
	addr, err := freeAddr("127.0.0.1")
	if err != nil {
		return err
	}
	server, err := startHelper(ctx, addr, e.log, path, "--addr", "127.0.0.1", "--port", portOf(addr))
	if err != nil {
		return err
	}
	e.later(server.kill)
	for range e.opts.Nodes {
		f, err := newFront(ctx, addr)
		if err != nil {
			return err
		}
		e.later(func() error { f.close(); return nil })
		e.relays = append(e.relays, f)
	}
	return nil
}

// some picks at least one, and as often as not fewer than all, of the nodes'
// ways to NATS.
func (e *environment) some(d *rand.Rand) []*front {
	all := slices.Clone(e.relays)
	d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:1+d.IntN(len(all))]
}

// cutRelay takes hints away. Of PostgreSQL's relay there is no connection to
// refuse alone: it is the database's own, and is ended whenever it is seen.
func cutRelay(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	if len(r.env.relays) == 0 {
		for end := time.Now().Add(f.For); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, 20*time.Millisecond) {
			// A database that is away is somebody else's doing.
			_, _ = r.env.store.WriteDB().ExecContext(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'orbit listen'`)
		}
		return nil
	}
	some := r.env.some(d)
	for _, way := range some {
		way.set(network{refuse: true})
		way.cut(1, nil)
	}
	sleep(ctx, f.For)
	for _, way := range some {
		way.set(network{})
	}
	return nil
}

// disturbRelay makes the way of some nodes to NATS bad for a while.
func disturbRelay(n network) func(context.Context, *round, fault, *rand.Rand) error {
	return func(ctx context.Context, r *round, f fault, d *rand.Rand) error {
		some := r.env.some(d)
		for _, way := range some {
			way.set(n)
		}
		sleep(ctx, f.For)
		for _, way := range some {
			way.set(network{})
		}
		return nil
	}
}

// flap has one node die whenever it has been back for a moment: less than the
// lease after which others take its lanes, or more.
func flap(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	p := r.env.victim(d)
	for end := time.Now().Add(f.For); time.Now().Before(end) && ctx.Err() == nil; {
		if err := p.kill(); err != nil {
			return err
		}
		sleep(ctx, time.Duration(d.Int64N(int64(time.Second))))
		if err := r.env.revive(context.WithoutCancel(ctx), p); err != nil {
			return err
		}
		sleep(ctx, time.Duration(d.Int64N(int64(nodeLease))))
	}
	return nil
}

// blackout kills all nodes: nobody is there to take over.
func blackout(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	var errs []error
	for _, p := range r.env.nodes() {
		errs = append(errs, p.kill())
	}
	sleep(ctx, f.For)
	for _, p := range r.env.nodes() {
		errs = append(errs, p.start())
	}
	for _, p := range r.env.nodes() { // its database may be away
		if p.waitReady(context.WithoutCancel(ctx), startPatience) != nil {
			errs = append(errs, r.env.revive(context.WithoutCancel(ctx), p))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("blackout: %w", err)
	}
	return nil
}
