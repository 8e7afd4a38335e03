package console

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

const (
	operatorToken = "operator-token-of-alice"
	viewerToken   = "viewer-token-of-bob"
)

// serve runs a console over a world until the test ends.
func serve(t *testing.T, w *world, change func(*Config)) *httptest.Server {
	t.Helper()
	cfg := Config{
		Ports: w.ports(), Loopback: true, Build: "test",
		Operators: []Operator{NewOperator("alice", RoleOperator, operatorToken), NewOperator("bob", RoleViewer, viewerToken)},
	}
	if change != nil {
		change(&cfg)
	}
	c := New(cfg)
	server := httptest.NewServer(c)
	t.Cleanup(func() { c.Close(); server.Close() })
	return server
}

type answered struct {
	*http.Response
	body string
}

func (a answered) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &v), a.body)
	return v
}

// ask sends one request; headers come in pairs, and an empty one is left out.
func ask(t *testing.T, server *httptest.Server, method, path, token, body string, headers ...string) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answered{resp, string(text)}
}

// samples are a call of each route that works, for an operator, in this order.
var samples = map[string]struct {
	path, body string
	status     int
}{
	"GET /whoami":                         {"/whoami", "", 200},
	"GET /status":                         {"/status", "", 200},
	"GET /poison/groups":                  {"/poison/groups?state=open&q=column&since=24h", "", 200},
	"GET /poison/groups/{fingerprint}":    {"/poison/groups/00000000000000aa", "", 200},
	"GET /poison/messages":                {"/poison/messages?state=open,healed&workspace=acme&detail=true&limit=5", "", 200},
	"GET /poison/stats":                   {"/poison/stats?type=workspaces.member.updated", "", 200},
	"GET /poison/messages/{id}":           {"/poison/messages/psn_1", "", 200},
	"GET /poison/messages/{id}/preview":   {"/poison/messages/psn_1/preview", "", 200},
	"GET /poison/messages/{id}/aggregate": {"/poison/messages/psn_1/aggregate", "", 200},
	"GET /poison/messages/{id}/fixture":   {"/poison/messages/psn_1/fixture", "", 200},
	"POST /poison/messages/{id}/requeue":  {"/poison/messages/psn_1/requeue", "", 200},
	"POST /poison/messages/{id}/discard":  {"/poison/messages/psn_2/discard", `{"reason":"a test"}`, 200},
	"POST /poison/messages/{id}/restore":  {"/poison/messages/psn_2/restore", "", 200},
	"POST /operations":                    {"/operations", `{"kind":"requeue","filter":{"ids":["psn_3"]},"expect":1}`, 201},
	"GET /operations":                     {"/operations?limit=3", "", 200},
	"GET /operations/{id}":                {"/operations/op_0", "", 200},
	"GET /operations/{id}/items":          {"/operations/op_0/items?state=pending", "", 200},
	"POST /operations/{id}/cancel":        {"/operations/op_0/cancel", "", 200},
	"GET /audit":                          {"/audit?outcome=done", "", 200},
	"GET /trace/{event}":                  {"/trace/event-1?tab=ses_1", "", 200},
	"GET /presence":                       {"/presence", "", 200},
	"GET /sessions":                       {"/sessions?workspace=acme", "", 200},
	"DELETE /sessions/{id}":               {"/sessions/ses_1?reason=test", "", 204},
}

// streaming routes have tests of their own.
var streaming = []string{"GET /live", "GET /tail"}

func stocked() *world {
	w := newWorld()
	for i := range 3 {
		w.add(i+1, nil)
	}
	w.operations = []domain.Operation{{ID: "op_0", Kind: domain.OperationRequeue, State: domain.OperationRunning, Total: 1, Pending: 1}}
	return w
}

