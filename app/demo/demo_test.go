package demo_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/config"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
	"github.com/orbit/realtime/transport/problem"
)

// patience bounds every wait here.
const patience = 20 * time.Second

// site is a running server with the demo, and a browser in front of it.
type site struct {
	*testing.T
	base    string
	browser *http.Client
}

func open(t *testing.T) *site {
	t.Helper()
	return openOn(t, store.SQLite)
}

// openOn runs the server as the binary does.
func openOn(t *testing.T, engine storetest.Engine) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cfg := config.Default()
	cfg.Addr, cfg.AdminAddr = l.Addr().String(), "127.0.0.1:0"
	require.NoError(t, l.Close())
	cfg.DatabaseURL = storetest.DSN(t, engine)
	cfg.Demo, cfg.LogLevel = true, "error"
	cfg.RetryBudget, cfg.HandlerTimeout = 50*time.Millisecond, 200*time.Millisecond

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Serve(ctx, cfg, app.LogTo(t.Output())) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	s := &site{t, "http://" + cfg.Addr, &http.Client{Jar: jar, Timeout: patience}}
	s.settle()
	return s
}

// settle waits until a server is there and has projected what was committed.
func (s *site) settle() {
	s.Helper()
	require.Eventually(s, func() bool {
		resp, err := s.browser.Get(s.base + "/demo/state")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var state struct{ Waiting int }
		return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&state) == nil && state.Waiting == 0
	}, patience, 10*time.Millisecond)
}

func (s *site) send(method, path, body string, header ...string) *http.Response {
	s.Helper()
	resp, err := s.try(method, path, body, header...)
	require.NoError(s, err, "%s %s", method, path)
	s.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (s *site) try(method, path, body string, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(s.Context(), method, s.base+path, strings.NewReader(body))
	require.NoError(s, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return s.browser.Do(req)
}

// press is a button of the page; the answer is read into answer, if given.
func (s *site) press(path, body string, answer any) {
	s.Helper()
	resp := s.send(http.MethodPost, path, body, "Origin", s.base)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(s, err)
	require.Less(s, resp.StatusCode, 300, "%s", raw)
	if answer != nil {
		require.NoError(s, json.Unmarshal(raw, answer))
	}
}

func (s *site) signIn(side, user string) {
	s.Helper()
	resp := s.send(http.MethodPost, side+"/v1/demo/login", `{"user":"`+user+`"}`)
	require.Equal(s, http.StatusOK, resp.StatusCode)
}

// dial opens a WebSocket the way a browser does, from the demo's own page.
func (s *site) dial(path string) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Jar: s.browser.Jar, HandshakeTimeout: patience}
	c, resp, err := d.DialContext(s.Context(), "ws"+strings.TrimPrefix(s.base, "http")+path, http.Header{"Origin": {s.base}})
	if err == nil {
		s.Cleanup(func() { c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(patience))
	}
	return c, resp, err
}

// live dials and reads up to system.live.
func (s *site) live(path string) *websocket.Conn {
	s.Helper()
	c, _, err := s.dial(path)
	require.NoError(s, err)
	s.until(func() string { return s.message(c) }, "system.live")
	return c
}

type event struct {
	Type, Cause string
	Causes      []string // further ones, collapsed into it
}

func (s *site) message(c *websocket.Conn) string {
	s.Helper()
	_, data, err := c.ReadMessage()
	require.NoError(s, err)
	return string(data)
}

// ending reads to the end and returns it.
func (s *site) ending(c *websocket.Conn) error {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return err
		}
	}
}

// until reads events up to the first of a type.
func (s *site) until(read func() string, eventType string) event {
	s.Helper()
	for {
		var e event
		require.NoError(s, json.Unmarshal([]byte(read()), &e))
		if e.Type == eventType {
			return e
		}
	}
}

// stream opens an SSE stream and returns how to read its next data.
func (s *site) stream(path string) func() string {
	s.Helper()
	resp := s.send(http.MethodGet, path, "")
	require.Equal(s, http.StatusOK, resp.StatusCode)
	lines := bufio.NewScanner(resp.Body)
	return func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		s.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
}

const (
	left  = "/demo/left"
	right = "/demo/right"
	acme  = "workspace=acme"
)

