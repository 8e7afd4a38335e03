package ws_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

// Below TLS a write can't be tried without waiting, so the pump goes the other
// way: complete, in order, and cut when the right ends.
func TestTLS(t *testing.T) {
	world := transporttest.New(t, hub.Config{})
	server := ws.New(world.Hub, world.Admission, ws.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	front := httptest.NewTLSServer(http.HandlerFunc(server.Handle))
	world.Cookie.Name = auth.SecureCookieName
	t.Cleanup(func() { server.Close(); front.Close(); front.Client().CloseIdleConnections() })
	r := &rig{World: world, server: server, url: front.URL + "/v1/ws"}

	roots := front.Client().Transport.(*http.Transport).TLSClientConfig
	dialer := websocket.Dialer{TLSClientConfig: roots}
	conn, _, err := dialer.DialContext(t.Context(), strings.Replace(r.url, "https", "wss", 1)+"?workspace=acme", r.header())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	c := &client{Conn: conn, t: t}
	for c.next().Type != domain.ServerSystemLive {
	}
	for i := range 100 {
		r.Append(domain.WorkspaceChannel("ws_acme"), fmt.Sprint("news ", i))
	}
	for i := range 100 {
		require.Equal(t, fmt.Sprint("e1-", i+1), c.next().ID)
	}
	r.server.Close()
	code, _ := c.closed()
	require.Equal(t, domain.CloseGoingAway.Code, code)
	r.gone(t)
}
