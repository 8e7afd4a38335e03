// Package hardening sends a running server what nobody should send it, and sees
// to three things: each bad input gets its exact answer, tabs of others notice
// nothing, and whatever was taken for it is given back.
package hardening

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/config"
)

// patience bounds every wait for something that must come.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		http.DefaultClient.CloseIdleConnections()
		os.Exit(code)
	}))
}

// logs collects what the server writes, from any goroutine.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is a running server with the demo's seeded workspaces.
type world struct {
	*app.App
	log  *logs
	stop func()
}

const (
	operatorToken = "token-of-an-operator"
	viewerToken   = "token-of-a-viewer"
)

// start runs a server until the test ends.
func start(t *testing.T, adjust func(*config.Config), options ...app.Option) *world {
	t.Helper()
	c := config.Default()
	c.DatabaseURL = filepath.Join(t.TempDir(), "orbit.db")
	c.Addr, c.AdminAddr = "127.0.0.1:0", "127.0.0.1:0"
	c.AdminTokens = []string{"olga:operator:" + operatorToken, "vera:viewer:" + viewerToken}
	c.Demo, c.LogLevel, c.LogFormat, c.Drain = true, "debug", "json", 0
	c.CommandsPerSecond = 10_000
	if adjust != nil {
		adjust(&c)
	}
	w := &world{log: &logs{}}
	a, err := app.New(c, append([]app.Option{app.LogTo(w.log)}, options...)...)
	require.NoError(t, err)
	w.App = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(w.stop)
	select {
	case <-a.Ready():
	case err := <-done:
		done <- err
		t.Fatalf("the server ended at once: %v", err)
	}
	return w
}

func (w *world) addr() string { return strings.TrimPrefix(w.BaseURL(), "http://") }

// signIn returns a cookie of a demo user.
func (w *world) signIn(t *testing.T, user string) *http.Cookie {
	t.Helper()
	resp, err := http.Post(w.BaseURL()+"/v1/demo/login", "application/json", strings.NewReader(`{"user":"`+user+`"}`))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Len(t, resp.Cookies(), 1)
	return resp.Cookies()[0]
}

// call makes a request that must answer with status, and decodes the answer.
func (w *world) call(t *testing.T, as *http.Cookie, status int, method, path, body string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.BaseURL()+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.AddCookie(as)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, status, resp.StatusCode, "%s %s: %s", method, path, raw)
	var answer map[string]any
	if len(raw) > 0 {
		require.NoError(t, json.Unmarshal(raw, &answer), "%s", raw)
	}
	return answer
}

// room finds a room of acme by name, and member the id of a user's membership.
func (w *world) room(t *testing.T, as *http.Cookie, name string) string {
	t.Helper()
	for _, r := range w.call(t, as, 200, "GET", "/v1/workspaces/acme/snapshot", "")["rooms"].([]any) {
		if room := r.(map[string]any); room["name"] == name {
			return room["id"].(string)
		}
	}
	t.Fatalf("no room %q", name)
	return ""
}

func (w *world) member(t *testing.T, as *http.Cookie) string {
	t.Helper()
	return w.call(t, as, 200, "GET", "/v1/workspaces/acme/snapshot", "")["me"].(map[string]any)["memberId"].(string)
}

func (w *world) position(t *testing.T, as *http.Cookie) string {
	t.Helper()
	return w.call(t, as, 200, "GET", "/v1/workspaces/acme/snapshot", "")["position"].(string)
}

// post says something in a room.
func (w *world) post(t *testing.T, as *http.Cookie, room, text string) {
	t.Helper()
	w.call(t, as, http.StatusCreated, "POST", "/v1/workspaces/acme/rooms/"+room+"/messages", fmt.Sprintf(`{"body":%q}`, text))
}

func query(pairs ...string) string {
	q := url.Values{"workspace": {"acme"}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "?" + q.Encode()
}

// footprint is what a server holds.
type footprint struct {
	goroutines, files int
	heap              uint64
}

func measure(t *testing.T) footprint {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	runtime.GC()
	runtime.GC() // what finalizers let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := footprint{goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil { // Linux
		f.files = len(files)
	}
	return f
}

// returns waits until the server holds no more than it did before.
func (f footprint) returns(t *testing.T) {
	t.Helper()
	const slack, heapSlack = 4, 4 << 20 // a database connection, a cache that grew
	var now footprint
	deadline := time.Now().Add(patience)
	for {
		now = measure(t)
		if now.goroutines <= f.goroutines+slack && now.files <= f.files+slack && now.heap <= f.heap+heapSlack {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("before %+v, now %+v\n%s", f, now, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}
