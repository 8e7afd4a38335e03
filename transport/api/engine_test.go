package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/api"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/problem"
)

func serve(h http.Handler, method, path string, header ...string) (*httptest.ResponseRecorder, problem.Document) {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var doc problem.Document
	_ = json.Unmarshal(w.Body.Bytes(), &doc) // not every answer is one
	return w, doc
}

func TestPanicsAreAnsweredAndLogged(t *testing.T) {
	var logs bytes.Buffer
	engine := api.NewEngine(slog.New(slog.NewTextHandler(&logs, nil)))
	engine.GET("/boom", func(*gin.Context) { panic("password=hunter2") })
	w, doc := serve(engine, "GET", "/boom")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Equal(t, domain.CodeInternal, doc.Code)
	require.NotContains(t, w.Body.String(), "hunter2")
	require.Contains(t, logs.String(), "hunter2")
	require.Contains(t, logs.String(), "engine_test.go", "the stack")
}

// A handler that panics halfway through its answer can't take it back: nothing
// may be added to what the client has.
func TestPanicAfterTheAnswerBegan(t *testing.T) {
	engine := api.NewEngine(slog.New(slog.DiscardHandler))
	engine.GET("/boom", func(c *gin.Context) {
		c.String(http.StatusOK, "half")
		panic("too late")
	})
	w, _ := serve(engine, "GET", "/boom")
	require.Equal(t, "half", w.Body.String())
}

func TestAbortPassesThrough(t *testing.T) {
	engine := api.NewEngine(slog.New(slog.DiscardHandler))
	engine.GET("/cut", func(*gin.Context) { panic(http.ErrAbortHandler) })
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { serve(engine, "GET", "/cut") })
}

func TestEveryAnswerIsNamedAndGuarded(t *testing.T) {
	engine := api.NewEngine(slog.New(slog.DiscardHandler))
	engine.GET("/ok", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	for _, path := range []string{"/ok", "/nothing"} {
		w, _ := serve(engine, "GET", path)
		require.True(t, domain.ValidID(w.Header().Get(problem.RequestIDHeader)))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		require.Equal(t, "DENY", w.Header().Get("X-Frame-Options"))
		w, _ = serve(engine, "GET", path, problem.RequestIDHeader, "from-the-proxy_1")
		require.Equal(t, "from-the-proxy_1", w.Header().Get(problem.RequestIDHeader))
		w, _ = serve(engine, "GET", path, problem.RequestIDHeader, "<script>")
		require.NotContains(t, w.Header().Get(problem.RequestIDHeader), "<")
	}
	w, doc := serve(engine, "POST", "/ok")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "GET", w.Header().Get("Allow"))
	require.Contains(t, doc.Detail, "POST")
}

// gin trusts every proxy by default: anybody could claim any address.
func TestNoProxyIsTrusted(t *testing.T) {
	engine := api.NewEngine(slog.New(slog.DiscardHandler))
	engine.GET("/ip", func(c *gin.Context) { c.String(http.StatusOK, c.ClientIP()) })
	w, _ := serve(engine, "GET", "/ip", "X-Forwarded-For", "6.6.6.6")
	require.NotEqual(t, "6.6.6.6", w.Body.String())
}

func TestRequestsAreLoggedAtDebug(t *testing.T) {
	var logs bytes.Buffer
	engine := api.NewEngine(slog.New(slog.NewTextHandler(&logs, nil)))
	serve(engine, "GET", "/nothing")
	require.Empty(t, logs.String())
	engine = api.NewEngine(slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	serve(engine, "GET", "/nothing?token=secret")
	require.Contains(t, logs.String(), "path=/nothing status=404")
	require.NotContains(t, logs.String(), "secret")
}

func TestLoginOnlyExistsWithDemo(t *testing.T) {
	engine := api.NewEngine(slog.New(slog.DiscardHandler))
	api.New(api.Config{Sessions: signedIn{}}).Register(engine)
	w, doc := serve(engine, "POST", "/v1/demo/login")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Equal(t, domain.CodeNotFound, doc.Code)
}

// signedIn takes everybody for the same user.
type signedIn struct{ auth.Sessions }

func (signedIn) Authenticate(context.Context, *http.Request) (auth.Identity, error) {
	return auth.Identity{SessionID: "ses_1", UserID: "usr_1"}, nil
}

// away is a database that can't be reached.
type away struct{}

func (away) Read(context.Context, func(domain.Reader) error) error {
	return domain.Transient(errors.New("dial tcp 10.0.0.7: refused"), "the database is not available")
}

func (away) Write(context.Context, func(domain.Tx) error) error {
	return domain.Transient(errors.New("dial tcp 10.0.0.7: refused"), "the database is not available")
}

func TestDatabaseAway(t *testing.T) {
	engine := api.NewEngine(slog.New(slog.DiscardHandler))
	api.New(api.Config{Sessions: signedIn{}, Commands: domain.Commands{UoW: away{}}}).Register(engine)
	w, doc := serve(engine, "GET", "/v1/workspaces/acme/snapshot")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, domain.CodeUnavailable, doc.Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.NotContains(t, w.Body.String(), "10.0.0.7")
}

// Whatever is in the body, the answer is coded and nothing breaks.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"name":"x"}`, `{"name":"x"}}`, `{"name":1}`, `{"memberIds":[null]}`, `{"private":"yes"}`, `{"a":1}`,
		`{`, ``, `null`, `[]`, `{"name":"\ud800"}`, "\xff", `{"name":"x","name":"y"}`, strings.Repeat(`{"name":`, 100),
	} {
		f.Add(seed)
	}
	engine := api.NewEngine(slog.New(slog.DiscardHandler))
	api.New(api.Config{Sessions: signedIn{}, Commands: domain.Commands{UoW: away{}}}).Register(engine)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/v1/workspaces/acme/rooms", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, r)
		// A body that is accepted goes on to the database, which is away.
		require.Contains(t, []int{400, 413, 422, 503}, w.Code)
	})
}