// TestEveryRoute calls every route of the table as everybody there is.
func TestEveryRoute(t *testing.T) {
	server := serve(t, stocked(), nil)
	for _, route := range Routes {
		name := route.Method + " " + route.Path
		if slices.Contains(streaming, name) {
			continue
		}
		sample, ok := samples[name]
		require.True(t, ok, "%s has no sample", name)
		path := Prefix + sample.path

		require.Equal(t, 401, ask(t, server, route.Method, path, "", sample.body).StatusCode, "nobody: %s", name)
		require.Equal(t, 401, ask(t, server, route.Method, path, "", sample.body, "Cookie", cookieName+"=made-up").StatusCode, "a made-up session: %s", name)
		if route.Method != http.MethodGet {
			require.Equal(t, 403, ask(t, server, route.Method, path, operatorToken, sample.body, "Sec-Fetch-Site", "cross-site").StatusCode, "another site's page: %s", name)
		}
		want := sample.status
		if route.Role == RoleOperator {
			want = 403
		}
		require.Equal(t, want, ask(t, server, route.Method, path, viewerToken, sample.body).StatusCode, "a viewer: %s", name)

		unknown := path + "?nonsense=1"
		if strings.Contains(path, "?") {
			unknown = path + "&nonsense=1"
		}
		a := ask(t, server, route.Method, unknown, operatorToken, sample.body)
		require.Equal(t, 400, a.StatusCode, name)
		require.Equal(t, "nonsense", a.json(t)["field"], name)

		a = ask(t, server, route.Method, path, operatorToken, sample.body)
		require.Equal(t, sample.status, a.StatusCode, "%s: %s", name, a.body)
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), name)
		if a.body != "" {
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"), name)
			require.Equal(t, "application/json", a.Header.Get("Content-Type"), name)
		}
	}
}

// TestDenialsAreAudited: what a viewer tried is on record.
func TestDenialsAreAudited(t *testing.T) {
	w := stocked()
	server := serve(t, w, nil)
	ask(t, server, "POST", Prefix+"/poison/messages/psn_1/requeue", viewerToken, "")
	ask(t, server, "DELETE", Prefix+"/sessions/ses_1", viewerToken, "")
	ask(t, server, "GET", Prefix+"/whoami", "wrong-wrong-wrong-wrong", "")
	a := ask(t, server, "GET", Prefix+"/audit?outcome=denied", viewerToken, "")
	var list List[domain.AuditEntry]
	require.NoError(t, json.Unmarshal([]byte(a.body), &list))
	require.Len(t, list.Items, 3)
	require.Equal(t, []string{"login", "session.close", "poison.requeue"}, []string{list.Items[0].Action, list.Items[1].Action, list.Items[2].Action})
	require.Equal(t, "bob", list.Items[2].Operator)
	require.Equal(t, "psn_1", list.Items[2].Target)
	require.Empty(t, w.closed)
	require.NotContains(t, a.body, "wrong-wrong", "a token that was tried is nobody's business")
}

