package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// event is a server event as a client that knows only the protocol sees it.
type event struct {
	Type     string   `json:"type"`
	ID       string   `json:"id"`
	Channel  string   `json:"channel"`
	Cause    string   `json:"cause"`
	Causes   []string `json:"causes"` // further ones, collapsed into it
	Session  string   `json:"session"`
	Resumed  bool     `json:"resumed"`
	Reason   string   `json:"reason"`
	Code     any      `json:"code"`
	MemberID string   `json:"memberId"`
	Online   bool     `json:"online"`
	raw      []byte
}

func (e event) logged() bool {
	return e.ID != "" && e.Channel != ""
}

func parse(t testing.TB, line []byte) event {
	var e event
	require.NoError(t, json.Unmarshal(line, &e), "every line is one JSON object: %s", line)
	e.raw = bytes.Clone(line)
	return e
}

// user is a signed-in caller of the HTTP API.
type user struct {
	base   string
	cookie *http.Cookie
	http   *http.Client
	trace  string // sent as traceparent, if not empty
}

// login retries while the server is starting or restarting.
func login(t testing.TB, base, name string) *user {
	u := &user{base: base, http: &http.Client{Timeout: 10 * time.Second}}
	require.Eventually(t, func() bool {
		resp, err := u.http.Post(base+"/v1/demo/login", "application/json", strings.NewReader(`{"user":"`+name+`"}`))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return false
		}
		for _, c := range resp.Cookies() {
			if strings.HasSuffix(c.Name, "orbit_session") {
				u.cookie = c
			}
		}
		return u.cookie != nil
	}, 20*time.Second, 20*time.Millisecond, "sign in as %s", name)
	return u
}

type answer struct {
	status  int
	eventID string
	body    map[string]any
}

func (u *user) try(method, path string, body any) (answer, error) {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, u.base+path, payload)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if u.cookie != nil {
		req.AddCookie(u.cookie)
	}
	if u.trace != "" {
		req.Header.Set("Traceparent", u.trace)
	}
	resp, err := u.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, eventID: resp.Header.Get("Orbit-Event-Id")}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			return answer{}, fmt.Errorf("%s %s: %w: %s", method, path, err, raw)
		}
	}
	return a, nil
}

// do makes a call that must answer with status.
func (u *user) do(t testing.TB, status int, method, path string, body any) answer {
	t.Helper()
	a, err := u.try(method, path, body)
	require.NoError(t, err)
	require.Equal(t, status, a.status, "%s %s: %v", method, path, a.body)
	return a
}

// id returns the id of the entity under key.
func (a answer) id(key string) string { return a.body[key].(map[string]any)["id"].(string) }

type snapshot struct {
	Position string                    `json:"position"`
	Me       struct{ MemberID string } `json:"me"`
	Members  []domain.Member           `json:"members"`
	Roles    []domain.Role             `json:"roles"`
	Rooms    []domain.Room             `json:"rooms"`
	Presence []string                  `json:"presence"`
	Stale    []domain.Stale            `json:"stale"`
}

func (u *user) snapshot(t testing.TB, slug string) snapshot {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, u.base+"/v1/workspaces/"+slug+"/snapshot", nil)
	require.NoError(t, err)
	req.AddCookie(u.cookie)
	resp, err := u.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var s snapshot
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	return s
}

func (s snapshot) room(t testing.TB, name string) string {
	for _, r := range s.Rooms {
		if r.Name == name {
			return r.ID
		}
	}
	t.Fatalf("no room %q", name)
	return ""
}

// transports a tab can use.
var transports = []string{"ws", "ws+batch", "sse", "poll"}

// tab is a client that keeps its position and reconnects until closed, as a
// browser tab would.
type tab struct {
	t         testing.TB
	user      *user
	workspace string
	rooms     []string
	transport func(attempt int) string
	nodes     []string // base URLs, one after the other; none: the user's
	cancel    context.CancelFunc
	done      chan struct{}

	mu       sync.Mutex
	changed  *sync.Cond
	position string
	events   []event
	lives    int
	ended    error // a terminal answer: signed out, revoked
}

