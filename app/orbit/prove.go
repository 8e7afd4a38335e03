package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/orbit/realtime/app/prove"
	"github.com/orbit/realtime/store"
)

type proveCmd struct {
	Seed        uint64        `help:"Replays a run's decisions: faults, their times, commands, clients. Default: by chance, and printed."`
	Duration    time.Duration `default:"3m" help:"How long to break things, for each engine. Settling and checking come on top."`
	Engine      string        `default:"both" enum:"sqlite,postgres,both" help:"sqlite, postgres or both, one after the other."`
	Nodes       int           `default:"1" help:"Servers over the one database, behind one address. More than one: PostgreSQL alone."`
	Relay       string        `default:"postgres" enum:"postgres,nats" help:"What carries hints between nodes: postgres, or nats (from the nats-server that is installed)."`
	Nemesis     []string      `default:"mixed" help:"Names, separated by commas; mixed (all that can be had here, side by side); each (all, one after the other); list (show them)."`
	Workspaces  int           `default:"4" help:"Tenants."`
	Clients     int           `default:"8" help:"Members of each, with a tab or two."`
	Rate        int           `default:"40" help:"Commands a second, over all workspaces."`
	Herd        int           `default:"2000" help:"Clients of the nemesis herd."`
	DatabaseURL string        `env:"ORBIT_PROVE_DATABASE_URL" help:"A PostgreSQL server to make a scratch database on. Default: a throwaway cluster of its own, which some nemeses need anyway."`
	Report      string        `type:"path" help:"A folder for report.json and report.html."`
	JSON        bool          `name:"json" help:"Print JSON: a list with a report for each engine."`
}

func (c proveCmd) Run(ctx context.Context, con console) error {
	engines := []store.Dialect{store.SQLite, store.Postgres}
	if c.Engine != "both" {
		engines = []store.Dialect{store.Dialect(c.Engine)}
	}
	if c.Nodes > 1 && c.Engine == "both" {
		engines = engines[1:] // a SQLite file has one node
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	options := prove.Options{
		Binary: self, Failpoints: hasFailpoints, DatabaseURL: c.DatabaseURL, Seed: c.Seed, Duration: c.Duration, Nemeses: c.Nemesis,
		Workspaces: c.Workspaces, Clients: c.Clients, Rate: c.Rate, Herd: c.Herd, Nodes: c.Nodes, Relay: prove.Relay(c.Relay), Progress: con.err,
	}
	if slices.Contains(c.Nemesis, "list") {
		return prove.List(con.out, options)
	}
	if options.Seed == 0 {
		options.Seed = 1 + rand.Uint64N(1<<32)
	}
	var reports []*prove.Report
	for _, engine := range engines {
		options.Engine = engine
		report, err := prove.Run(ctx, options)
		if report != nil && len(report.Rounds) > 0 {
			reports = append(reports, report)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s, seed %d: %w", engine, options.Seed, err), c.publish(con, reports))
		}
	}
	if err := c.publish(con, reports); err != nil {
		return err
	}
	for _, r := range reports {
		if !r.Clean() {
			return fmt.Errorf("broken: %s (%s; run it again with --seed %d)", strings.Join(r.Broken(), ", "), r.Engine, r.Seed)
		}
	}
	return nil
}

// publish prints the reports, and writes them to the folder asked for.
func (c proveCmd) publish(con console, reports []*prove.Report) error {
	var errs []error
	if c.JSON {
		lines := json.NewEncoder(con.out)
		lines.SetIndent("", "  ")
		errs = append(errs, lines.Encode(reports))
	}
	for _, r := range reports {
		if !c.JSON {
			errs = append(errs, r.WriteText(con.out))
		}
		if c.Report == "" {
			continue
		}
		errs = append(errs, os.MkdirAll(c.Report, 0o755))
		for name, write := range map[string]func(*os.File) error{
			fmt.Sprintf("%s.json", r.Engine): func(f *os.File) error { return r.WriteJSON(f) },
			fmt.Sprintf("%s.html", r.Engine): func(f *os.File) error { return r.WriteHTML(f) },
		} {
			f, err := os.Create(filepath.Join(c.Report, name))
			if err == nil {
				err = errors.Join(write(f), f.Close())
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
