package prove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/pgcluster"
)

// target is what a nemesis hurts: two of one target never act at once.
type target string

const (
	onProcess  target = "process"
	onDatabase target = "database"
	onEvents   target = "events"
	onNetwork  target = "network"
	onRelay    target = "relay"
	onClients  target = "clients"
)

var targets = []target{onProcess, onDatabase, onEvents, onNetwork, onRelay, onClients}

// nemesis is one way to break things.
type nemesis struct {
	name, what  string
	target      target
	least, most time.Duration // how long it lasts
	ownCluster  bool          // on PostgreSQL, it needs a cluster that nobody else uses
	// lacks tells what this machine, or these options, have not. Nil: nothing.
	lacks func(Options) error
	// run breaks it, and has mended it when it returns.
	run func(ctx context.Context, r *round, f fault, d *rand.Rand) error
}

// nemeses is the table.
var nemeses = []*nemesis{
	{name: "kill", target: onProcess, what: "kill -9 of the server at some moment", least: 300 * time.Millisecond, most: 2 * time.Second, lacks: lacksProcess, run: kill},
	{name: "kill-before-commit", target: onProcess, what: "kill -9 when projectors have run, before their effects commit", least: 500 * time.Millisecond, most: 3 * time.Second, lacks: lacksFailpoints, run: killAt("projected", 40)},
	{name: "kill-after-commit", target: onProcess, what: "kill -9 after the commit of effects, before the relay", least: 500 * time.Millisecond, most: 3 * time.Second, lacks: lacksFailpoints, run: killAt("committed", 40)},
	{name: "kill-after-relay", target: onProcess, what: "kill -9 when the hub was told and has not written", least: 500 * time.Millisecond, most: 3 * time.Second, lacks: lacksFailpoints, run: killAt("relayed", 40)},
	{name: "kill-mid-replay", target: onProcess, what: "kill -9 while returning clients replay", least: 500 * time.Millisecond, most: 3 * time.Second, lacks: lacksFailpoints, run: killMidReplay},
	{name: "pause", target: onProcess, what: "SIGSTOP: the server stands still, its sockets stay open", least: time.Second, most: 8 * time.Second, lacks: lacksProcess, run: pause},
	{name: "rolling", target: onProcess, what: "a deploy under load: a new node, then SIGTERM to the old one (SQLite, and several nodes: one after the other)", least: time.Second, most: 4 * time.Second, lacks: lacksProcess, run: rolling},
	{name: "flap", target: onProcess, what: "a node dies and comes back, again and again", least: 3 * time.Second, most: 12 * time.Second, lacks: lacksNodes, run: flap},
	{name: "blackout", target: onProcess, what: "kill -9 of all nodes at the same moment", least: 300 * time.Millisecond, most: 2 * time.Second, lacks: lacksNodes, run: blackout},

	{name: "db-crash", target: onDatabase, what: "pg_ctl stop -m immediate, and up again", least: 500 * time.Millisecond, most: 5 * time.Second, ownCluster: true, lacks: lacksCluster, run: crashDatabase},
	{name: "db-pause", target: onDatabase, what: "SIGSTOP to all of PostgreSQL", least: 2 * time.Second, most: 10 * time.Second, ownCluster: true, lacks: lacksCluster, run: pauseDatabase},
	{name: "db-connections", target: onDatabase, what: "somebody else takes every connection of the database", least: 2 * time.Second, most: 10 * time.Second, ownCluster: true, lacks: lacksCluster, run: takeConnections},
	{name: "db-failover", target: onDatabase, what: "the primary crashes and its synchronous replica is promoted, behind the same address", least: 500 * time.Millisecond, most: 4 * time.Second, ownCluster: true, lacks: lacksReplica, run: failOver},
	{name: "long-write", target: onDatabase, what: "a write transaction elsewhere stays open", least: 3 * time.Second, most: 60 * time.Second, run: longWrite},
	{name: "disk-full", target: onDatabase, what: "the SQLite file's disk is full", least: 2 * time.Second, most: 8 * time.Second, lacks: lacksTmpfs, run: fillDisk},

	{name: "projector-flake", target: onEvents, what: "every 3rd attempt to project fails, and a retry does it", least: 2 * time.Second, most: 6 * time.Second, lacks: lacksFailpoints, run: misproject("projector flake every=3")},
	{name: "projector-fail", target: onEvents, what: "one event in 4 fails for good, and is poisoned", least: 2 * time.Second, most: 6 * time.Second, lacks: lacksFailpoints, run: misproject("projector fail every=4")},
	{name: "projector-panic", target: onEvents, what: "projecting one event in 4 panics", least: 2 * time.Second, most: 6 * time.Second, lacks: lacksFailpoints, run: misproject("projector panic every=4")},
	{name: "projector-hang", target: onEvents, what: "projecting one event in 6 hangs until its time is over", least: 2 * time.Second, most: 6 * time.Second, lacks: lacksFailpoints, run: misproject("projector hang every=6")},
	{name: "poison-flood", target: onEvents, what: "every projection fails: the poison queue floods", least: 2 * time.Second, most: 5 * time.Second, lacks: lacksFailpoints, run: misproject("projector fail")},
	{name: "republish", target: onEvents, what: "events are published twice, late and in the wrong order", least: time.Second, most: 6 * time.Second, run: republish},

	{name: "cut", target: onNetwork, what: "connections break, a share at a time", least: time.Second, most: 5 * time.Second, run: cutLinks},
	{name: "delay", target: onNetwork, what: "every piece of data is late by up to 300 ms", least: 2 * time.Second, most: 8 * time.Second, run: disturb(network{delay: 300 * time.Millisecond})},
	{name: "hold", target: onNetwork, what: "a proxy buffers what the server sends: nobody reads", least: time.Second, most: 8 * time.Second, run: disturb(network{hold: true})},
	{name: "partition", target: onNetwork, what: "every connection breaks, and new ones too", least: time.Second, most: 8 * time.Second, run: partition},
	{name: "half-open", target: onNetwork, what: "packets vanish: half-open TCP, in a network namespace", least: 4 * time.Second, most: 10 * time.Second, lacks: lacksNamespace, run: dropPackets},

	{name: "relay-cut", target: onRelay, what: "hints between nodes are lost: the LISTEN connections are ended, again and again (NATS: some nodes' connections are refused)", least: time.Second, most: 10 * time.Second, lacks: lacksNodes, run: cutRelay},
	{name: "relay-late", target: onRelay, what: "each piece of what some nodes say to NATS and hear from it is late by up to 500 ms", least: 2 * time.Second, most: 8 * time.Second, lacks: lacksNATS, run: disturbRelay(network{delay: 500 * time.Millisecond})},
	{name: "relay-hold", target: onRelay, what: "what NATS says to some nodes is kept back, and comes later, all at once", least: 2 * time.Second, most: 10 * time.Second, lacks: lacksNATS, run: disturbRelay(network{hold: true})},

	{name: "trim", target: onClients, what: "retention passes clients that are away: they must be told", least: 2 * time.Second, most: 5 * time.Second, run: trim},
	{name: "herd", target: onClients, what: "thousands of clients reconnect at once", least: 4 * time.Second, most: 15 * time.Second, lacks: lacksProcess, run: stampede},
}

