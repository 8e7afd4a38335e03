package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/orbit/realtime/app/bench"
)

type benchFanoutCmd struct {
	scratch
	Subscribers []int  `default:"1000" help:"Open WebSocket tabs on one channel; several numbers, one run each."`
	Deliveries  int    `default:"500000" help:"About how many in each run: more subscribers get fewer events."`
	Burst       int    `default:"32" help:"Writers side by side in the second half, whose events come in bursts."`
	Nodes       []int  `default:"1" help:"Servers over one PostgreSQL database, tabs in turn; several numbers, one run each, without the yardstick."`
	NatsURL     string `env:"NATS_URL" help:"A NATS server that carries hints between the nodes, instead of PostgreSQL."`
	SVG         string `name:"svg" placeholder:"FILE" help:"Write a plot of the cost over the number of tabs."`
}

func (c benchFanoutCmd) Validate() error {
	flags := map[string]int{"deliveries": c.Deliveries, "burst": c.Burst, "subscribers": slices.Min(c.Subscribers), "nodes": slices.Min(c.Nodes)}
	return atLeastOne(flags)
}

// fanoutRun is Orbit and the yardstick under the same load.
type fanoutRun struct {
	Orbit     bench.FanoutResult `json:"orbit"`
	Yardstick bench.FanoutResult `json:"yardstick"`
	Ratio     float64            `json:"ratio"` // of the CPU per delivery
}

type fanoutReport []fanoutRun

func (r fanoutReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-11s %-8s %14s %14s %7s %11s %10s %10s %12s\n", "subscribers", "load", "orbit CPU s/M", "yardstick", "ratio", "deliver/s", "p50 ms", "p99 ms", "lost, wrong")
	for _, run := range r {
		o := run.Orbit
		load := "single"
		if o.Batches {
			load = "bursts"
		}
		fmt.Fprintf(&b, "%-11d %-8s %14.2f %14.2f %6.2fx %11.0f %10.2f %10.2f %6d, %d\n",
			o.Subscribers, load, o.CPUPerMillion, run.Yardstick.CPUPerMillion, run.Ratio, o.PerSecond, o.P50, o.P99, o.Lost, o.Disordered)
	}
	b.WriteString("CPU s/M: seconds of the server's processes per million deliveries, commits included.\n")
	b.WriteString("single: one event a message, the next published when the last is acknowledged. bursts: tabs take batches.")
	return b.String()
}

func (c benchFanoutCmd) Run(ctx context.Context, con console) error {
	if slices.Max(c.Nodes) > 1 {
		return c.runNodes(ctx, con)
	}
	var report fanoutReport
	for _, n := range c.Subscribers {
		for _, writers := range []int{1, c.Burst} {
			run, err := c.measure(ctx, con, n, writers)
			if err != nil {
				return err
			}
			fmt.Fprintf(con.err, "orbit      %s\nyardstick  %s\n", run.Orbit, run.Yardstick)
			report = append(report, run)
		}
	}
	if c.SVG != "" {
		if err := os.WriteFile(c.SVG, report.plot(), 0o644); err != nil {
			return err
		}
	}
	return c.print(con, report)
}

// plot draws the CPU per delivery over the number of subscribers.
func (r fanoutReport) plot() []byte {
	lines := []bench.Line{{Name: "orbit, single"}, {Name: "yardstick, single"}, {Name: "orbit, bursts"}}
	for _, run := range r {
		x := float64(run.Orbit.Subscribers)
		if run.Orbit.Batches {
			lines[2].Add(x, run.Orbit.CPUPerMillion)
			continue
		}
		lines[0].Add(x, run.Orbit.CPUPerMillion)
		lines[1].Add(x, run.Yardstick.CPUPerMillion)
	}
	return bench.Plot("CPU per delivery", "subscribers", "µs", lines)
}

// measure runs both, each on a server of its own; the yardstick's events are as
// large as Orbit's were.
func (c benchFanoutCmd) measure(ctx context.Context, con console, subscribers, writers int) (run fanoutRun, err error) {
	options := bench.FanoutOptions{
		Subscribers: subscribers, Events: max(writers, c.Deliveries/subscribers), Writers: writers, Progress: con.err,
	}
	err = c.with(ctx, con, func(dsn string) error {
		s, err := startServer(ctx, con, dsn)
		if err != nil {
			return err
		}
		defer s.stop()
		target, room, err := s.target(ctx)
		if err != nil {
			return err
		}
		target.Plain = writers == 1
		o := options
		o.Target, o.PIDs = target, []int{s.cmd.Process.Pid}
		o.Publish = func(ctx context.Context, body string) error {
			_, err := s.post(ctx, target.Cookie, "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]string{"body": body})
			return err
		}
		run.Orbit, err = bench.Fanout(ctx, o)
		return err
	})
	if err != nil {
		return run, err
	}
	y, err := startYardstick(ctx, con, run.Orbit.Bytes)
	if err != nil {
		return run, err
	}
	defer y.stop()
	o := options
	o.Target, o.PIDs = bench.Target{BaseURL: y.base, Plain: true}, []int{y.cmd.Process.Pid}
	o.Publish = func(ctx context.Context, body string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, y.base+"/publish", strings.NewReader(body))
		if err != nil {
			return err
		}
		resp, err := y.http.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	run.Yardstick, err = bench.Fanout(ctx, o)
	run.Ratio = run.Orbit.CPUPerMillion / run.Yardstick.CPUPerMillion
	return run, err
}

type benchYardstickCmd struct {
	Addr       string `required:"" help:"Where to listen, host:port."`
	EventBytes int    `default:"256" help:"Size of an event."`
}

func (c benchYardstickCmd) Run(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: &bench.Yardstick{EventBytes: c.EventBytes}, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
