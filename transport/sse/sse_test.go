package sse_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/sse"
	"github.com/orbit/realtime/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

type rig struct {
	*transporttest.World
	front  *httptest.Server
	client *http.Client
}

// start serves streams through gin, as the product does: its writer
// swallows what Flush returns.
func start(t testing.TB, cfg sse.Config, hubCfg hub.Config, adjust ...func(*http.Server)) *rig {
	t.Helper()
	world := transporttest.New(t, hubCfg)
	server := sse.New(world.Hub, world.Admission, cfg)
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Any("/v1/sse", gin.WrapF(server.Handle))
	front := httptest.NewUnstartedServer(engine)
	for _, f := range adjust {
		f(front.Config)
	}
	front.Start()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		front.CloseClientConnections()
		front.Close()
	})
	return &rig{World: world, front: front, client: client}
}

// stream is an open stream.
type stream struct {
	t    *testing.T
	res  *http.Response
	body *bufio.Reader
	stop context.CancelFunc
}

// block is one event of the stream, as an EventSource would read it.
type block struct {
	id, retry string
	hasID     bool
	transporttest.Event
}

func (r *rig) request(t *testing.T, query string, edit ...func(*http.Request)) *http.Response {
	t.Helper()
	req := r.Request(t, http.MethodGet, r.front.URL+"/v1/sse?workspace=acme"+query)
	for _, f := range edit {
		f(req)
	}
	res, err := r.client.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func (r *rig) open(t *testing.T, query string, edit ...func(*http.Request)) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	res := r.request(t, query, append(edit, func(req *http.Request) { *req = *req.WithContext(ctx) })...)
	require.Equal(t, http.StatusOK, res.StatusCode)
	return &stream{t: t, res: res, body: bufio.NewReader(res.Body), stop: cancel}
}

func lastEventID(id string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Last-Event-ID", id) }
}

// next reads one block; io.EOF when the stream has ended.
func (s *stream) next() (block, error) {
	s.t.Helper()
	var b block
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			return b, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "":
			return b, nil
		case "id":
			b.id, b.hasID = value, true
		case "retry":
			b.retry = value
		case "data":
			b.Event = transporttest.Decode(s.t, []byte(value))
		default:
			s.t.Fatalf("unexpected line %q", line) // an event field would hide it from onmessage
		}
	}
}

func (s *stream) event() block {
	s.t.Helper()
	b, err := s.next()
	require.NoError(s.t, err)
	return b
}

// live reads up to system.live.
func (s *stream) live() *stream {
	s.t.Helper()
	for s.event().Type != domain.ServerSystemLive {
	}
	return s
}

func (r *rig) gone(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return r.Presence.Sessions() == 0 }, patience, time.Millisecond)
	require.Empty(t, r.Hub.Stats().Sessions)
}

func TestStream(t *testing.T) {
	r := start(t, sse.Config{Retry: 2 * time.Second}, hub.Config{})
	r.AppendMany(2)
	s := r.open(t, "&position=e1-1")
	require.Equal(t, "text/event-stream", s.res.Header.Get("Content-Type"))
	require.Equal(t, "no-store", s.res.Header.Get("Cache-Control"))
	require.Equal(t, "no", s.res.Header.Get("X-Accel-Buffering"), "nginx would buffer")

	retry, err := strconv.Atoi(s.event().retry)
	require.NoError(t, err)
	require.GreaterOrEqual(t, retry, 1000)
	require.Less(t, retry, 3000)

	hello := s.event()
	require.Equal(t, domain.ServerSystemHello, hello.Type)
	require.Equal(t, "e1-1", hello.id)
	require.Equal(t, "e1-2", s.event().id)
	live := s.event()
	require.Equal(t, domain.ServerSystemLive, live.Type)
	require.False(t, live.hasID, "an empty id would make the browser forget its position")

	r.Append(domain.WorkspaceChannel("ws_acme"), "news")
	news := s.event()
	require.Equal(t, "news", news.Workspace.Name)
	require.Equal(t, "e1-3", news.id)
	require.Equal(t, news.ID, news.id)
}

// Chromium ignores a block that has an id alone, so a heartbeat has data too.
func TestHeartbeatHasIDAndData(t *testing.T) {
	r := start(t, sse.Config{}, hub.Config{Heartbeat: 20 * time.Millisecond})
	r.AppendMany(1)
	s := r.open(t, "").live()
	for {
		if b := s.event(); b.Type == domain.ServerSystemHeartbeat {
			require.Equal(t, "e1-1", b.id)
			require.Equal(t, b.ID, b.id)
			return
		}
	}
}