func TestTwoPeopleInOneBrowser(t *testing.T) {
	s := open(t)
	s.signIn(left, "owner")
	s.signIn(right, "guest")
	for side, email := range map[string]string{left: "owner@acme.test", right: "guest@acme.test"} {
		resp := s.send(http.MethodGet, side+"/v1/me", "")
		var me struct{ User struct{ Email string } }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&me))
		require.Equal(t, email, me.User.Email)
	}
	require.Equal(t, http.StatusUnauthorized, s.send(http.MethodGet, "/v1/me", "").StatusCode, "a side's cookie stays on its side")

	// And neither side takes over who is signed in without one.
	s.signIn("", "admin")
	require.Equal(t, http.StatusNoContent, s.send(http.MethodPost, right+"/v1/logout", "").StatusCode)
	require.Equal(t, http.StatusUnauthorized, s.send(http.MethodGet, right+"/v1/me", "").StatusCode)
	require.Equal(t, http.StatusOK, s.send(http.MethodGet, left+"/v1/me", "").StatusCode)
}

func TestEveryTransportPassesTheProxy(t *testing.T) {
	s := open(t)
	s.signIn(left, "owner")
	ws := s.live(left + "/v1/ws?" + acme)
	sse := s.stream(left + "/v1/sse?" + acme)
	s.until(sse, "system.live")

	resp := s.send(http.MethodPatch, left+"/v1/workspaces/acme", `{"name":"Acme Ltd"}`, "Origin", s.base)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	cause := resp.Header.Get("Orbit-Event-Id")
	require.Equal(t, cause, s.until(func() string { return s.message(ws) }, "workspace.updated").Cause)
	require.Equal(t, cause, s.until(sse, "workspace.updated").Cause)
	poll, err := io.ReadAll(s.send(http.MethodGet, left+"/v1/poll?"+acme, "").Body)
	require.NoError(t, err)
	require.Contains(t, string(poll), "system.hello")
}

// The proxy must not be a way around the server's own check.
func TestForeignOriginsAreRefusedThroughTheProxyToo(t *testing.T) {
	s := open(t)
	s.signIn(left, "owner")
	resp := s.send(http.MethodPatch, left+"/v1/workspaces/acme", `{"name":"Mine"}`, "Origin", "https://evil.test")
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

func TestPulledPlug(t *testing.T) {
	s := open(t)
	s.signIn(left, "owner")
	s.signIn(right, "guest")
	cutOff, spared := s.live(left+"/v1/ws?"+acme), s.live(right+"/v1/ws?"+acme)
	s.press("/demo/faults", `{"side":"left","plug":"pulled"}`, nil)

	err := s.ending(cutOff)
	require.ErrorIs(t, err, syscall.ECONNRESET, "reset, not closed: nobody says goodbye when a cable is pulled")
	_, err = s.try(http.MethodGet, left+"/v1/me", "")
	require.Error(t, err)
	require.NoError(t, spared.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)))
	s.until(func() string { return s.message(spared) }, "system.heartbeat")

	s.press("/demo/faults", `{"side":"left","plug":"in"}`, nil)
	s.live(left + "/v1/ws?" + acme)
}

func TestBlockedWebSocket(t *testing.T) {
	s := open(t)
	s.signIn(left, "owner")
	before := s.live(left + "/v1/ws?" + acme)
	s.press("/demo/faults", `{"side":"left","websocket":"blocked"}`, nil)
	require.Error(t, s.ending(before), "what was open is cut")
	_, resp, err := s.dial(left + "/v1/ws?" + acme)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Equal(t, http.StatusNoContent, s.send(http.MethodGet, left+"/v1/probe?"+acme, "").StatusCode)
	s.until(s.stream(left+"/v1/sse?"+acme), "system.live")
}

func TestHangingWebSocket(t *testing.T) {
	s := open(t)
	s.signIn(left, "owner")
	s.press("/demo/faults", `{"side":"left","websocket":"hangs"}`, nil)
	upgrade := make(chan error, 1)
	go func() {
		_, _, err := s.dial(left + "/v1/ws?" + acme)
		upgrade <- err
	}()
	s.until(s.stream(left+"/v1/sse?"+acme), "system.live")
	select {
	case err := <-upgrade:
		t.Fatalf("the upgrade was answered: %v", err)
	default:
	}
	s.press("/demo/faults", `{"side":"left","websocket":"open"}`, nil)
	require.Error(t, <-upgrade, "what hung is given up")
	s.live(left + "/v1/ws?" + acme)
}

