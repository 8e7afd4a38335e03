// Package e2e drives the whole server from outside, as clients that know
// nothing but the protocol.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/config"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// testConfig is the default configuration on free ports, with the demo's
// seeded workspaces.
func testConfig(dsn string) config.Config {
	c := config.Default()
	c.DatabaseURL = dsn
	c.Addr, c.AdminAddr = "127.0.0.1:0", "127.0.0.1:0"
	c.Demo = true
	c.LogLevel = "warn"
	c.Drain = 100 * time.Millisecond
	c.PresenceGrace = time.Second
	return c
}

// start runs the server in this process until the test ends.
func start(t *testing.T, cfg config.Config, options ...app.Option) *app.App {
	t.Helper()
	a, err := app.New(cfg, append([]app.Option{app.LogTo(t.Output())}, options...)...)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	select {
	case <-a.Ready():
	case err := <-done:
		t.Fatalf("the server ended at once: %v", err)
	}
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	settle(t, cfg.DatabaseURL)
	return a
}

// settle waits until what the demo was seeded with has been projected, so that
// a snapshot's position lies behind it.
func settle(t *testing.T, dsn string) {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{DSN: dsn})
	require.NoError(t, err)
	defer s.Close()
	require.Eventually(t, func() bool {
		lanes, err := s.OutboxStats(context.Background())
		waiting := int64(0)
		for _, lane := range lanes {
			waiting += lane.Pending
		}
		return err == nil && waiting == 0
	}, 30*time.Second, 10*time.Millisecond)
}

// each runs fn on both engines.
func each(t *testing.T, fn func(t *testing.T, dsn string)) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) { fn(t, storetest.DSN(t, engine)) })
	}
}

// process is the real binary, so that it can be killed for real.
type process struct {
	t           *testing.T
	addr, admin string
	env         []string
	cmd         *exec.Cmd
	log         *bytes.Buffer
}

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "orbit-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "orbit")
	out, err := exec.Command("go", "build", "-o", path, "github.com/orbit/realtime/app/orbit").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// newProcess prepares a server that keeps its address and database over restarts.
func newProcess(t *testing.T, dsn string) *process {
	addr, admin := freeAddr(t), freeAddr(t)
	p := &process{t: t, addr: addr, admin: admin, env: append(os.Environ(),
		"ORBIT_ADDR="+addr, "ORBIT_ADMIN_ADDR="+admin, "DATABASE_URL="+dsn,
		"ORBIT_DEMO=true", "ORBIT_LOG_LEVEL=warn", "ORBIT_DRAIN=200ms", "ORBIT_MAX_USER_SESSIONS=1000")}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("server log:\n%s", p.log)
		}
	})
	return p
}

func (p *process) base() string { return "http://" + p.addr }

func (p *process) start() {
	p.t.Helper()
	path, err := binary()
	require.NoError(p.t, err)
	if p.log == nil {
		p.log = &bytes.Buffer{}
	}
	p.cmd = exec.Command(path, "serve")
	p.cmd.Env = p.env
	p.cmd.Stderr = p.log
	require.NoError(p.t, p.cmd.Start())
}

// kill is kill -9: nothing is flushed, nobody is told.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// terminate is what a deploy does; it must end by itself.
func (p *process) terminate() {
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(p.t, p.cmd.Wait(), "SIGTERM ends the server without an error")
	p.cmd = nil
}

// committedLog reads the workspace's log from the database: the truth that
// tabs are compared with.
func committedLog(t *testing.T, dsn, slug string, channels ...domain.Channel) (entries []domain.Entry, epoch string) {
	t.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{DSN: dsn})
	require.NoError(t, err)
	defer s.Close()
	w, err := s.Reader().WorkspaceBySlug(ctx, slug)
	require.NoError(t, err)
	for after := int64(0); ; {
		page, state, err := s.LogAfter(ctx, w.ID, after, 1<<62, channels, 500)
		require.NoError(t, err)
		epoch = state.Epoch
		entries = append(entries, page...)
		if len(page) < 500 {
			return entries, epoch
		}
		after = page[len(page)-1].Offset
	}
}
