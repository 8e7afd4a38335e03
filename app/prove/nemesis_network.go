package prove

import (
	"context"
	"math/rand/v2"
	"time"
)

// cutLinks breaks a share of the connections, some times.
func cutLinks(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	for end := time.Now().Add(f.For); time.Now().Before(end); {
		r.env.front.cut(0.2+0.8*d.Float64(), d)
		if !sleep(ctx, time.Duration(200+d.IntN(1200))*time.Millisecond) {
			break
		}
	}
	return nil
}

// disturb makes the network bad for a while.
func disturb(n network) func(context.Context, *round, fault, *rand.Rand) error {
	return func(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
		r.env.front.set(n)
		sleep(ctx, f.For)
		r.env.front.set(network{})
		return nil
	}
}

func partition(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	r.env.front.set(network{refuse: true})
	r.env.front.cut(1, d)
	sleep(ctx, f.For)
	r.env.front.set(network{})
	return nil
}

func dropPackets(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	if err := r.env.far.down(); err != nil {
		return err
	}
	sleep(ctx, f.For)
	return r.env.far.up()
}