func TestBufferedSSE(t *testing.T) {
	s := open(t)
	s.signIn(left, "owner")
	s.press("/demo/faults", `{"side":"left","sse":"buffered"}`, nil)
	arrived := make(chan string, 1)
	go func() {
		resp, err := s.try(http.MethodGet, left+"/v1/sse?"+acme, "")
		if err != nil {
			arrived <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		arrived <- string(body)
	}()
	// A neighbour sees what the buffering side does not.
	s.signIn(right, "owner")
	neighbour := s.stream(right + "/v1/sse?" + acme)
	s.until(neighbour, "system.live")
	s.send(http.MethodPatch, left+"/v1/workspaces/acme", `{"name":"Acme Ltd"}`)
	s.until(neighbour, "workspace.updated")
	select {
	case body := <-arrived:
		t.Fatalf("bytes came before the stream ended: %s", body)
	default:
	}
	// Signing out ends the stream, and everything arrives at once.
	s.send(http.MethodPost, left+"/v1/logout", "")
	body := <-arrived
	for _, eventType := range []string{"system.hello", "workspace.updated", "system.goodbye"} {
		require.Contains(t, body, eventType)
	}
}

func TestLatency(t *testing.T) {
	s := open(t)
	s.press("/demo/faults", `{"side":"left","latencyMs":300}`, nil)
	began := time.Now()
	s.signIn(left, "owner")
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
}

// flood returns the causes that a flood answers with.
func (s *site) flood(count string) (causes []string) {
	resp := s.send(http.MethodPost, "/demo/flood", `{"count":`+count+`}`, "Origin", s.base)
	require.Equal(s, http.StatusOK, resp.StatusCode)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var line struct {
			Cause string
			Done  *bool
			Error string
		}
		require.NoError(s, json.Unmarshal(lines.Bytes(), &line))
		if line.Done != nil {
			require.True(s, *line.Done, line.Error)
			return causes
		}
		causes = append(causes, line.Cause)
	}
	s.Fatal("the flood broke off")
	return nil
}

func TestFloodCommitsWhatItSays(t *testing.T) {
	s := open(t)
	s.signIn(left, "guest")
	resp := s.send(http.MethodGet, left+"/v1/workspaces/acme/snapshot", "")
	var snapshot struct {
		Position string
		Rooms    []struct{ ID string }
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&snapshot))
	var rooms []string
	for _, room := range snapshot.Rooms {
		rooms = append(rooms, room.ID)
	}
	sse := s.stream(left + "/v1/sse?" + acme + "&position=" + snapshot.Position + "&rooms=" + strings.Join(rooms, ","))

	causes := s.flood("200")
	require.Len(t, causes, 200)
	due := map[string]bool{}
	for _, cause := range causes {
		due[cause] = true
	}
	require.Len(t, due, 200, "each change is an event of its own")
	seen := map[string]int{}
	for len(due) > 0 {
		var e event
		require.NoError(t, json.Unmarshal([]byte(sse()), &e))
		if e.Cause == "" {
			continue
		}
		for _, cause := range append(e.Causes, e.Cause) {
			delete(due, cause)
			seen[cause]++
			require.Equal(t, 1, seen[cause], "%s came twice", e.Type)
		}
	}
}

func TestRestart(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		for _, how := range []string{"orderly", "crash"} {
			t.Run(string(engine)+" "+how, func(t *testing.T) {
				s := openOn(t, engine)
				s.signIn(left, "owner")
				s.press("/demo/faults", `{"side":"right","websocket":"blocked"}`, nil)
				ws := s.live(left + "/v1/ws?" + acme)
				s.press("/demo/restart", `{"how":"`+how+`"}`, nil)

				err := s.ending(ws)
				var closed *websocket.CloseError
				if how == "crash" {
					require.NotErrorAs(t, err, &closed, "a process that dies says nothing")
				} else {
					require.ErrorAs(t, err, &closed)
					require.Equal(t, 4503, closed.Code)
				}
				require.Eventually(t, func() bool {
					resp, err := s.browser.Get(s.base + "/demo/state")
					if err != nil {
						return false
					}
					defer resp.Body.Close()
					var state struct {
						Starts int
						Sides  map[string]struct{ WebSocket string }
					}
					return json.NewDecoder(resp.Body).Decode(&state) == nil &&
						state.Starts == 2 && state.Sides["right"].WebSocket == "blocked"
				}, patience, 10*time.Millisecond)
				s.live(left + "/v1/ws?" + acme) // the same cookie, the same database
			})
		}
	}
}

