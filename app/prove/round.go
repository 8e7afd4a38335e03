package prove

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/domain"
)

// The bounds that a round asks for. What is slower is broken.
const (
	// offlineBound is the grace, the lease of a poller or the silence after which
	// a socket is given up, and a margin for a busy machine.
	offlineBound = grace + pollLease + heartbeat + pongWait + 2*time.Second
	onlineBound  = 3 * time.Second
)

// round is one history in the making.
type round struct {
	env   *environment
	index int
	plan  roundPlan
	began time.Time

	settling atomic.Bool // tabs stay, and read as fast as they can

	ops2    sync.Mutex
	ops     []check.Op
	rolled  []string
	faults  []check.Fault
	current map[string]bool // faults going on
	broke_  []string        // promises seen broken that no history shows
	harness []string
	epochs  map[string]string

	mu   sync.Mutex
	tabs []*tab
	herd []*tab          // of the herd's nemesis alone
	life context.Context // of the tabs

	truths map[string]*check.Workspace
	vitals []check.Vitals

	deliveries, resumes, resyncs atomic.Int64
}

func (r *round) now() time.Duration { return time.Since(r.began) }

func (r *round) record(op check.Op) {
	r.ops2.Lock()
	defer r.ops2.Unlock()
	r.ops = append(r.ops, op)
}

func (r *round) rolledBack(event string) {
	r.ops2.Lock()
	defer r.ops2.Unlock()
	r.rolled = append(r.rolled, event)
}

// broken notes that the harness was at a loss.
func (r *round) broken(format string, args ...any) {
	r.ops2.Lock()
	defer r.ops2.Unlock()
	r.harness = append(r.harness, fmt.Sprintf(format, args...))
}

// broke notes a broken promise that was seen while it happened.
func (r *round) broke(format string, args ...any) {
	r.ops2.Lock()
	defer r.ops2.Unlock()
	r.broke_ = append(r.broke_, fmt.Sprintf(format, args...))
}

func (r *round) knowEpoch(workspaceID, epoch string) {
	r.ops2.Lock()
	defer r.ops2.Unlock()
	r.epochs[workspaceID] = epoch
}

// anyCommitted picks a command that is known to be committed.
func (r *round) anyCommitted(d *rand.Rand) (check.Op, bool) {
	r.ops2.Lock()
	defer r.ops2.Unlock()
	if len(r.ops) == 0 {
		return check.Op{}, false
	}
	op := r.ops[d.IntN(len(r.ops))]
	return op, op.Outcome == check.OK && op.Event != "" && op.Entity != ""
}

// delivered counts for the progress line.
func (r *round) delivered(w *wire, _ time.Duration) {
	switch {
	case w.Cause != "":
		r.deliveries.Add(1)
	case w.Type == domain.ServerSystemHello && w.Resumed:
		r.resumes.Add(1)
	case w.Type == domain.ServerSystemResync:
		r.resyncs.Add(1)
	}
}

// round runs one: clients, writers, faults; then heal, settle, and check.
func (e *environment) round(ctx context.Context, index int, plan roundPlan) (*Round, error) {
	r := &round{
		env: e, index: index, plan: plan, began: time.Now(),
		current: map[string]bool{}, epochs: map[string]string{}, truths: map[string]*check.Workspace{},
	}
	if err := r.mark(ctx); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		end()
		for _, tb := range r.allTabs() {
			tb.close()
		}
	}()
	r.life = life
	r.openTabs(life)
	if err := r.until(ctx, 30*time.Second, "the clients are live", r.allLive); err != nil {
		return nil, err
	}
	if err := r.measure(); err != nil {
		return nil, err
	}
	if err := r.drive(ctx, life); err != nil {
		return nil, err
	}
	h, err := r.settle(ctx)
	if err != nil {
		return nil, err
	}
	violations := check.Check(*h)
	for _, text := range r.broke_ {
		violations = append(violations, check.Violation{Invariant: check.Recovered, Detail: text})
	}
	for _, text := range r.harness[:min(len(r.harness), 10)] {
		violations = append(violations, check.Violation{Invariant: check.Harness, Detail: text})
	}
	return newRound(r, h, violations), ctx.Err()
}