// Left out, with the reason: see docs/proof.md.
var leftOut = [][2]string{
	{"clock", "the wall clock is read where it decides (sign-in expiry, retention, dedupe window) and can't be moved from outside a Go process; those have tests with a clock of their own. Presence and timeouts run on the monotonic clock."},
}

var (
	errOnlySQLite   = errors.New("it is for SQLite")
	errOnlyPostgres = errors.New("it is for PostgreSQL")
)

func lacksProcess(o Options) error {
	if o.Server != nil {
		return errors.New("the server was started by somebody else")
	}
	return nil
}

func lacksNodes(o Options) error {
	switch {
	case o.Engine != store.Postgres:
		return errOnlyPostgres
	case o.Nodes < 2:
		return errors.New("it takes several nodes: --nodes 3")
	}
	return lacksProcess(o)
}

func lacksNATS(o Options) error {
	if err := lacksNodes(o); err != nil || o.Relay == RelayNATS {
		return err
	}
	return errors.New("it takes --relay nats")
}

func lacksFailpoints(o Options) error {
	if o.Server == nil && !o.Failpoints {
		return errors.New("this binary was built without failpoints: go build -tags failpoint ./app/orbit")
	}
	return lacksProcess(o)
}

func lacksCluster(o Options) error {
	if o.Engine != store.Postgres {
		return errOnlyPostgres
	}
	if o.Server != nil {
		return lacksProcess(o)
	}
	_, err := pgcluster.Tool("initdb")
	return err
}

