package prove

import (
	"context"
	"math/rand/v2"
)

// makeStandby gives the cluster a replica, and a proxy that leads to whichever
// is primary, as a balancer or a name does.
func (e *environment) makeStandby(ctx context.Context) error {
	primary := e.cluster.URL()
	front, err := newFront(ctx, primary.Host)
	if err != nil {
		return err
	}
	e.later(func() error { front.close(); return nil })
	primary.Host = front.listener.Addr().String()
	e.database, e.dsn = front, primary.String()
	e.later(func() error {
		if e.standby == nil {
			return nil
		}
		return e.standby.Remove()
	})
	e.standby, err = e.cluster.Standby()
	return err
}

// failOver crashes the primary for good. The replica has all that was
// acknowledged; what was on its way is unknown to its writer. The new primary
// gets a replica of its own, for the next time.
func failOver(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	e := r.env
	old := e.cluster
	if err := old.Crash(); err != nil {
		return err
	}
	e.database.set(network{refuse: true})
	e.database.cut(1, nil)
	sleep(ctx, f.For)
	if err := e.standby.Promote(); err != nil {
		return err
	}
	e.cluster, e.standby = e.standby, nil
	e.database.to(e.cluster.URL().Host)
	e.database.set(network{})
	_ = old.Remove() // its folder goes; that it isn't running is no news
	var err error
	e.standby, err = e.cluster.Standby()
	return err
}
