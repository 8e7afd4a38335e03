package ws_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/transporttest"
	"github.com/orbit/realtime/transport/ws"
)

func TestAuthSessionEnds(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	c := r.live(t, "")
	r.Hub.CloseAuthSession("login_owner", domain.CloseUnauthenticated)
	code, events := c.closed()
	require.Equal(t, domain.CloseUnauthenticated.Code, code)
	require.Empty(t, events)
	r.gone(t)
}

func TestRevocationIsTheLastEvent(t *testing.T) {
	for _, protocols := range [][]string{nil, {ws.Subprotocol}} {
		r := start(t, ws.Config{}, hub.Config{})
		c := r.live(t, "", protocols...)
		r.AppendMany(20)
		r.Remove()
		r.Append(domain.WorkspaceChannel("ws_acme"), "secret")
		code, events := c.closed()
		require.Equal(t, domain.CloseRevoked.Code, code)
		require.Len(t, events, 21)
		require.Equal(t, domain.ServerMemberRemoved, events[20].Type)
		r.gone(t)
		require.Equal(t, []transporttest.Leave{{MemberID: "mem_owner", Clean: true}}, r.Presence.Left())
	}
}

// The close frame has no place for the delay, so a goodbye tells it.
func TestDrainTellsTheDelay(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	c := r.live(t, "")
	r.Hub.Drain(t.Context(), 0)
	code, events := c.closed()
	require.Equal(t, domain.CloseDraining.Code, code)
	require.NotEmpty(t, events)
	goodbye := events[len(events)-1]
	require.Equal(t, domain.ServerSystemGoodbye, goodbye.Type)
	require.Positive(t, goodbye.DelayMS)
	require.True(t, goodbye.Reconnect)
	r.gone(t)
	require.False(t, r.Presence.Left()[0].Clean, "a deploy flickers nobody")
}

func TestCleanAndAbnormalEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end   func(*client)
		clean bool
	}{
		"1000": {func(c *client) { c.sayClose(websocket.CloseNormalClosure) }, true},
		"1001": {func(c *client) { c.sayClose(websocket.CloseGoingAway) }, true},
		"1005": {func(c *client) { c.sayClose(websocket.CloseNoStatusReceived) }, true},
		"1011": {func(c *client) { c.sayClose(websocket.CloseInternalServerErr) }, false},
		"1006": {func(c *client) { _ = c.NetConn().Close() }, false},
	} {
		r := start(t, ws.Config{}, hub.Config{})
		test.end(r.live(t, ""))
		r.gone(t)
		require.Equal(t, []transporttest.Leave{{MemberID: "mem_owner", Clean: test.clean}}, r.Presence.Left(), name)
	}
}

func (c *client) sayClose(code int) {
	require.NoError(c.t, c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(patience)))
}

// http.Server.Shutdown knows nothing of hijacked connections, and melody
// answers a dial after its Close with 200.
func TestServerClose(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	c := r.live(t, "")
	closing := make(chan struct{})
	go func() { defer close(closing); r.server.Close() }()
	code, _ := c.closed()
	require.Equal(t, domain.CloseGoingAway.Code, code)
	<-closing
	r.gone(t)
	r.server.Close() // idempotent

	_, res, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(r.url, "http", "ws", 1)+"?workspace=acme", r.header())
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
}

// What changes between admission and registration can't be told by a status
// anymore, for the upgrade has been answered.
func TestRegistrationFailsAfterTheUpgrade(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*transporttest.World)
		code    int
	}{
		"database away": {func(w *transporttest.World) { w.FailLog(domain.Transient(io.EOF, "away")) }, domain.CloseDraining.Code},
	} {
		world := transporttest.New(t, hub.Config{})
		test.prepare(world)
		r := startIn(t, world, ws.Config{})
		code, _ := r.dial(t, "").closed()
		require.Equal(t, test.code, code, name)
		require.Zero(t, r.Presence.Sessions())
	}

	// The membership ends after admission has looked.
	world := transporttest.New(t, hub.Config{})
	sessions := auth.NewCookieSessions(world.Reader, auth.CookieConfig{})
	leaving := transporttest.LeavingReader{Reader: world.Reader}
	world.Admission = auth.NewAdmission(sessions, leaving, auth.AdmissionConfig{})
	r := startIn(t, world, ws.Config{})
	code, events := r.dial(t, "").closed()
	require.Equal(t, domain.CloseRevoked.Code, code)
	require.Empty(t, events)
}