// TestBadInput is a table of what must not get through, each with the answer.
func TestBadInput(t *testing.T) {
	server := serve(t, stocked(), nil)
	for name, tc := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		field              string
	}{
		"unknown state":         {"GET", "/poison/messages?state=lost", "", nil, 400, "state"},
		"limit zero":            {"GET", "/poison/messages?limit=0", "", nil, 400, "limit"},
		"limit a word":          {"GET", "/audit?limit=all", "", nil, 400, "limit"},
		"limit too big":         {"GET", "/poison/groups?limit=1001", "", nil, 400, "limit"},
		"a cursor made up":      {"GET", "/poison/messages?after=zzz", "", nil, 400, "after"},
		"since nonsense":        {"GET", "/poison/messages?since=yesterday", "", nil, 400, "since"},
		"not UTF-8":             {"GET", "/poison/messages?q=%ff", "", nil, 400, "q"},
		"a NUL":                 {"GET", "/poison/messages?q=%00x", "", nil, 400, "q"},
		"an id of another kind": {"GET", "/poison/messages/..%2f..%2fetc", "", nil, 404, ""},
		"no such message":       {"GET", "/poison/messages/psn_9", "", nil, 404, ""},
		"no such group":         {"GET", "/poison/groups/ffff", "", nil, 404, ""},
		"no such operation":     {"GET", "/operations/op_9", "", nil, 404, ""},
		"no such event":         {"GET", "/trace/event-9", "", nil, 404, ""},
		"no such session":       {"DELETE", "/sessions/ses_9", "", nil, 404, ""},
		"no such address":       {"GET", "/nonsense", "", nil, 404, ""},
		"wrong method":          {"DELETE", "/poison/messages", "", nil, 405, ""},
		"a form":                {"POST", "/poison/messages/psn_1/discard", "reason=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "Content-Type"},
		"an unknown field":      {"POST", "/poison/messages/psn_1/discard", `{"reason":"x","force":true}`, nil, 400, "force"},
		"a discard without why": {"POST", "/poison/messages/psn_1/discard", `{"reason":"  "}`, nil, 400, "reason"},
		"a long reason":         {"POST", "/poison/messages/psn_1/discard", `{"reason":"` + strings.Repeat("x", 1001) + `"}`, nil, 400, "reason"},
		"a big body":            {"POST", "/poison/messages/psn_1/discard", `{"reason":"` + strings.Repeat("x", maxBody) + `"}`, nil, 413, ""},
		"an ETag of others":     {"POST", "/poison/messages/psn_1/requeue", "", []string{"If-Match", `W/"1"`}, 400, "If-Match"},
		"an old ETag":           {"POST", "/poison/messages/psn_1/requeue", "", []string{"If-Match", `"7"`}, 412, ""},
		"a key too long":        {"POST", "/poison/messages/psn_1/requeue", "", []string{"Idempotency-Key", strings.Repeat("k", 129)}, 400, "Idempotency-Key"},
		"restore what is open":  {"POST", "/poison/messages/psn_1/restore", "", nil, 409, ""},
		"an unknown kind":       {"POST", "/operations", `{"kind":"delete","expect":3}`, nil, 400, "kind"},
		"no expectation":        {"POST", "/operations", `{"kind":"requeue"}`, nil, 400, "expect"},
		"another expectation":   {"POST", "/operations", `{"kind":"requeue","expect":2}`, nil, 409, ""},
		"a filter misspelt":     {"POST", "/operations", `{"kind":"requeue","filter":{"workspace":"acme"},"expect":3}`, nil, 400, "workspace"},
		"a state that can't be": {"POST", "/operations", `{"kind":"requeue","filter":{"states":["healed"]},"expect":3}`, nil, 400, "filter.states"},
		"discard all, no why":   {"POST", "/operations", `{"kind":"discard","expect":3}`, nil, 400, "reason"},
		"a tail of nothing":     {"GET", "/tail", "", nil, 400, "workspace"},
		"a tail of nobody":      {"GET", "/tail?workspace=nobody", "", nil, 404, ""},
		"a tail from nowhere":   {"GET", "/tail?workspace=acme&after=x", "", nil, 400, "after"},
		"by another name":       {"GET", "/whoami", "", []string{"Host", "attacker.example"}, 421, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, server, tc.method, Prefix+tc.path, operatorToken, tc.body, tc.headers...)
			require.Equal(t, tc.status, a.StatusCode, a.body)
			require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"))
			doc := a.json(t)
			require.NotEmpty(t, doc["type"])
			require.NotEmpty(t, doc["instance"])
			if tc.field != "" {
				require.Equal(t, tc.field, doc["field"], a.body)
			}
		})
	}
}

func TestETagAndSecondPress(t *testing.T) {
	server := serve(t, stocked(), nil)
	a := ask(t, server, "GET", Prefix+"/poison/messages/psn_1", operatorToken, "")
	tag := a.Header.Get("ETag")
	require.Equal(t, `"1"`, tag)
	require.Equal(t, "1", a.json(t)["version"], "64-bit numbers travel as strings")

	a = ask(t, server, "POST", Prefix+"/poison/messages/psn_1/requeue", operatorToken, `{"reason":"fixed in v2"}`, "If-Match", tag)
	require.Equal(t, 200, a.StatusCode, a.body)
	require.Equal(t, "requeued", a.json(t)["state"])
	require.Equal(t, `"2"`, a.Header.Get("ETag"))

	require.Equal(t, 409, ask(t, server, "POST", Prefix+"/poison/messages/psn_1/requeue", operatorToken, "").StatusCode, "once")
	require.Equal(t, 412, ask(t, server, "POST", Prefix+"/poison/messages/psn_1/requeue", operatorToken, "", "If-Match", tag).StatusCode, "the version is old")
}