// openTab starts a tab; position "" means from now on.
func openTab(t testing.TB, u *user, workspace, position string, rooms []string, transport func(attempt int) string) *tab {
	ctx, cancel := context.WithCancel(context.Background())
	tb := &tab{t: t, user: u, workspace: workspace, rooms: rooms, transport: transport, position: position,
		cancel: cancel, done: make(chan struct{})}
	tb.changed = sync.NewCond(&tb.mu)
	go tb.run(ctx)
	t.Cleanup(tb.close)
	return tb
}

// roam starts a tab that connects to another node each time, beginning with the
// first; a poller, with each poll.
func roam(t testing.TB, u *user, position string, rooms []string, transport func(attempt int) string, nodes ...string) *tab {
	ctx, cancel := context.WithCancel(context.Background())
	tb := &tab{t: t, user: u, workspace: "acme", rooms: rooms, transport: transport, position: position, nodes: nodes,
		cancel: cancel, done: make(chan struct{})}
	tb.changed = sync.NewCond(&tb.mu)
	go tb.run(ctx)
	t.Cleanup(tb.close)
	return tb
}

// move makes the tab go on at the next node. run's own.
func (tb *tab) move(i int) {
	if len(tb.nodes) > 0 {
		u := *tb.user
		u.base = tb.nodes[i%len(tb.nodes)]
		tb.user = &u
	}
}

func always(transport string) func(int) string { return func(int) string { return transport } }

func (tb *tab) close() {
	tb.cancel()
	<-tb.done
}

var errTerminal = errors.New("the server ended the session for good")

func (tb *tab) run(ctx context.Context) {
	defer close(tb.done)
	for attempt := 0; ctx.Err() == nil; attempt++ {
		var err error
		tb.move(attempt)
		switch transport := tb.transport(attempt); transport {
		case "ws", "ws+batch":
			err = tb.readWS(ctx, transport == "ws+batch")
		case "sse":
			err = tb.readSSE(ctx)
		case "poll":
			err = tb.readPoll(ctx)
		default:
			panic(transport)
		}
		if errors.Is(err, errTerminal) {
			tb.mu.Lock()
			tb.ended = err
			tb.changed.Broadcast()
			tb.mu.Unlock()
			return
		}
		select { // a short backoff, so that a dead server is not hammered
		case <-ctx.Done():
		case <-time.After(time.Duration(20+attempt%7*13) * time.Millisecond):
		}
	}
}

func (tb *tab) query() url.Values {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	q := url.Values{"workspace": {tb.workspace}}
	if tb.position != "" {
		q.Set("position", tb.position)
	}
	if len(tb.rooms) > 0 {
		q.Set("rooms", strings.Join(tb.rooms, ","))
	}
	return q
}

func (tb *tab) apply(line []byte) {
	e := parse(tb.t, line)
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.events = append(tb.events, e)
	if e.ID != "" {
		tb.position = e.ID
	}
	if e.Type == "system.live" {
		tb.lives++
	}
	tb.changed.Broadcast()
}

func (tb *tab) readWS(ctx context.Context, batch bool) error {
	dialer := websocket.Dialer{HandshakeTimeout: 5 * time.Second}
	if batch {
		dialer.Subprotocols = []string{"orbit.v1"}
	}
	target := "ws" + strings.TrimPrefix(tb.user.base, "http") + "/v1/ws?" + tb.query().Encode()
	conn, resp, err := dialer.DialContext(ctx, target, http.Header{"Cookie": {tb.user.cookie.String()}})
	if err != nil {
		if resp != nil && resp.StatusCode == http.StatusUnauthorized {
			return fmt.Errorf("%w: 401", errTerminal)
		}
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			if websocket.IsCloseError(err, 4401, 4403, 4400) {
				return fmt.Errorf("%w: %w", errTerminal, err)
			}
			return err
		}
		for line := range bytes.Lines(data) {
			tb.apply(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
}

func (tb *tab) readSSE(ctx context.Context) error {
	q := tb.query()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, tb.user.base+"/v1/sse?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	req.AddCookie(tb.user.cookie)
	client := &http.Client{} // no timeout: it streams
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusNoContent:
		return fmt.Errorf("%w: %s", errTerminal, resp.Status)
	default:
		return errors.New(resp.Status)
	}
	lines := bufio.NewReader(resp.Body)
	var id string
	var data []byte
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch field, value, _ := bytes.Cut(line, []byte(":")); string(field) {
		case "id":
			id = string(bytes.TrimPrefix(value, []byte(" ")))
		case "data":
			data = bytes.TrimPrefix(value, []byte(" "))
		case "":
			if len(line) == 0 && data != nil {
				e := parse(tb.t, data)
				if e.ID != "" {
					require.Equal(tb.t, e.ID, id, "the SSE id is the event's id")
				}
				tb.apply(data)
				if e.Type == "system.goodbye" && bytes.Contains(data, []byte(`"reconnect":false`)) {
					return fmt.Errorf("%w: %s", errTerminal, data)
				}
				data, id = nil, ""
			}
		}
	}
}