func TestBreakAndMend(t *testing.T) {
	for _, how := range []string{"error", "panic", "hang"} {
		t.Run(how, func(t *testing.T) {
			s := open(t)
			s.signIn(left, "owner")
			ws := s.live(left + "/v1/ws?" + acme)
			type state struct{ Broken map[string]string }
			var broken, whole state
			s.press("/demo/break", `{"type":"workspaces.updated","how":"`+how+`"}`, &broken)
			require.Equal(t, map[string]string{"workspaces.updated": how}, broken.Broken)
			poisoned := s.send(http.MethodPatch, left+"/v1/workspaces/acme", `{"name":"Unseen"}`).Header.Get("Orbit-Event-Id")
			s.settle()
			s.press("/demo/mend", `{}`, &whole)
			require.Empty(t, whole.Broken)
			mended := s.send(http.MethodPatch, left+"/v1/workspaces/acme", `{"name":"Seen"}`).Header.Get("Orbit-Event-Id")
			seen := s.until(func() string { return s.message(ws) }, "workspace.updated")
			require.Equal(t, mended, seen.Cause)
			require.NotEqual(t, poisoned, seen.Cause)
		})
	}
}

func TestBadInputIsExplained(t *testing.T) {
	s := open(t)
	s.press("/demo/break", `{"type":"workspaces.team.updated","how":"error"}`, nil)
	s.press("/demo/break", `{"type":"rooms.message.edited","how":"error"}`, nil)
	for name, tc := range map[string]struct {
		path, body string
		origin     string
		status     int
		field      string
	}{
		"unknown side":      {"/demo/faults", `{"side":"middle"}`, "", 400, "side"},
		"no side":           {"/demo/faults", `{"plug":"pulled"}`, "", 400, "side"},
		"unknown plug":      {"/demo/faults", `{"side":"left","plug":"bent"}`, "", 400, "plug"},
		"unknown websocket": {"/demo/faults", `{"side":"left","websocket":"odd"}`, "", 400, "websocket"},
		"unknown sse":       {"/demo/faults", `{"side":"left","sse":"odd"}`, "", 400, "sse"},
		"too slow":          {"/demo/faults", `{"side":"left","latencyMs":2001}`, "", 400, "latencyMs"},
		"too fast":          {"/demo/faults", `{"side":"left","latencyMs":-1}`, "", 400, "latencyMs"},
		"unknown field":     {"/demo/faults", `{"side":"left","colour":"red"}`, "", 400, "colour"},
		"no JSON":           {"/demo/flood", `count=5`, "", 400, ""},
		"no flood":          {"/demo/flood", `{"count":0}`, "", 400, "count"},
		"too much":          {"/demo/flood", `{"count":10001}`, "", 400, "count"},
		"nothing to flood":  {"/demo/flood", `{"count":1}`, "", 409, ""},
		"unknown restart":   {"/demo/restart", `{"how":"gently"}`, "", 400, "how"},
		"unknown type":      {"/demo/break", `{"type":"moon.rose","how":"error"}`, "", 400, "type"},
		"unknown break":     {"/demo/break", `{"type":"workspaces.team.updated","how":"bend"}`, "", 400, "how"},
		"mend unknown type": {"/demo/mend", `{"type":"moon.rose"}`, "", 400, "type"},
		"another site":      {"/demo/restart", `{"how":"crash"}`, "https://evil.test", 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			header := []string{}
			if tc.origin != "" {
				header = []string{"Origin", tc.origin}
			}
			resp := s.send(http.MethodPost, tc.path, tc.body, header...)
			require.Equal(t, tc.status, resp.StatusCode)
			require.Equal(t, problem.ContentType, resp.Header.Get("Content-Type"))
			var doc problem.Document
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&doc))
			require.Equal(t, tc.field, doc.Field)
			require.NotEmpty(t, doc.Detail)
		})
	}
}

func TestNothingOfItWithoutTheDemo(t *testing.T) {
	cfg := config.Default()
	cfg.Addr, cfg.AdminAddr, cfg.LogLevel = "127.0.0.1:0", "127.0.0.1:0", "error"
	cfg.DatabaseURL = storetest.DSN(t, store.SQLite)
	a, err := app.New(cfg, app.LogTo(t.Output()))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	<-a.Ready()
	for _, path := range []string{"/", "/demo/state", "/demo/left/v1/me"} {
		resp, err := http.Get(a.BaseURL() + path)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusNotFound, resp.StatusCode, path)
	}
}