func TestOperations(t *testing.T) {
	w := stocked()
	server := serve(t, w, nil)
	a := ask(t, server, "POST", Prefix+"/operations", operatorToken, `{"kind":"requeue","dryRun":true}`)
	require.Equal(t, 200, a.StatusCode)
	require.EqualValues(t, 3, a.json(t)["matching"])
	require.Len(t, w.operations, 1, "a dry run makes nothing")

	body := `{"kind":"requeue","filter":{"workspaceId":"acme"},"expect":3}`
	a = ask(t, server, "POST", Prefix+"/operations", operatorToken, body, "Idempotency-Key", "k1")
	require.Equal(t, 201, a.StatusCode, a.body)
	id := a.json(t)["id"].(string)
	require.Equal(t, Prefix+"/operations/"+id, a.Header.Get("Location"))
	again := ask(t, server, "POST", Prefix+"/operations", operatorToken, body, "Idempotency-Key", "k1")
	require.Equal(t, id, again.json(t)["id"], "the same request twice is one operation")
	require.Len(t, w.operations, 2)

	a = ask(t, server, "POST", Prefix+"/operations/"+id+"/cancel", operatorToken, "")
	require.Equal(t, "cancelled", a.json(t)["state"])
	require.Equal(t, 409, ask(t, server, "POST", Prefix+"/operations/"+id+"/cancel", operatorToken, "").StatusCode)
}

func TestViewersSeeStructureNotValues(t *testing.T) {
	w := stocked()
	w.add(8, func(p *domain.Poison) {
		p.Error, p.ErrorClass, p.Stack = "no room for Olive Owner, she said 'let me in'", "panic", "goroutine 1\nproject(Olive Owner)"
		p.ErrorChain, p.Attempts[0].Error = []string{"mail to olive@acme.test bounced"}, "Olive Owner again"
		p.Event.Payload = json.RawMessage(`{"version":7,"name":"Olive Owner","by":{"olive@acme.test":[1,true,null]}}`)
	})
	server := serve(t, w, nil)
	for _, path := range []string{
		"/poison/messages/psn_8", "/poison/messages?detail=true", "/poison/messages", "/poison/messages/psn_8/preview", "/poison/messages/psn_8/aggregate",
	} {
		a := ask(t, server, "GET", Prefix+path, viewerToken, "")
		require.Equal(t, 200, a.StatusCode, path)
		require.NotContains(t, a.body, "Olive", path)
		require.NotContains(t, a.body, "olive@acme.test", path)
		require.NotContains(t, a.body, "let me in", path)
	}
	// Where the error's words turn up again: they were masked in the message alone.
	w.add(9, func(p *domain.Poison) {
		p.Error, p.Fingerprint = "no room for Olive Owner of 20240607", "00000000000000bb"
		p.Attempts[0].Error, p.Where = p.Error, "no room for Olive Owner of <n>"
		p.Event.Payload = json.RawMessage(`{"name":"Olive Owner","born":20240607}`)
	})
	w.trace = &domain.Trace{EventID: "event-9", PoisonID: "psn_9", Attempts: []domain.PoisonAttempt{{Error: "no room for Olive Owner of 20240607"}}}
	w.items["op_0"] = []domain.OperationItem{{PoisonID: "psn_9", State: domain.ItemFailed, Detail: "no room for Olive Owner of 20240607"}}
	for _, path := range []string{
		"/poison/messages/psn_9", "/poison/groups", "/poison/groups/00000000000000bb", "/operations/op_0/items", "/trace/event-9",
	} {
		a := ask(t, server, "GET", Prefix+path, operatorToken, "")
		require.Contains(t, a.body, "Olive Owner", path)
		a = ask(t, server, "GET", Prefix+path, viewerToken, "")
		require.Equal(t, 200, a.StatusCode, path)
		require.NotContains(t, a.body, "Olive", path)
		require.NotContains(t, a.body, "20240607", path)
	}

	// Nor can a viewer guess them: the search would say whether they are there.
	for _, path := range []string{"/poison/messages?q=olive", "/poison/groups?q=olive"} {
		require.Contains(t, ask(t, server, "GET", Prefix+path, operatorToken, "").body, "Olive", path)
		require.Empty(t, ask(t, server, "GET", Prefix+path, viewerToken, "").json(t)["items"], path)
	}
	require.Len(t, ask(t, server, "GET", Prefix+"/poison/messages?q=PSN_8", viewerToken, "").json(t)["items"], 1)
	require.EqualValues(t, 0, ask(t, server, "GET", Prefix+"/poison/stats?q=olive", viewerToken, "").json(t)["counts"].(map[string]any)["open"])

	m := ask(t, server, "GET", Prefix+"/poison/messages/psn_8", viewerToken, "").json(t)
	require.Equal(t, true, m["redacted"])
	require.Equal(t, map[string]any{"version": "(number)", "name": "(text)", "by": map[string]any{"•••": []any{"(number)", "(true or false)", nil}}}, m["payload"])
	require.Contains(t, m["error"], "no room for •••")
	require.Equal(t, "req_1", m["metadata"].(map[string]any)["correlation_id"], "what isn't a tenant's stays")

	m = ask(t, server, "GET", Prefix+"/poison/messages/psn_8", operatorToken, "").json(t)
	require.Contains(t, m["error"], "Olive Owner")
}