func (tb *tab) readPoll(ctx context.Context) error {
	session := ""
	for polls := 0; ctx.Err() == nil; polls++ {
		tb.move(polls)
		q := tb.query()
		if session != "" {
			q.Set("session", session)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, tb.user.base+"/v1/poll?"+q.Encode(), nil)
		if err != nil {
			return err
		}
		req.AddCookie(tb.user.cookie)
		resp, err := (&http.Client{Timeout: 40 * time.Second}).Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		switch resp.StatusCode {
		case http.StatusOK:
		case http.StatusUnauthorized:
			return fmt.Errorf("%w: 401", errTerminal)
		default:
			return errors.New(resp.Status)
		}
		var page struct {
			Position string
			Events   []json.RawMessage
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return fmt.Errorf("poll answer: %w", err)
		}
		for _, raw := range page.Events {
			e := parse(tb.t, raw)
			if e.Type == "system.hello" {
				session = e.Session
			}
			tb.apply(raw)
			if e.Type == "system.goodbye" {
				if bytes.Contains(raw, []byte(`"reconnect":false`)) {
					return fmt.Errorf("%w: %s", errTerminal, raw)
				}
				return errors.New("goodbye")
			}
		}
	}
	return ctx.Err()
}

// waitFor blocks until ok holds for the tab, or fails the test.
func (tb *tab) waitFor(what string, ok func(tb *tab) bool) {
	tb.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	stop := time.AfterFunc(60*time.Second, func() { tb.changed.Broadcast() })
	defer stop.Stop()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for !ok(tb) {
		if time.Now().After(deadline) {
			var types []string
			for _, e := range tb.events {
				types = append(types, e.Type+"@"+e.ID)
			}
			tb.t.Fatalf("timed out waiting for %s; got %v, ended: %v", what, types, tb.ended)
		}
		tb.changed.Wait()
	}
}

func (tb *tab) waitLive() {
	tb.t.Helper()
	tb.waitFor("system.live", func(tb *tab) bool { return tb.lives > 0 })
}

func (tb *tab) waitCause(eventID string) {
	tb.t.Helper()
	tb.waitFor("cause "+eventID, func(tb *tab) bool {
		for i := len(tb.events) - 1; i >= 0; i-- {
			if e := tb.events[i]; (e.Cause == eventID || slices.Contains(e.Causes, eventID)) && !strings.HasPrefix(e.Type, "system.") {
				return true
			}
		}
		return false
	})
}

func (tb *tab) waitEnded() {
	tb.t.Helper()
	tb.waitFor("the end of the session", func(tb *tab) bool { return tb.ended != nil })
}

// all returns a copy of what the tab has received.
func (tb *tab) all() []event {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return append([]event(nil), tb.events...)
}

// logged returns the log entries received, checked for order and repetition.
func (tb *tab) logged() []event {
	tb.t.Helper()
	var out []event
	var last domain.Position
	for _, e := range tb.all() {
		require.NotEqual(tb.t, "system.resync", e.Type, "a resync inside retention: %s", e.raw)
		if !e.logged() {
			continue
		}
		p, err := domain.ParsePosition(e.ID)
		require.NoError(tb.t, err)
		if !last.IsZero() {
			require.Equal(tb.t, last.Epoch, p.Epoch)
			require.Greater(tb.t, p.Offset, last.Offset, "in order and never twice: %s", e.raw)
		}
		last = p
		out = append(out, e)
	}
	return out
}