// openTabs opens the clients that stay for the whole round.
func (r *round) openTabs(ctx context.Context) {
	for _, t := range r.env.tenants {
		if t.quiet {
			r.open(ctx, t, t.owner, habits[1], t.slug+"/owner", r.index)
			continue
		}
		for i, p := range t.members {
			h := habits[i%len(habits)]
			r.open(ctx, t, p, h, fmt.Sprintf("%s/%d %s", t.slug, i, h.name), r.index)
		}
		// A second tab of somebody, and the owner.
		r.open(ctx, t, t.members[0], habits[3], t.slug+"/0 second tab", r.index)
		r.open(ctx, t, t.owner, habits[1], t.slug+"/owner", r.index)
		if far := r.env.far; far != nil {
			for i, h := range habits[:2] {
				r.open(ctx, t, t.members[i], h, fmt.Sprintf("%s/far %s", t.slug, h.name), r.index, func(tb *tab) {
					tb.dial = far.dial
					tb.base = func() string {
						_, port, _ := strings.Cut(r.env.node().local(), ":")
						return "http://" + far.here + ":" + port
					}
				})
			}
		}
	}
}

func (r *round) allTabs() []*tab {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tabs)
}

func (r *round) allLive() bool {
	for _, tb := range r.allTabs() {
		if tb.lived() == 0 {
			return false
		}
	}
	return true
}

// drive has the writers write while the faults of the plan take their course.
// When it returns, every fault is mended, and every command has its outcome.
func (r *round) drive(ctx, life context.Context) error {
	writing, stop := context.WithTimeout(ctx, r.plan.Duration)
	defer stop()
	var busy sync.WaitGroup
	each := time.Duration(float64(time.Second) * float64(len(r.env.tenants)) / float64(r.env.opts.Rate))
	for i, t := range r.env.tenants {
		w, host := r.newWriter(t, i), r.newWriter(t, 500+i)
		if t.quiet {
			busy.Go(func() { w.write(writing, time.Second) })
			continue
		}
		busy.Go(func() { w.write(writing, each) })
		busy.Go(func() { host.visits(writing, life) })
	}
	errs := make(chan error, len(targets))
	for _, target := range targets {
		busy.Go(func() { errs <- r.hurt(writing, target) })
	}
	busy.Go(func() { r.tell(writing) })
	busy.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return errors.Join(all, ctx.Err())
}

// hurt runs the faults of one target, one after the other.
func (r *round) hurt(ctx context.Context, t target) error {
	for _, f := range r.plan.Faults {
		i := slices.IndexFunc(nemeses, func(n *nemesis) bool { return n.name == f.Nemesis })
		n := nemeses[i]
		if n.target != t {
			continue
		}
		if !sleep(ctx, f.At-r.since()) {
			return nil
		}
		start := r.now()
		r.begins(f.Nemesis)
		err := n.run(ctx, r, f, rand.New(rand.NewPCG(f.Dice, 1)))
		r.ends(f.Nemesis, start)
		if err != nil {
			return fmt.Errorf("nemesis %s: %w", f.Nemesis, err)
		}
	}
	return nil
}

// since is how long the faults have been going on; the plan counts from there.
func (r *round) since() time.Duration { return r.now() - r.vitals[0].At }

func (r *round) begins(name string) {
	r.ops2.Lock()
	defer r.ops2.Unlock()
	r.current[name] = true
}

func (r *round) ends(name string, start time.Duration) {
	r.ops2.Lock()
	defer r.ops2.Unlock()
	delete(r.current, name)
	r.faults = append(r.faults, check.Fault{Name: name, Start: start, End: r.now()})
}

// tell prints a line of progress now and then.
func (r *round) tell(ctx context.Context) {
	for sleep(ctx, 5*time.Second) {
		r.ops2.Lock()
		committed, unknown := 0, 0
		for i := range r.ops {
			switch r.ops[i].Outcome {
			case check.OK:
				committed++
			case check.Unknown:
				unknown++
			}
		}
		var now []string
		for name := range r.current {
			now = append(now, name)
		}
		r.ops2.Unlock()
		slices.Sort(now)
		fmt.Fprintf(r.env.opts.Progress, "  %4s  committed %d, unknown %d, delivered %d, resumed %d, resyncs %d  %s\n",
			r.now().Round(time.Second), committed, unknown, r.deliveries.Load(), r.resumes.Load(), r.resyncs.Load(), strings.Join(now, " "))
	}
}

// until polls until something is so, or patience ends.
func (r *round) until(ctx context.Context, patience time.Duration, what string, so func() bool) error {
	for end := time.Now().Add(patience); ; {
		if so() {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %s it is not so that %s; the server said:\n%s", patience, what, r.env.log)
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}
