package ws_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/transporttest"
	"github.com/orbit/realtime/transport/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// rig is a server over the real hub.
type rig struct {
	*transporttest.World
	server *ws.Server
	url    string // http://host:port/v1/ws
}

func start(t *testing.T, cfg ws.Config, hubCfg hub.Config) *rig {
	t.Helper()
	return startIn(t, transporttest.New(t, hubCfg), cfg)
}

func startIn(t *testing.T, world *transporttest.World, cfg ws.Config) *rig {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	server := ws.New(world.Hub, world.Admission, cfg)
	front := httptest.NewServer(http.HandlerFunc(server.Handle))
	t.Cleanup(func() {
		server.Close()
		front.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return &rig{World: world, server: server, url: front.URL + "/v1/ws"}
}

// client is a tab.
type client struct {
	*websocket.Conn
	t      *testing.T
	events []transporttest.Event // read, but not asked for yet
}

func (r *rig) header() http.Header {
	return http.Header{"Cookie": {r.Cookie.Name + "=" + r.Cookie.Value}}
}

func (r *rig) dial(t *testing.T, query string, protocols ...string) *client {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: protocols}
	conn, _, err := dialer.DialContext(t.Context(), strings.Replace(r.url, "http", "ws", 1)+"?workspace=acme"+query, r.header())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	return &client{Conn: conn, t: t}
}

// live dials, and reads up to system.live.
func (r *rig) live(t *testing.T, query string, protocols ...string) *client {
	t.Helper()
	c := r.dial(t, query, protocols...)
	for c.next().Type != domain.ServerSystemLive {
	}
	return c
}

// next returns the next server event.
func (c *client) next() transporttest.Event {
	c.t.Helper()
	for len(c.events) == 0 {
		kind, data, err := c.ReadMessage()
		require.NoError(c.t, err)
		require.Equal(c.t, websocket.TextMessage, kind)
		for line := range strings.SplitSeq(string(data), "\n") {
			c.events = append(c.events, transporttest.Decode(c.t, []byte(line)))
		}
	}
	ev := c.events[0]
	c.events = c.events[1:]
	return ev
}

func (c *client) send(text string) {
	c.t.Helper()
	require.NoError(c.t, c.WriteMessage(websocket.TextMessage, []byte(text)))
}

// closed reads to the end and returns the close code, and the events before it.
func (c *client) closed() (int, []transporttest.Event) {
	c.t.Helper()
	events := c.events
	for {
		_, data, err := c.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			require.ErrorAs(c.t, err, &closed)
			return closed.Code, events
		}
		for line := range strings.SplitSeq(string(data), "\n") {
			events = append(events, transporttest.Decode(c.t, []byte(line)))
		}
	}
}

// gone waits until no session is left.
func (r *rig) gone(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return r.Presence.Sessions() == 0 }, patience, time.Millisecond)
	require.Empty(t, r.Hub.Stats().Sessions)
}

func TestHelloReplayLive(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	r.AppendMany(3)
	c := r.dial(t, "&position=e1-1")
	hello := c.next()
	require.Equal(t, domain.ServerSystemHello, hello.Type)
	require.True(t, hello.Resumed)
	require.Equal(t, "e1-2", c.next().ID)
	require.Equal(t, "e1-3", c.next().ID)
	require.Equal(t, domain.ServerSystemLive, c.next().Type)
	r.Append(domain.WorkspaceChannel("ws_acme"), "news")
	require.Equal(t, "news", c.next().Workspace.Name)
}

// A refusal comes before there is a WebSocket, as a plain HTTP answer.
func TestRefusals(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{MaxUserSessions: 1})
	stranger := r.Reader.SignIn("stranger", time.Now().Add(time.Hour))
	upgrade := func(edit func(*http.Request)) *http.Response {
		req := r.Request(t, http.MethodGet, r.url+"?workspace=acme")
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		req.Header.Set("Sec-WebSocket-Version", "13")
		req.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		edit(req)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_ = res.Body.Close()
		return res
	}
	cases := map[string]struct {
		status int
		edit   func(*http.Request)
	}{
		"no cookie":         {401, func(r *http.Request) { r.Header.Del("Cookie") }},
		"not a member":      {401, func(r *http.Request) { r.Header.Del("Cookie"); r.AddCookie(stranger) }},
		"unknown workspace": {401, func(r *http.Request) { r.URL.RawQuery = "workspace=nowhere" }},
		"foreign origin":    {403, func(r *http.Request) { r.Header.Set("Origin", "http://evil.net") }},
		"bad rooms":         {400, func(r *http.Request) { r.URL.RawQuery += "&rooms=%2F" }},
		"wrong method":      {405, func(r *http.Request) { r.Method = http.MethodPost }},
		"no upgrade":        {426, func(r *http.Request) { r.Header.Del("Connection"); r.Header.Del("Upgrade") }},
		"no key":            {400, func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }},
		"old version":       {400, func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }},
	}
	for name, c := range cases {
		res := upgrade(c.edit)
		require.Equal(t, c.status, res.StatusCode, name)
		require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"), name)
	}
	require.Zero(t, r.Presence.Sessions())

	r.live(t, "")
	require.Equal(t, http.StatusTooManyRequests, upgrade(func(*http.Request) {}).StatusCode)
	r.Hub.Drain(t.Context(), 0)
	res := upgrade(func(*http.Request) {})
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))
}

