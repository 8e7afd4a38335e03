package probe_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/probe"
	"github.com/orbit/realtime/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProbe(t *testing.T) {
	world := transporttest.New(t, hub.Config{MaxUserSessions: 1})
	server := probe.New(world.Hub, world.Admission)
	status := func(query string, edit func(*http.Request)) int {
		r := world.Request(t, http.MethodGet, "http://orbit.test/v1/probe?"+query)
		if edit != nil {
			edit(r)
		}
		w := httptest.NewRecorder()
		server.Handle(w, r)
		if w.Code != http.StatusNoContent {
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		}
		return w.Code
	}
	require.Equal(t, http.StatusNoContent, status("workspace=acme", nil))
	require.Equal(t, http.StatusNoContent, status("workspace=acme", func(r *http.Request) { r.Method = http.MethodHead }))
	require.Equal(t, http.StatusMethodNotAllowed, status("workspace=acme", func(r *http.Request) { r.Method = http.MethodPost }))
	require.Equal(t, http.StatusUnauthorized, status("workspace=nowhere", nil))
	require.Equal(t, http.StatusUnauthorized, status("workspace=acme", func(r *http.Request) { r.Header.Del("Cookie") }))
	require.Equal(t, http.StatusForbidden, status("workspace=acme", func(r *http.Request) { r.Header.Set("Origin", "http://evil.net") }))
	require.Equal(t, http.StatusBadRequest, status("workspace=acme&rooms=%2F", nil))

	world.Reader.Fail(domain.Transient(io.EOF, "database away"))
	require.Equal(t, http.StatusServiceUnavailable, status("workspace=acme", nil))
	world.Reader.Fail(nil)

	require.Zero(t, world.Presence.Sessions(), "probes register nothing")
	options, err := world.Admission.Admit(world.Request(t, http.MethodGet, "http://orbit.test/v1/probe?workspace=acme"))
	require.NoError(t, err)
	session, err := world.Hub.Register(t.Context(), options)
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, status("workspace=acme", nil))
	session.Close(true)

	world.Hub.Drain(t.Context(), 0)
	require.Equal(t, http.StatusServiceUnavailable, status("workspace=acme", nil))
}