// TestHostilePayload: whatever was published, the answer is JSON in UTF-8.
func TestHostilePayload(t *testing.T) {
	w := newWorld()
	w.add(1, func(p *domain.Poison) { p.Event.Payload, p.Error = []byte("\xff\xfe{"), "bad \xff byte" })
	w.add(2, func(p *domain.Poison) { p.Event.Payload = json.RawMessage(`"` + strings.Repeat("A", 1<<20) + `"`) })
	server := serve(t, w, nil)
	require.Equal(t, "\uFFFD{", ask(t, server, "GET", Prefix+"/poison/messages/psn_1", operatorToken, "").json(t)["payload"])
	require.Greater(t, len(ask(t, server, "GET", Prefix+"/poison/messages/psn_2", operatorToken, "").body), 1<<20)
	require.Less(t, len(ask(t, server, "GET", Prefix+"/poison/messages", operatorToken, "").body), 1<<14, "a list leaves payloads out")
}

// TestGuessing: ten wrong tokens, and the address has to wait; a session that
// is open already goes on.
func TestGuessing(t *testing.T) {
	server := serve(t, stocked(), nil)
	cookie, _ := signIn(t, server, operatorToken)
	for range 10 {
		require.Equal(t, 401, ask(t, server, "GET", Prefix+"/whoami", "wrong-wrong-wrong-wrong", "").StatusCode)
	}
	a := ask(t, server, "GET", Prefix+"/whoami", operatorToken, "")
	require.Equal(t, 429, a.StatusCode)
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	require.Equal(t, 200, ask(t, server, "GET", Prefix+"/whoami", "", "", "Cookie", cookie).StatusCode)
}

func TestNobodyConfigured(t *testing.T) {
	server := serve(t, stocked(), func(c *Config) { c.Operators = nil })
	a := ask(t, server, "GET", Prefix+"/poison/messages", "", "")
	require.Equal(t, 401, a.StatusCode)
	require.Contains(t, a.body, "ORBIT_ADMIN_TOKENS")
	require.Equal(t, 401, ask(t, server, "GET", Prefix+"/poison/messages", "any-token-there-may-be", "").StatusCode)
	a = ask(t, server, "GET", "/ops/sign-in", "", "")
	require.Contains(t, a.body, "ORBIT_ADMIN_TOKENS")
	require.NotContains(t, a.body, `<form method="post"`, "there is nothing to sign in with")
}