// An EventSource that reconnects repeats its old URL, and says in a header
// what it knows by now.
func TestResumeWithLastEventID(t *testing.T) {
	r := start(t, sse.Config{}, hub.Config{})
	s := r.open(t, "&position=e1-0").live()
	r.AppendMany(5)
	require.Equal(t, "e1-1", s.event().id)
	last := s.event().id
	s.stop()
	r.gone(t)

	s = r.open(t, "&position=e1-0", lastEventID(last))
	s.event() // retry
	hello := s.event()
	require.True(t, hello.Resumed)
	require.Equal(t, last, hello.id)
	for i := 3; i <= 5; i++ {
		require.Equal(t, "e1-"+strconv.Itoa(i), s.event().id)
	}
	require.Equal(t, domain.ServerSystemLive, s.event().Type)
}

func TestRoomsByURL(t *testing.T) {
	r := start(t, sse.Config{}, hub.Config{})
	r.Reader.AddRoom(domain.Room{ID: "r1", WorkspaceID: "ws_acme"})
	s := r.open(t, "&rooms=r1").live()
	r.Append(domain.RoomChannel("r2"), "not for us")
	r.Append(domain.RoomChannel("r1"), "for us")
	require.Equal(t, "for us", s.event().Workspace.Name)
}

func TestRefusals(t *testing.T) {
	r := start(t, sse.Config{}, hub.Config{MaxUserSessions: 1})
	noCookie := func(req *http.Request) { req.Header.Del("Cookie") }
	foreign := func(req *http.Request) { req.Header.Set("Origin", "http://evil.net") }
	post := func(req *http.Request) { req.Method = http.MethodPost }

	require.Equal(t, http.StatusUnauthorized, r.request(t, "", noCookie).StatusCode)
	require.Equal(t, http.StatusForbidden, r.request(t, "", foreign).StatusCode)
	require.Equal(t, http.StatusBadRequest, r.request(t, "&rooms=%2F").StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, r.request(t, "", post).StatusCode)

	// 204 tells a native EventSource to stop reconnecting; other answers too,
	// but only 204 without an error on the page. A passing trouble isn't final.
	require.Equal(t, http.StatusNoContent, r.request(t, "", noCookie, lastEventID("e1-1")).StatusCode)
	require.Equal(t, http.StatusForbidden, r.request(t, "", foreign, lastEventID("e1-1")).StatusCode)
	r.Reader.Fail(domain.Transient(io.EOF, "database away"))
	require.Equal(t, http.StatusServiceUnavailable, r.request(t, "", lastEventID("e1-1")).StatusCode)
	r.Reader.Fail(nil)

	r.open(t, "").live()
	require.Equal(t, http.StatusTooManyRequests, r.request(t, "", lastEventID("e1-1")).StatusCode)
	r.Hub.Drain(t.Context(), 0)
	require.Equal(t, http.StatusServiceUnavailable, r.request(t, "").StatusCode)
}

func TestRevocationThenGoodbyeThenStop(t *testing.T) {
	r := start(t, sse.Config{}, hub.Config{})
	s := r.open(t, "").live()
	removal := r.Remove()
	r.Append(domain.WorkspaceChannel("ws_acme"), "secret")

	removed := s.event()
	require.Equal(t, domain.ServerMemberRemoved, removed.Type)
	require.Equal(t, removal.String(), removed.id)
	goodbye := s.event()
	require.Equal(t, domain.ServerSystemGoodbye, goodbye.Type)
	require.JSONEq(t, "4403", string(goodbye.Code))
	require.False(t, goodbye.Reconnect)
	_, err := s.next()
	require.ErrorIs(t, err, io.EOF)
	r.gone(t)
	require.True(t, r.Presence.Left()[0].Clean)

	require.Equal(t, http.StatusNoContent, r.request(t, "", lastEventID(removed.id)).StatusCode)
	require.Equal(t, http.StatusUnauthorized, r.request(t, "").StatusCode)
}

func TestDrainSaysWhenToComeBack(t *testing.T) {
	r := start(t, sse.Config{}, hub.Config{})
	s := r.open(t, "").live()
	r.Hub.Drain(t.Context(), 0)
	goodbye := s.event()
	require.Equal(t, domain.ServerSystemGoodbye, goodbye.Type)
	require.JSONEq(t, "4503", string(goodbye.Code))
	require.Positive(t, goodbye.DelayMS)
	_, err := s.next()
	require.ErrorIs(t, err, io.EOF)
	r.gone(t)
	require.False(t, r.Presence.Left()[0].Clean)
}

func TestClientGone(t *testing.T) {
	r := start(t, sse.Config{}, hub.Config{})
	s := r.open(t, "").live()
	s.stop()
	r.gone(t)
	require.False(t, r.Presence.Left()[0].Clean, "a reload looks the same")
}

