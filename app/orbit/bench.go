package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/orbit/realtime/app/bench"
	"github.com/orbit/realtime/store"
)

type benchCmd struct {
	Latency  benchLatencyCmd  `cmd:"" help:"Command → tab: how long until every open tab shows a change."`
	Fanout   benchFanoutCmd   `cmd:"" help:"CPU of the server per delivery, against the least that a broadcaster can do."`
	Pipeline benchPipelineCmd `cmd:"" help:"Events per second, projected and committed, from a backlog."`
	Idle     benchIdleCmd     `cmd:"" help:"Memory of the server per open, idle tab."`
	Resume   benchResumeCmd   `cmd:"" help:"Everybody comes back at once: how long until all are live again."`

	Yardstick benchYardstickCmd `cmd:"" hidden:"" help:"Serve the yardstick that fanout compares with."`
}

// scratch is the database of a benchmark: made for it, and dropped after.
type scratch struct {
	DatabaseURL string `env:"DATABASE_URL" default:"orbit.db" help:"Where to make a scratch database: the same server, or the same folder. The database named is not touched."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

// with runs fn on a scratch database.
func (s scratch) with(ctx context.Context, con console, fn func(dsn string) error) error {
	dsn, drop, err := store.Scratch(ctx, s.DatabaseURL)
	if err != nil {
		return err
	}
	fmt.Fprintf(con.err, "%s, %d CPUs, %s/%s, %s\n", store.DialectOf(dsn), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	ctx = context.WithoutCancel(ctx)
	return errors.Join(fn(dsn), drop(ctx))
}

func (s scratch) print(con console, result fmt.Stringer) error {
	if s.JSON {
		return json.NewEncoder(con.out).Encode(result)
	}
	_, err := fmt.Fprintln(con.out, result)
	return err
}

// atLeastOne refuses numbers of which nothing could be measured.
func atLeastOne(flags map[string]int) error {
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if flags[name] < 1 {
			return fmt.Errorf("--%s is at least 1", name)
		}
	}
	return nil
}

type benchLatencyCmd struct {
	scratch
	Rate      int           `default:"500" help:"Commands per second."`
	Duration  time.Duration `default:"10s" help:"How long."`
	Tabs      int           `default:"10" help:"Open tabs; each gets every event."`
	Transport string        `default:"ws" enum:"ws,sse" help:"ws or sse."`
}

func (c benchLatencyCmd) Validate() error {
	if c.Duration <= 0 {
		return errors.New("--duration is more than 0s")
	}
	return atLeastOne(map[string]int{"rate": c.Rate, "tabs": c.Tabs})
}

func (c benchLatencyCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, con, func(dsn string) error {
		s, err := startServer(ctx, con, dsn)
		if err != nil {
			return err
		}
		defer s.stop()
		target, room, err := s.target(ctx)
		if err != nil {
			return err
		}
		target.Transport = bench.Transport(c.Transport)
		result, err := bench.Latency(ctx, bench.LatencyOptions{
			Target: target, Rate: c.Rate, Duration: c.Duration, Tabs: c.Tabs, Progress: con.err,
			// The clock starts before the command is sent, so HTTP, the use case
			// and the transaction are part of what is measured.
			Commit: func(ctx context.Context, i int) (time.Time, string, error) {
				start := time.Now()
				id, err := s.post(ctx, target.Cookie, "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]string{"body": fmt.Sprint("message ", i)})
				return start, id, err
			},
		})
		if err != nil {
			return err
		}
		return c.print(con, result)
	})
}

type benchIdleCmd struct {
	scratch
	Tabs      int           `default:"1000" help:"Idle tabs to open."`
	Transport string        `default:"ws" enum:"ws,sse" help:"ws or sse."`
	Settle    time.Duration `default:"10s" help:"How long the server is left alone before its memory is read."`
}

func (c benchIdleCmd) Validate() error { return atLeastOne(map[string]int{"tabs": c.Tabs}) }

func (c benchIdleCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, con, func(dsn string) error {
		s, err := startServer(ctx, con, dsn)
		if err != nil {
			return err
		}
		defer s.stop()
		target, _, err := s.target(ctx)
		if err != nil {
			return err
		}
		target.Rooms, target.Transport = nil, bench.Transport(c.Transport)
		result, err := bench.Idle(ctx, bench.IdleOptions{
			Target: target, Tabs: c.Tabs, PID: s.cmd.Process.Pid, Progress: con.err,
			Quiesce: func(ctx context.Context) error {
				select {
				case <-time.After(c.Settle):
				case <-ctx.Done():
				}
				return ctx.Err()
			},
		})
		if err != nil {
			return err
		}
		return c.print(con, result)
	})
}
