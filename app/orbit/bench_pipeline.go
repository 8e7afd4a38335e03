package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/orbit/realtime/app/bench"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/store"
)

type benchPipelineCmd struct {
	scratch
	Backlog    int `default:"50000" help:"Events waiting when the clock starts."`
	Workspaces int `default:"64" help:"Workspaces they are spread over."`
	Aggregates int `default:"0" help:"Measure what collapsing a backlog saves: the events are about so many members, in turn, and are drained twice. 0: each event by itself, once."`
	Lanes      int `default:"4" help:"Lanes, 1 to 64."`
	Traces     int `default:"1000000" help:"As ORBIT_TRACES: 0 to measure without."`
}

func (c benchPipelineCmd) Validate() error {
	if c.Aggregates < 0 {
		return errors.New("--aggregates is at least 0")
	}
	return atLeastOne(map[string]int{"backlog": c.Backlog, "workspaces": c.Workspaces})
}

func (c benchPipelineCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, con, func(dsn string) error {
		// With a server's connections: a tool's few would be what is measured.
		s, err := store.Open(ctx, store.Config{DSN: dsn})
		if err != nil {
			return err
		}
		return errors.Join(c.measure(ctx, con, s), s.Close())
	})
}

func (c benchPipelineCmd) measure(ctx context.Context, con console, s *store.Store) error {
	if _, err := s.Migrate(ctx); err != nil {
		return err
	}
	if err := s.SetLanes(ctx, c.Lanes); err != nil {
		return err
	}
	members, err := c.seed(ctx, s)
	if err != nil {
		return err
	}
	d := &drain{store: s, members: members, traces: c.Traces}
	if c.Aggregates == 0 {
		result, err := bench.Pipeline(ctx, d.options(c.Backlog, true, con))
		if err := errors.Join(err, d.stop()); err != nil {
			return err
		}
		return c.print(con, result)
	}
	result, err := bench.Collapse(ctx, bench.CollapseOptions{
		Aggregates: c.Aggregates, Progress: con.err,
		Each: d.options(c.Backlog, true, con), Collapsed: d.options(c.Backlog, false, con),
		Reads: func() int { return int(d.reads.Swap(0)) },
	})
	if err := errors.Join(err, d.stop()); err != nil {
		return err
	}
	return c.print(con, result)
}

// seed makes the workspaces and their members; events will be about these.
func (c benchPipelineCmd) seed(ctx context.Context, s *store.Store) ([]domain.Member, error) {
	commands := domain.Commands{UoW: s}
	members := make([]domain.Member, 0, max(c.Workspaces, c.Aggregates))
	slug := func(i int) string { return fmt.Sprintf("bench-%d", i) }
	for i := range c.Workspaces {
		_, owner, err := commands.CreateWorkspace(ctx, domain.NewWorkspace{
			Slug: slug(i), Name: "Bench", Plan: "bench", Seats: 10 + c.Aggregates,
			OwnerEmail: "bench@example.test", OwnerName: "Bench",
		})
		if err != nil {
			return nil, err
		}
		members = append(members, owner)
	}
	for i := c.Workspaces; i < c.Aggregates; i++ {
		of := members[i%c.Workspaces]
		m, _, err := commands.AddMember(ctx, domain.Actor{UserID: of.UserID, Workspace: slug(i % c.Workspaces)},
			domain.NewMember{Email: fmt.Sprintf("bench-%d@example.test", i)})
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	if c.Aggregates > 0 {
		members = members[:min(c.Aggregates, len(members))]
	}
	return members, nil
}

// drain is a pipeline that works off one backlog after the other. It counts what
// it is told of after commits: asking the database how much is left would cost
// more than the work itself. What the seed has published is of other types, and
// doesn't count.
type drain struct {
	store   *store.Store
	members []domain.Member
	traces  int

	running *pipeline.Pipeline
	handled atomic.Int64
	reads   atomic.Int64
}

var _ pipeline.Observer = (*drain)(nil)

func (d *drain) options(backlog int, each bool, con console) bench.PipelineOptions {
	return bench.PipelineOptions{
		Backlog: backlog, Progress: con.err,
		Fill: func(ctx context.Context, n int) error {
			// The pipeline starts once the backlog is there: nothing consumes it before.
			if err := d.stop(); err != nil {
				return err
			}
			d.handled.Store(0)
			return fill(ctx, d.store, d.members, n)
		},
		Start: func(ctx context.Context) (err error) {
			if d.running, err = pipeline.New(d.store, handlers.Table(), pipeline.Config{
				Each: each, Observer: d, Retention: pipeline.RetentionConfig{Traces: d.traces},
			}); err != nil {
				return err
			}
			return d.running.Start(ctx)
		},
		Drained: func(context.Context) (int, error) { return int(d.handled.Load()), nil },
	}
}

func (d *drain) stop() error {
	if d.running == nil {
		return nil
	}
	p := d.running
	d.running = nil
	return p.Stop(context.Background())
}

// Attempted implements pipeline.Observer.
func (d *drain) Attempted(t domain.EventType, _ time.Duration, _ error) {
	if t == domain.EventMemberUpdated {
		d.reads.Add(1)
	}
}

// Handled implements pipeline.Observer.
func (d *drain) Handled(_ int, _ time.Time, events []pipeline.Handled) {
	for _, h := range events {
		if h.Event.Type == domain.EventMemberUpdated {
			d.handled.Add(1)
		}
	}
}

func fill(ctx context.Context, s *store.Store, members []domain.Member, n int) error {
	const perTransaction = 500
	for first := 0; first < n; first += perTransaction {
		events := make([]domain.Event, 0, perTransaction)
		for i := first; i < min(n, first+perTransaction); i++ {
			m := members[i%len(members)]
			events = append(events, domain.NewEvent(domain.EventMemberUpdated, m.WorkspaceID, m.ID, domain.Changed{Version: m.Version}))
		}
		if err := s.Write(ctx, func(tx domain.Tx) error { return tx.Publish(ctx, events...) }); err != nil {
			return err
		}
	}
	return nil
}