// A membership that ends between admission and registration looks as if it
// had ended before.
func TestMembershipEndsWhileConnecting(t *testing.T) {
	for header, want := range map[string]int{"": http.StatusUnauthorized, "e1-1": http.StatusNoContent} {
		world := transporttest.New(t, hub.Config{})
		sessions := auth.NewCookieSessions(world.Reader, auth.CookieConfig{})
		admission := auth.NewAdmission(sessions, transporttest.LeavingReader{Reader: world.Reader}, auth.AdmissionConfig{})
		req := world.Request(t, http.MethodGet, "/v1/sse?workspace=acme")
		req.Header.Set("Last-Event-ID", header)
		w := httptest.NewRecorder()
		sse.New(world.Hub, admission, sse.Config{}).Handle(w, req)
		require.Equal(t, want, w.Code)
	}
}

// dialRaw opens a stream on a connection whose reader the test controls.
func (r *rig) dialRaw(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.front.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(32<<10))
	_, err = io.WriteString(conn, "GET /v1/sse?workspace=acme HTTP/1.1\r\nHost: orbit.test\r\nCookie: "+r.Cookie.Name+"="+r.Cookie.Value+"\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.Presence.Sessions() == 1 }, patience, time.Millisecond)
	return conn
}

// clog writes more to acme than the kernel takes for a reader that doesn't read.
func (r *rig) clog() {
	text := strings.Repeat("x", 60_000)
	for range 300 {
		r.Append(domain.WorkspaceChannel("ws_acme"), text)
	}
}

// A reader that takes nothing for WriteWait is cut. gin's Flush swallows the
// error, and the stream would go on for nobody.
func TestSlowReaderIsCut(t *testing.T) {
	r := start(t, sse.Config{WriteWait: 50 * time.Millisecond}, hub.Config{})
	r.dialRaw(t)
	r.clog()
	r.gone(t)
	require.False(t, r.Presence.Left()[0].Clean)
}

// A write that is stuck must not keep a revoked reader's stream open.
func TestRevokedSlowReaderIsCut(t *testing.T) {
	r := start(t, sse.Config{WriteWait: time.Hour}, hub.Config{RevokeGrace: 10 * time.Millisecond})
	conn := r.dialRaw(t)
	r.clog()
	r.Remove()
	r.gone(t)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	got, _ := io.ReadAll(conn) // ends with a reset, or with the end
	require.NotContains(t, string(got), "workspace.member.removed")
}

// A slow reader who does read gets everything, in order, once.
func TestSlowReaderLosesNothing(t *testing.T) {
	const entries = 5000
	r := start(t, sse.Config{}, hub.Config{RingSize: 64})
	s := r.open(t, "").live()
	text := strings.Repeat("x", 2000) // 10 MB in all: more than the kernel holds
	for i := range entries {
		r.Append(domain.WorkspaceChannel("ws_acme"), text+strconv.Itoa(i))
	}
	for i := range entries {
		b := s.event()
		require.Equal(t, "e1-"+strconv.Itoa(i+1), b.id)
		require.Equal(t, text+strconv.Itoa(i), b.Workspace.Name)
	}
}

// A server's timeouts are for requests. WriteTimeout counts from the request
// on and would end every stream.
func TestServerTimeoutsDontEndStreams(t *testing.T) {
	const timeout = 100 * time.Millisecond
	r := start(t, sse.Config{}, hub.Config{Heartbeat: 50 * time.Millisecond}, func(s *http.Server) {
		s.ReadTimeout, s.WriteTimeout = timeout, timeout
	})
	s := r.open(t, "").live()
	for range 10 { // five times the timeout
		require.Equal(t, domain.ServerSystemHeartbeat, s.event().Type)
	}
}

// Over HTTP/2 a deadline that passes resets the stream even while it is idle.
func TestIdleHTTP2Stream(t *testing.T) {
	world := transporttest.New(t, hub.Config{Heartbeat: 100 * time.Millisecond})
	server := sse.New(world.Hub, world.Admission, sse.Config{WriteWait: 10 * time.Millisecond})
	front := httptest.NewUnstartedServer(http.HandlerFunc(server.Handle))
	front.EnableHTTP2 = true
	front.StartTLS()
	world.Cookie.Name = auth.SecureCookieName
	r := &rig{World: world, front: front, client: front.Client()}
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	s := r.open(t, "").live()
	require.Equal(t, 2, s.res.ProtoMajor)
	for range 3 { // each comes well after the deadline of the write before
		require.Equal(t, domain.ServerSystemHeartbeat, s.event().Type)
	}
}
