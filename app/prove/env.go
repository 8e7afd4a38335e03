package prove

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/orbit/realtime/config"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/pgcluster"
)

// environment is what a run has: a database, a server, and the people.
type environment struct {
	opts     Options
	possible []*nemesis // those asked for that can be done here
	dir      string     // of this run, removed at the end
	log      *tail      // what the servers said last
	dsn      string
	cluster  *pgcluster.Cluster // nil: none of our own
	standby  *pgcluster.Cluster // its replica; nil: none
	database *front             // the way to whichever is primary; nil without a replica
	tmpfs    string             // where the database's small file system is mounted; "" for none
	ordering sync.Mutex         // held to write failpoints' orders
	far      *farNetwork        // nil: none
	store    *store.Store       // our own look into the database
	tenants  []*tenant
	swapping sync.Mutex // held to change which of them is server, and by those who don't change it
	server   *process
	others   []*process // the nodes beside server
	spare    *process   // takes turns with server in a rolling restart of one node
	relays   []*front   // of each node's way to NATS; none without it
	made     int        // processes made
	front    *front
	calls    *caller
	cleanup  []func() error

	notes []string // what the machine can't do
}

// prepare makes all that a run needs, and starts the server.
func prepare(ctx context.Context, o Options) (env *environment, err error) {
	env = &environment{opts: o, log: &tail{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, env.close())
			env = nil
		}
	}()
	if env.dir, err = os.MkdirTemp("", "orbit-prove-"); err != nil {
		return env, err
	}
	env.later(func() error { return os.RemoveAll(env.dir) })
	if err = env.choose(); err != nil {
		return env, err
	}
	if err = env.makeDatabase(ctx); err != nil {
		return env, fmt.Errorf("make a database: %w", err)
	}
	if env.store, err = store.Open(ctx, store.Config{DSN: env.dsn, MaxConns: 6}); err != nil {
		return env, err
	}
	env.later(env.store.Close)
	if _, err = env.store.Migrate(ctx); err != nil {
		return env, err
	}
	if env.tenants, err = populate(ctx, env.store, o.Workspaces, o.Clients); err != nil {
		return env, fmt.Errorf("populate the database: %w", err)
	}
	if env.uses("herd") {
		herd, err := newTenant(ctx, env.store, domain.Commands{UoW: env.store}, "prove-herd", 1)
		if err != nil {
			return env, fmt.Errorf("populate the database: %w", err)
		}
		herd.quiet = true
		env.tenants = append(env.tenants, herd)
	}
	return env, env.serve(ctx)
}

// later does something when the run is over, the newest first.
func (e *environment) later(f func() error) { e.cleanup = append(e.cleanup, f) }

func (e *environment) close() error {
	var errs []error
	for i := len(e.cleanup) - 1; i >= 0; i-- {
		errs = append(errs, e.cleanup[i]())
	}
	e.cleanup = nil
	return errors.Join(errs...)
}

func (e *environment) uses(name string) bool {
	for _, n := range e.possible {
		if n.name == name {
			return true
		}
	}
	return false
}

// makeDatabase picks the place: a file, a file on a small file system, a scratch
// database, or a cluster of our own.
func (e *environment) makeDatabase(ctx context.Context) error {
	if e.opts.Server != nil {
		e.dsn = e.opts.DatabaseURL
		return nil
	}
	if e.opts.Engine == store.SQLite {
		folder := e.dir
		if e.uses("disk-full") {
			var err error
			if folder, err = e.mountTmpfs(); err != nil {
				return err
			}
		}
		e.dsn = filepath.Join(folder, "prove.db")
		return nil
	}
	own := e.opts.DatabaseURL == ""
	for _, n := range e.possible {
		own = own || n.target == onDatabase && n.ownCluster
	}
	if own {
		c, err := pgcluster.Start(pgcluster.Config{MaxConnections: clusterConnections * e.opts.Nodes})
		if err != nil {
			return err
		}
		e.later(func() error { return e.cluster.Remove() })
		e.cluster, e.dsn = c, c.URL().String()
		if e.uses("db-failover") {
			return e.makeStandby(ctx)
		}
		return nil
	}
	dsn, drop, err := store.Scratch(ctx, e.opts.DatabaseURL)
	if err != nil {
		return err
	}
	e.later(func() error { return drop(context.WithoutCancel(ctx)) })
	e.dsn = dsn
	return nil
}