func lacksReplica(o Options) error {
	if err := lacksNodes(o); err != nil { // one node has db-crash
		return err
	}
	if _, err := pgcluster.Tool("pg_basebackup"); err != nil {
		return err
	}
	return lacksCluster(o)
}

func lacksTmpfs(o Options) error {
	switch {
	case o.Engine != store.SQLite:
		return errOnlySQLite
	case runtime.GOOS != "linux":
		return errors.New("it is for Linux")
	case os.Geteuid() != 0:
		return errors.New("it takes root to mount a tmpfs")
	}
	return lacksProcess(o)
}

func lacksNamespace(o Options) error {
	switch {
	case runtime.GOOS != "linux":
		return errors.New("it is for Linux")
	case os.Geteuid() != 0:
		return errors.New("it takes root to make a network namespace")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("the tool ip (iproute2) is not installed")
	}
	return lacksProcess(o)
}

func (n *nemesis) missing(o Options) error {
	if n.lacks == nil {
		return nil
	}
	return n.lacks(o)
}

// choose finds the nemeses asked for, and notes those that can't be had. One
// that was asked for by name must be possible.
func (e *environment) choose() error {
	all := slices.Contains(e.opts.Nemeses, Mixed) || slices.Contains(e.opts.Nemeses, Each)
	for _, name := range e.opts.Nemeses {
		if name != Mixed && name != Each && !slices.ContainsFunc(nemeses, func(n *nemesis) bool { return n.name == name }) {
			return fmt.Errorf("there is no nemesis %q: --nemesis list shows all", name)
		}
	}
	for _, n := range nemeses {
		named := slices.Contains(e.opts.Nemeses, n.name)
		if !named && !all {
			continue
		}
		err := n.missing(e.opts)
		switch {
		case err == nil:
			e.possible = append(e.possible, n)
		case named:
			return fmt.Errorf("nemesis %s: %w", n.name, err)
		default:
			e.notes = append(e.notes, fmt.Sprintf("%s: %s", n.name, err))
		}
	}
	for _, l := range leftOut {
		e.notes = append(e.notes, l[0]+": "+l[1])
	}
	if e.uses("half-open") {
		far, err := newFarNetwork()
		if err != nil {
			e.possible = slices.DeleteFunc(e.possible, func(n *nemesis) bool { return n.name == "half-open" })
			e.notes = append(e.notes, "half-open: "+strings.TrimSpace(err.Error()))
			return nil
		}
		e.far = far
		e.later(far.remove)
	}
	return nil
}

// List prints the table, and what stands in the way of each here.
func List(w io.Writer, o Options) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "NEMESIS\tHURTS\tHERE\tWHAT IT DOES")
	var lacking []string
	for _, n := range nemeses {
		var on []string
		var why error
		for _, o.Engine = range []store.Dialect{store.SQLite, store.Postgres} {
			switch err := n.missing(o); {
			case errors.Is(err, errOnlySQLite), errors.Is(err, errOnlyPostgres):
			case err != nil:
				why = err
			default:
				on = append(on, string(o.Engine))
			}
		}
		switch len(on) {
		case 0:
			on = []string{"no"}
			lacking = append(lacking, fmt.Sprintf("%s: %s", n.name, why))
		case 2:
			on = []string{"yes"}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", n.name, n.target, on[0], n.what)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, l := range leftOut {
		lacking = append(lacking, fmt.Sprintf("%s (left out): %s", l[0], l[1]))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(lacking, "\n"))
	return err
}