func TestDemoOperator(t *testing.T) {
	server := serve(t, stocked(), func(c *Config) { c.Operators, c.Demo = nil, true })
	require.Equal(t, "demo operator", ask(t, server, "GET", Prefix+"/whoami", "", "").json(t)["operator"])
	require.Equal(t, 200, ask(t, server, "POST", Prefix+"/poison/messages/psn_1/requeue", "", "").StatusCode)
	require.Equal(t, 403, ask(t, server, "POST", Prefix+"/poison/messages/psn_2/requeue", "", "", "Origin", "https://evil.example").StatusCode)
	require.Contains(t, ask(t, server, "GET", "/ops", "", "").body, "everybody who reaches this machine")

	configured := serve(t, stocked(), func(c *Config) { c.Demo = true })
	require.Equal(t, 401, ask(t, configured, "GET", Prefix+"/whoami", "", "").StatusCode, "operators that are configured end the demo's")
}

// open starts reading a stream.
func open(t *testing.T, server *httptest.Server, path, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+Prefix+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestLive(t *testing.T) {
	w := stocked()
	resp := open(t, serve(t, w, nil), "/live", viewerToken)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	read := readUntil(t, resp.Body, `"counts":{"discarded":0`)
	require.Contains(t, read, "event: status\n")
	require.Contains(t, read, "event: poison\n")
	w.add(9, nil)
	readUntil(t, resp.Body, `"open":4`)
}

func TestTail(t *testing.T) {
	server := serve(t, stocked(), nil)
	for token, want := range map[string]string{operatorToken: `"name":"Olive"`, viewerToken: `"name":"(text)"`} {
		resp := open(t, server, "/tail?workspace=acme", token)
		require.Equal(t, "application/x-ndjson", resp.Header.Get("Content-Type"))
		require.Contains(t, readUntil(t, resp.Body, `"position":"k3f9-3"`), want)
	}
}

// readUntil reads a stream until it holds want.
func readUntil(t *testing.T, r io.Reader, want string) string {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		var read strings.Builder
		buf := make([]byte, 64<<10)
		for !strings.Contains(read.String(), want) {
			n, err := r.Read(buf)
			read.Write(buf[:n])
			if err != nil {
				break
			}
		}
		found <- read.String()
	}()
	select {
	case read := <-found:
		require.Contains(t, read, want)
		return read
	case <-time.After(30 * time.Second):
		t.Fatal("the stream never said ", want)
	}
	return ""
}

// TestCloseEndsStreams: a listener that shuts down doesn't wait for operators
// who watch.
func TestCloseEndsStreams(t *testing.T) {
	c := New(Config{Ports: stocked().ports(), Operators: []Operator{NewOperator("alice", RoleOperator, operatorToken)}})
	server := httptest.NewServer(c)
	defer server.Close()
	resp := open(t, server, "/tail?workspace=acme", operatorToken)
	c.Close()
	_, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
}

func TestProfilesAreForOperators(t *testing.T) {
	server := serve(t, stocked(), nil)
	for token, status := range map[string]int{"": 401, viewerToken: 403, operatorToken: 200} {
		require.Equal(t, status, ask(t, server, "GET", "/debug/pprof/heap?debug=1", token, "").StatusCode, token)
	}
}

// signIn trades a token for a session's cookie and its form token.
func signIn(t *testing.T, server *httptest.Server, token string) (cookie, csrf string) {
	t.Helper()
	a := ask(t, server, "POST", "/ops/sign-in", "", url.Values{"token": {token}, "next": {"/ops/poison"}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	require.Equal(t, 303, a.StatusCode, a.body)
	require.Equal(t, "/ops/poison", a.Header.Get("Location"))
	require.Len(t, a.Cookies(), 1)
	c := a.Cookies()[0]
	require.True(t, c.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, c.SameSite)
	cookie = c.Name + "=" + c.Value
	page := ask(t, server, "GET", "/ops/poison", "", "", "Cookie", cookie)
	require.Equal(t, 200, page.StatusCode)
	_, rest, found := strings.Cut(page.body, `name="csrf" value="`)
	require.True(t, found)
	csrf, _, _ = strings.Cut(rest, `"`)
	return cookie, csrf
}
