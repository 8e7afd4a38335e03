package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/transport/api"
	"github.com/orbit/realtime/transport/problem"
)

// With the demo's page, unknown paths used to be answered by its file server,
// in plain text, where the same server without it sends problem documents.
func TestThePageLeavesProblemsToTheAPI(t *testing.T) {
	engine := api.NewEngine(slog.New(slog.DiscardHandler))
	withPage(engine)
	for _, tc := range []struct {
		method, path string
		status       int
		contentType  string
	}{
		{http.MethodGet, "/", http.StatusOK, "text/html; charset=utf-8"},
		{http.MethodHead, "/style.css", http.StatusOK, "text/css; charset=utf-8"},
		{http.MethodPost, "/", http.StatusMethodNotAllowed, problem.ContentType},
		{http.MethodGet, "/nothing", http.StatusNotFound, problem.ContentType},
		{http.MethodGet, "/dist/app.js", http.StatusNotFound, problem.ContentType},
		{http.MethodGet, "/v1/nothing", http.StatusNotFound, problem.ContentType},
	} {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		require.Equal(t, tc.status, w.Code, "%s %s", tc.method, tc.path)
		require.Equal(t, tc.contentType, w.Header().Get("Content-Type"), "%s %s", tc.method, tc.path)
	}
}
