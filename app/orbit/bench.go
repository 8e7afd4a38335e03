package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/orbit/realtime/app/bench"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/store"
)

type benchCmd struct {
	Latency  benchLatencyCmd  `cmd:"" help:"Command → tab: how long until every open tab shows a change."`
	Pipeline benchPipelineCmd `cmd:"" help:"Events per second, projected and committed, from a backlog."`
	Idle     benchIdleCmd     `cmd:"" help:"Memory of the server per open, idle tab."`
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
	Tabs   int           `default:"1000" help:"Idle WebSocket tabs to open."`
	Settle time.Duration `default:"10s" help:"How long the server is left alone before its memory is read."`
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
		target.Rooms = nil
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

type benchPipelineCmd struct {
	scratch
	Backlog    int `default:"50000" help:"Events waiting when the clock starts."`
	Workspaces int `default:"64" help:"Workspaces they are spread over."`
	Lanes      int `default:"4" help:"Lanes, 1 to 64."`
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
			if p, err = pipeline.New(s, handlers.Table(), pipeline.Config{OnAppended: count}); err != nil {
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

// benchServer is this binary, serving in a process of its own, so that the load's
// memory and garbage are not the server's.
type benchServer struct {
	cmd  *exec.Cmd
	base string
	http *http.Client
}

func startServer(ctx context.Context, con console, dsn string) (*benchServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	s := &benchServer{base: "http://" + addr, http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	// Not bound to ctx: an interrupted benchmark still shuts its server down in order.
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), self, "serve", "--demo", "--addr", addr, "--admin-addr", admin, "--database-url", dsn,
		"--log-level", "warn", "--drain", "0s", "--max-user-sessions", "100000", "--max-sessions", "100000", "--max-workspace-sessions", "100000")
	s.cmd.Stderr = con.err
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for {
		if _, _, err := s.target(ctx); err == nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			s.stop()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if s.cmd.Process.Signal(syscall.Signal(0)) != nil {
			return nil, errors.New("the server ended at once")
		}
	}
}

func (s *benchServer) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// target signs in as the demo's owner, in the room "general".
func (s *benchServer) target(ctx context.Context) (target bench.Target, room string, err error) {
	resp, err := s.do(ctx, http.MethodPost, "/v1/demo/login", "", map[string]string{"user": "owner"})
	if err != nil {
		return target, "", err
	}
	resp.Body.Close()
	var cookies []string
	for _, c := range resp.Cookies() {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	cookie := strings.Join(cookies, "; ")
	resp, err = s.do(ctx, http.MethodGet, "/v1/workspaces/acme/snapshot", cookie, nil)
	if err != nil {
		return target, "", err
	}
	defer resp.Body.Close()
	var snapshot struct{ Rooms []domain.Room }
	if err := json.NewDecoder(resp.Body).Decode(&snapshot); err != nil {
		return target, "", err
	}
	for _, r := range snapshot.Rooms {
		if r.Name == "general" {
			return bench.Target{BaseURL: s.base, Cookie: cookie, Workspace: "acme", Rooms: []string{r.ID}}, r.ID, nil
		}
	}
	return target, "", errors.New("the demo has no room general")
}

func (s *benchServer) post(ctx context.Context, cookie, path string, body any) (eventID string, err error) {
	resp, err := s.do(ctx, http.MethodPost, path, cookie, body)
	if err != nil {
		return "", err
	}
	return resp.Header.Get("Orbit-Event-Id"), resp.Body.Close()
}

// do makes a call whose answer must be a success.
func (s *benchServer) do(ctx context.Context, method, path, cookie string, body any) (*http.Response, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		resp.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return resp, nil
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
