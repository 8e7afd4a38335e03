package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/orbit/realtime/app/bench"
	"github.com/orbit/realtime/domain"
)

// benchServer is this binary, serving in a process of its own, so that the load's
// memory and garbage are not the server's.
type benchServer struct {
	cmd  *exec.Cmd
	args []string
	base string
	http *http.Client
}

// startServer serves the demo on the database, for as many sessions as it can.
func startServer(ctx context.Context, con console, dsn string, args ...string) (*benchServer, error) {
	admin, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	return spawn(ctx, con, func(s *benchServer) error { _, _, err := s.target(ctx); return err },
		append([]string{"serve", "--demo", "--admin-addr", admin, "--database-url", dsn, "--log-level", "warn", "--drain", "0s",
			"--max-user-sessions", "100000", "--max-sessions", "100000", "--max-workspace-sessions", "100000", "--commands-per-second", "100000"}, args...)...)
}

// startYardstick serves what fanout compares with.
func startYardstick(ctx context.Context, con console, eventBytes int) (*benchServer, error) {
	return spawn(ctx, con, func(s *benchServer) error {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.base, "http://"), time.Second) //nolint:noctx // a second at most
		if err != nil {
			return err
		}
		return conn.Close()
	}, "bench", "yardstick", "--event-bytes", strconv.Itoa(eventBytes))
}

// spawn runs this binary with a free --addr, and returns when it is ready.
func spawn(ctx context.Context, con console, ready func(*benchServer) error, args ...string) (*benchServer, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	s := &benchServer{
		base: "http://" + addr, args: append(args, "--addr", addr),
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	return s, s.start(ctx, con, func() error { return ready(s) })
}

// start runs the process, and returns when it is ready.
func (s *benchServer) start(ctx context.Context, con console, ready func() error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Not bound to ctx: an interrupted benchmark still shuts its server down in order.
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), self, s.args...)
	s.cmd.Stderr = con.err
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for ready() != nil {
		select {
		case <-ctx.Done():
			s.stop()
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if s.cmd.Process.Signal(syscall.Signal(0)) != nil {
			return errors.New("the server ended at once")
		}
	}
	return nil
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
