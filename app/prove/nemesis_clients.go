package prove

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/orbit/realtime/domain"
)

// trimKeep is how many entries of each log a trim leaves.
const trimKeep = 20

// trim has retention pass by while clients are away: those that come back from
// below the floor are to be told to resync.
func trim(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	r.env.front.set(network{refuse: true})
	r.env.front.cut(1, d)
	defer r.env.front.set(network{})
	sleep(ctx, f.For)
	ctx = context.WithoutCancel(ctx)
	if r.collect(ctx) == nil { // else the database is away: nothing is trimmed
		_, _ = r.env.store.TrimLogs(ctx, 24*time.Hour, trimKeep)
	}
	return nil
}

// herdHabit is what a client of the herd is like.
var herdHabit = habit{name: "herd", transports: []string{"ws+batch"}}

// herdPatience is how long a herd may take to be back.
const herdPatience = 60 * time.Second

// stampede opens the herd and breaks all of its connections at the same moment.
// Each must be back, with all it missed.
func stampede(ctx context.Context, r *round, _ fault, _ *rand.Rand) error {
	herd, err := r.gather(ctx)
	if err != nil || len(herd) == 0 {
		return err
	}
	lived := make([]int, len(herd))
	for i, tb := range herd {
		lived[i] = tb.lived()
		tb.kick()
	}
	start := time.Now()
	err = r.until(context.WithoutCancel(ctx), herdPatience, "the herd is back", func() bool {
		for i, tb := range herd {
			if tb.lived() <= lived[i] {
				return false
			}
		}
		return true
	})
	if err != nil {
		r.broke("%v", err)
		return nil
	}
	fmt.Fprintf(r.env.opts.Progress, "  a herd of %d was back in %s\n", len(herd), time.Since(start).Round(time.Millisecond))
	return nil
}

// gather opens the herd, the first time, and returns it when it is live.
func (r *round) gather(ctx context.Context) ([]*tab, error) {
	if r.herd == nil {
		t := r.env.tenants[len(r.env.tenants)-1]
		var s domain.Snapshot
		if err := r.until(context.WithoutCancel(ctx), herdPatience, "there is a snapshot for the herd", func() (ok bool) {
			var err error
			s, _, err = r.env.calls.snapshotOf(ctx, t.members[0], t.slug)
			return err == nil || ctx.Err() != nil
		}); err != nil || ctx.Err() != nil {
			return nil, err // the round is over before it began
		}
		for i := range r.env.opts.Herd {
			r.herd = append(r.herd, r.open(r.life, t, t.members[0], herdHabit, fmt.Sprintf("herd/%d", i), i, func(tb *tab) {
				tb.start = &s
				tb.base = func() string { return "http://" + r.env.node().local() }
				// An address has about 28,000 ports, and TIME_WAIT keeps them busy.
				from := &net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%8))}}
				tb.dial = from.DialContext
			}))
			if i%64 == 63 {
				sleep(ctx, 10*time.Millisecond)
			}
		}
	}
	err := r.until(context.WithoutCancel(ctx), herdPatience, "the herd is live", func() bool {
		for _, tb := range r.herd {
			if tb.lived() == 0 {
				return false
			}
		}
		return true
	})
	return r.herd, err
}