// melody accepts every Origin by default; ours is admission's to judge, and
// the same origin passes.
func TestSameOriginPasses(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	header := r.header()
	header.Set("Origin", strings.TrimSuffix(r.url, "/v1/ws"))
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(r.url, "http", "ws", 1)+"?workspace=acme", header)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestOneMessagePerEventWithoutSubprotocol(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	r.AppendMany(50)
	c := r.dial(t, "&position=e1-0")
	require.Empty(t, c.Subprotocol())
	for {
		_, data, err := c.ReadMessage()
		require.NoError(t, err)
		require.NotContains(t, string(data), "\n")
		if transporttest.Decode(t, data).Type == domain.ServerSystemLive {
			return
		}
	}
}

func TestBatchesWithSubprotocol(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	r.AppendMany(50)
	c := r.dial(t, "&position=e1-0", "something.else", ws.Subprotocol)
	require.Equal(t, ws.Subprotocol, c.Subprotocol(), "a subprotocol that isn't echoed is 1006 in browsers")
	messages := 0
	for i := 0; i < 50; messages++ {
		_, data, err := c.ReadMessage()
		require.NoError(t, err)
		for line := range strings.SplitSeq(string(data), "\n") {
			if ev := transporttest.Decode(t, []byte(line)); ev.Type == domain.ServerWorkspaceUpdated {
				require.Equal(t, strconv.Itoa(i), ev.Workspace.Name)
				i++
			}
		}
	}
	require.Less(t, messages, 10)
}

func TestSubscribeAndPing(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	r.Reader.AddRoom(domain.Room{ID: "r1", WorkspaceID: "ws_acme"})
	r.Reader.AddRoom(domain.Room{ID: "r2", WorkspaceID: "ws_acme", Private: true})
	c := r.live(t, "")

	r.Append(domain.RoomChannel("r1"), "before")
	c.send(`{"type":"subscribe","room":"r1","ref":1,"position":"e1-0"}`)
	ev := c.next()
	require.Equal(t, domain.ServerSystemSubscribed, ev.Type)
	require.Equal(t, int64(1), *ev.Ref)
	require.Equal(t, "before", c.next().Workspace.Name)
	r.Append(domain.RoomChannel("r1"), "after")
	require.Equal(t, "after", c.next().Workspace.Name)

	c.send(`{"type":"unsubscribe","room":"r1","ref":2}`)
	require.Equal(t, domain.ServerSystemUnsubscribed, c.next().Type)
	c.send(`{"type":"ping"}`)
	beat := c.next()
	require.Equal(t, domain.ServerSystemHeartbeat, beat.Type)
	require.Equal(t, "e1-2", beat.ID)

	c.send(`{"type":"subscribe","room":"r2","ref":3}`)
	ev = c.next()
	require.Equal(t, domain.ServerSystemError, ev.Type)
	require.JSONEq(t, `"not_found"`, string(ev.Code))
	require.Equal(t, int64(3), *ev.Ref)
}

func TestRoomsByURL(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	r.Reader.AddRoom(domain.Room{ID: "r1", WorkspaceID: "ws_acme"})
	c := r.dial(t, "&rooms=r1,r1")
	require.Equal(t, []string{"r1"}, c.next().Rooms)
}

// While a handler runs net/http keeps 8 KB of buffers and a deep stack for it,
// and gin its context: more than all the rest of an idle connection.
func TestHandleReturnsAfterTheUpgrade(t *testing.T) {
	world := transporttest.New(t, hub.Config{})
	server := ws.New(world.Hub, world.Admission, ws.Config{})
	returned := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.Handle(w, r)
		close(returned)
	}))
	defer front.Close()
	defer server.Close()
	r := &rig{World: world, server: server, url: front.URL}
	c := r.live(t, "")
	<-returned
	c.send(`{"type":"ping"}`)
	require.Equal(t, domain.ServerSystemHeartbeat, c.next().Type)
}