// clusterConnections, for each node, is small, so that they can be used up.
const clusterConnections = 40

// serve starts the server and the front before it.
func (e *environment) serve(ctx context.Context) (err error) {
	var backends []string
	if s := e.opts.Server; s != nil {
		backends = []string{strings.TrimPrefix(s.URL, "http://")}
	} else {
		if e.opts.Nodes > 1 && e.opts.Relay == RelayNATS {
			if err = e.makeRelay(ctx); err != nil {
				return err
			}
		}
		if e.server, err = e.newServer(); err != nil {
			return err
		}
		for range e.opts.Nodes - 1 {
			node, err := e.newServer()
			if err != nil {
				return err
			}
			e.others = append(e.others, node)
		}
		for _, node := range e.nodes() {
			e.later(node.kill)
			if err = node.start(); err != nil {
				return err
			}
			if err = node.waitReady(ctx, 60*time.Second); err != nil {
				return fmt.Errorf("%w; it said:\n%s", err, e.log)
			}
			backends = append(backends, node.local())
		}
	}
	if e.front, err = newFront(ctx, backends...); err != nil {
		return err
	}
	e.later(func() error { e.front.close(); return nil })
	e.calls = newCaller(e.front.url())
	return nil
}

func (e *environment) newServer() (*process, error) {
	host := "127.0.0.1"
	if e.far != nil {
		host = "0.0.0.0"
	}
	orders := filepath.Join(e.dir, fmt.Sprintf("failpoints-%d", e.made))
	env := []string{
		"DATABASE_URL=" + e.dsn,
		"FAILPOINT_ORDERS=" + orders,
		fmt.Sprintf("ORBIT_NODE=node-%d", e.made),
		"ORBIT_NODE_LEASE=" + nodeLease.String(),
		"ORBIT_HEARTBEAT=" + heartbeat.String(),
		"ORBIT_PONG_WAIT=" + pongWait.String(),
		"ORBIT_WRITE_WAIT=2s",
		"ORBIT_PRESENCE_GRACE=" + grace.String(),
		"ORBIT_POLL_LEASE=" + pollLease.String(),
		"ORBIT_RETRY_BUDGET=200ms",
		"ORBIT_HANDLER_TIMEOUT=500ms",
		"ORBIT_DEDUPE_WINDOW=1h", // a round's events are all remembered
		"ORBIT_LOG_MAX_ENTRIES=1000000",
		"ORBIT_DRAIN=500ms",
		"ORBIT_LOG_LEVEL=warn",
		"ORBIT_MAX_USER_SESSIONS=100000",
		"ORBIT_COMMANDS_PER_SECOND=100000",
	}
	if len(e.relays) > 0 {
		env = append(env, "NATS_URL="+strings.Replace(e.relays[e.made%len(e.relays)].url(), "http", "nats", 1))
	}
	p, err := newProcess(e.opts.Binary, host, env, e.log)
	if err != nil {
		return nil, err
	}
	p.orders, p.ordered = orders, map[target]string{}
	e.made++
	return p, nil
}

// Settings returns what a server that is not started by a run should be
// configured with, so that the run's clocks fit.
func Settings(c config.Config) config.Config {
	c.Heartbeat, c.PongWait, c.WriteWait = heartbeat, pongWait, 2*time.Second
	c.PresenceGrace, c.PollLease = grace, pollLease
	c.RetryBudget, c.HandlerTimeout = 200*time.Millisecond, 500*time.Millisecond
	c.DedupeWindow, c.LogMaxEntries = time.Hour, 1_000_000
	c.MaxUserSessions, c.CommandsPerSecond = 100_000, 100_000
	return c
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	end []byte
}

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, p...)
	if over := len(t.end) - tailBytes; over > 0 {
		t.end = bytes.Clone(t.end[over:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.end)
}
