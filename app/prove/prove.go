// Package prove is the engine of `orbit prove`: it starts the real binary on a
// real database, has writers change things and clients watch, breaks the server,
// the database and the network in between, and then compares what every client
// received with what the database says was committed (package check).
//
// A run is cut into rounds. Each ends with everything healed, settled and
// checked, and its history is forgotten when it is clean: so a run of eight
// hours needs no more memory than one of ten minutes.
package prove

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/store"
)

// Options say what to run. Zero values mean the defaults.
type Options struct {
	Binary     string        // the orbit to start; required unless Server is given
	Failpoints bool          // that binary has failpoints
	Engine     store.Dialect // default SQLite
	// Nodes is how many servers run over the database, behind the one address
	// that clients know; more than one takes PostgreSQL. Default 1, at most 9.
	Nodes int
	// Relay is what carries hints between them: RelayPostgres (default) or
	// RelayNATS, from the nats-server that is installed.
	Relay Relay
	// DatabaseURL names the PostgreSQL server to make a scratch database on.
	// Nemeses that hurt a database get a cluster of their own instead, as does
	// an empty URL.
	DatabaseURL string
	Seed        uint64
	Duration    time.Duration // of all rounds, settling apart; default 3 m
	Nemeses     []string      // names, or Mixed, or Each; default Mixed
	Workspaces  int           // default 4
	Clients     int           // per workspace, default 6
	Rate        int           // commands a second, over all workspaces; default 40
	Herd        int           // clients of the herd, default 5000
	// Patience is how long clients may take, after the last fault, to have
	// everything. Default 90 s.
	Patience time.Duration
	Progress io.Writer // nil for none
	// Server is one that runs already, over DatabaseURL, in this process or
	// another: nothing can be done to it, but it can be watched.
	Server *Server
}

// Relay is what carries hints between nodes.
type Relay string

const (
	RelayPostgres Relay = "postgres"
	RelayNATS     Relay = "nats"
)

// Server is where a running server is found.
type Server struct {
	URL, AdminURL string
}

const (
	Mixed = "mixed" // all that are possible here, side by side
	Each  = "each"  // one round for each that is possible here
)

// roundLength is the longest that a history grows before it is checked.
const roundLength = 5 * time.Minute

func (o *Options) setDefaults() error {
	if o.Engine == "" {
		o.Engine = store.SQLite
	}
	if len(o.Nemeses) == 0 {
		o.Nemeses = []string{Mixed}
	}
	for _, d := range []struct {
		value    *int
		fallback int
	}{{&o.Workspaces, 4}, {&o.Clients, 6}, {&o.Rate, 40}, {&o.Herd, 5000}, {&o.Nodes, 1}} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if o.Duration == 0 {
		o.Duration = 3 * time.Minute
	}
	o.Patience = cmp.Or(o.Patience, 90*time.Second)
	o.Relay = cmp.Or(o.Relay, RelayPostgres)
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	switch {
	case o.Duration < 5*time.Second:
		return errors.New("a run takes 5 s at least")
	case o.Workspaces < 1 || o.Workspaces > 200, o.Clients < 3 || o.Clients > 1000:
		return errors.New("a run takes 1 to 200 workspaces, with 3 to 1000 clients each")
	case o.Rate < o.Workspaces || o.Rate > 5000:
		return errors.New("the rate is 1 command a second per workspace at least, 5000 in all at most")
	case o.Nodes < 1 || o.Nodes > 9:
		return errors.New("a run takes 1 to 9 nodes")
	case o.Nodes > 1 && o.Engine != store.Postgres:
		return errors.New("several nodes take PostgreSQL: a SQLite file has one")
	case o.Nodes > 1 && o.Server != nil:
		return errors.New("nodes are started by the run, or are somebody else's")
	case o.Relay != RelayPostgres && o.Relay != RelayNATS:
		return fmt.Errorf("there is no relay %q: postgres or nats", o.Relay)
	case o.Herd < 1 || o.Herd > 9000:
		return errors.New("a herd is 1 to 9000 clients: this process may open 20,000 files")
	}
	return nil
}

// Run does all rounds, until one is not clean. The error is of what kept it
// from proving anything; broken promises are in the report.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	env, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, env.close()) }()
	report = newReport(o, env)
	rounds := plan(o, env.possible)
	say := func(format string, args ...any) { fmt.Fprintf(o.Progress, format+"\n", args...) }
	if o.Nodes > 1 {
		say("%d nodes, hints by %s", o.Nodes, o.Relay)
	}
	say("%s, seed %d: %d workspaces, %d clients, %d commands/s, %d round(s)", o.Engine, o.Seed, o.Workspaces, o.Workspaces*o.Clients, o.Rate, len(rounds))
	for i, r := range rounds {
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		say("round %d of %d: %s", i+1, len(rounds), r)
		round, err := env.round(ctx, i, r)
		if round != nil {
			report.add(round)
		}
		if err != nil {
			return report, fmt.Errorf("round %d: %w", i+1, err)
		}
		for _, v := range round.Violations {
			say("  VIOLATION %s", v)
		}
		if len(round.Violations) > 0 {
			break // what follows would only bury it
		}
	}
	report.Ended = time.Now()
	return report, nil
}

// dice returns a source of decisions of its own for one part of a run: the same
// seed and name decide the same, whatever the other parts do.
func dice(seed uint64, name string, n int) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a, 64 bits
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, h+uint64(n)*0x9e3779b97f4a7c15))
}

// Clean reports whether every promise was kept.
func (r *Report) Clean() bool {
	for _, round := range r.Rounds {
		if len(round.Violations) > 0 {
			return false
		}
	}
	return len(r.Rounds) > 0
}

// Broken lists the invariants that were violated.
func (r *Report) Broken() []string {
	var broken []string
	for _, name := range check.Invariants {
		for _, round := range r.Rounds {
			if round.Counts[name] > 0 {
				broken = append(broken, name)
				break
			}
		}
	}
	return broken
}
