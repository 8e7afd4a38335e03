package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/orbit/realtime/app/bench"
	"github.com/orbit/realtime/store"
)

// nodesRun is one cluster under the load of fanout.
type nodesRun struct {
	Nodes int    `json:"nodes"`
	Relay string `json:"relay"`
	bench.FanoutResult
	// RelayAddedMs is how much later, in the median, tabs of the node that
	// hears last get an event than those of the node that projects it.
	RelayAddedMs float64 `json:"relayAddedMs"`
}

type nodesReport []nodesRun

func (r nodesReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-6s %-9s %-11s %-7s %11s %14s %10s %10s %14s %12s\n", "nodes", "relay", "subscribers", "writers", "deliver/s", "CPU s/M", "p50 ms", "p99 ms", "relay adds ms", "lost, wrong")
	for _, run := range r {
		fmt.Fprintf(&b, "%-6d %-9s %-11d %-7d %11.0f %14.2f %10.2f %10.2f %14.2f %6d, %d\n",
			run.Nodes, run.Relay, run.Subscribers, run.Writers, run.PerSecond, run.CPUPerMillion, run.P50, run.P99, run.RelayAddedMs, run.Lost, run.Disordered)
	}
	b.WriteString("CPU s/M: seconds of all nodes' processes, without the database's, per million deliveries.\n")
	b.WriteString("relay adds: the median of the node that hears last, less that of the first. All nodes share this machine, and the load with them.")
	return b.String()
}

func (c benchFanoutCmd) runNodes(ctx context.Context, con console) error {
	if store.DialectOf(c.DatabaseURL) != store.Postgres {
		return errors.New("several nodes take PostgreSQL: --database-url postgres://…")
	}
	var report nodesReport
	for _, subscribers := range c.Subscribers {
		for _, nodes := range c.Nodes {
			for _, writers := range []int{1, c.Burst} {
				run, err := c.measureNodes(ctx, con, nodes, subscribers, writers)
				if err != nil {
					return err
				}
				fmt.Fprintf(con.err, "%d nodes   %s\n", nodes, run.FanoutResult)
				report = append(report, run)
			}
		}
	}
	return c.print(con, report)
}

// measureNodes opens the subscribers on all nodes in turn, and publishes by the
// first one.
func (c benchFanoutCmd) measureNodes(ctx context.Context, con console, nodes, subscribers, writers int) (run nodesRun, err error) {
	run.Nodes, run.Relay = nodes, "postgres"
	var relay []string
	if c.NatsURL != "" {
		run.Relay, relay = "nats", []string{"--nats-url", c.NatsURL, "--nats-prefix", "orbit-bench"}
	}
	err = c.with(ctx, con, func(dsn string) error {
		o := bench.FanoutOptions{
			Subscribers: subscribers, Events: max(writers, c.Deliveries/subscribers), Writers: writers, Progress: con.err,
		}
		var servers []*benchServer
		for range nodes {
			s, err := startServer(ctx, con, dsn, relay...)
			if err != nil {
				return err
			}
			defer s.stop()
			servers = append(servers, s)
			o.PIDs = append(o.PIDs, s.cmd.Process.Pid)
		}
		first := servers[0]
		target, room, err := first.target(ctx)
		if err != nil {
			return err
		}
		target.Plain = writers == 1
		for _, s := range servers {
			target.Nodes = append(target.Nodes, s.base)
		}
		o.Target = target
		o.Publish = func(ctx context.Context, body string) error {
			_, err := first.post(ctx, target.Cookie, "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]string{"body": body})
			return err
		}
		run.FanoutResult, err = bench.Fanout(ctx, o)
		if err == nil {
			run.RelayAddedMs = slices.Max(run.NodeP50) - slices.Min(run.NodeP50)
		}
		return err
	})
	return run, err
}
