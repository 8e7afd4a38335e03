package e2e

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/transport/console"
)

// admin asks the admin API with a token ("" for none).
func admin(t *testing.T, method, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

// TestNothingOfTheAdminSideIsPublic: on the listener that clients reach there
// is no such address, whoever asks.
func TestNothingOfTheAdminSideIsPublic(t *testing.T) {
	cfg := testConfig(sqliteDSN(t))
	cfg.AdminTokens = []string{"alice:operator:token-of-alice-01"}
	a := start(t, cfg)
	paths := []string{"/ops", "/ops/poison", "/ops/sign-in", "/ops/static/ops.css", "/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/pprof/heap", console.Prefix}
	for _, route := range console.Routes {
		paths = append(paths, console.Prefix+route.Path)
	}
	for _, path := range paths {
		status, _ := admin(t, http.MethodGet, a.BaseURL()+path, "token-of-alice-01")
		require.Equal(t, http.StatusNotFound, status, path)
	}
	status, _ := admin(t, http.MethodGet, a.AdminURL()+console.Prefix+"/status", "token-of-alice-01")
	require.Equal(t, http.StatusOK, status)
	status, _ = admin(t, http.MethodGet, a.AdminURL()+console.Prefix+"/status", "")
	require.Equal(t, http.StatusUnauthorized, status, "operators that are configured end the demo's")
	status, _ = admin(t, http.MethodGet, a.AdminURL()+"/readyz", "")
	require.Equal(t, http.StatusOK, status, "health needs no token")
}
