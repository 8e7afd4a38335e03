package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

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
	Lanes      int `default:"4" help:"Lanes, 1 to 64."`
	Traces     int `default:"1000000" help:"As ORBIT_TRACES: 0 to measure without."`
}

func (c benchPipelineCmd) Validate() error {
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
	// Each event leads to one entry, told of after its commit. Asking the
	// database how much is left would cost more than the work itself. What the
	// seed has published is of other types, and doesn't count.
	var projected atomic.Int64
	count := func(appended []domain.Appended) {
		for _, a := range appended {
			for _, entry := range a.Entries {
				if entry.Type == domain.ServerMemberUpdated {
					projected.Add(1)
				}
			}
		}
	}
	// Made once the backlog is there, so that nothing consumes it before.
	var p *pipeline.Pipeline
	stop := func() error {
		if p == nil {
			return nil
		}
		return p.Stop(context.WithoutCancel(ctx))
	}
	result, err := bench.Pipeline(ctx, bench.PipelineOptions{
		Backlog: c.Backlog, Progress: con.err,
		Fill: func(ctx context.Context, n int) error { return fill(ctx, s, members, n) },
		Start: func(ctx context.Context) (err error) {
			if p, err = pipeline.New(s, handlers.Table(), pipeline.Config{
				OnAppended: count, Retention: pipeline.RetentionConfig{Traces: c.Traces},
			}); err != nil {
				return err
			}
			return p.Start(ctx)
		},
		Drained: func(context.Context) (int, error) { return int(projected.Load()), nil },
	})
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	return c.print(con, result)
}

// seed makes the workspaces; events will be about their owners.
func (c benchPipelineCmd) seed(ctx context.Context, s *store.Store) ([]domain.Member, error) {
	commands := domain.Commands{UoW: s}
	members := make([]domain.Member, c.Workspaces)
	for i := range members {
		var err error
		_, members[i], err = commands.CreateWorkspace(ctx, domain.NewWorkspace{
			Slug: fmt.Sprintf("bench-%d", i), Name: "Bench", Plan: "bench", Seats: 10,
			OwnerEmail: "bench@example.test", OwnerName: "Bench",
		})
		if err != nil {
			return nil, err
		}
	}
	return members, nil
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
