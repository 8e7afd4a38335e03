package api_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
	"github.com/orbit/realtime/transport/api"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/problem"
)

// site is the API over a real database with the demo in it.
type site struct {
	*testing.T
	store     *store.Store
	handler   http.Handler
	clock     time.Time
	signedOut []string
	online    []string
}

func eachSite(t *testing.T, fn func(s *site)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s := &site{T: t, store: db, clock: time.Now(), online: []string{}}
		now := func() time.Time { return s.clock }
		commands := domain.Commands{UoW: db, Now: now}
		require.NoError(t, commands.SeedDemo(t.Context()))
		cookies := auth.NewCookieSessions(db.Reader(), auth.CookieConfig{Now: now})
		engine := api.NewEngine(slog.New(slog.DiscardHandler))
		api.New(api.Config{
			Commands: commands, Reader: db.Reader(), Directory: db,
			Sessions: cookies, Cookies: cookies, Demo: true,
			Online:      func(string) []string { return s.online },
			OnSignedOut: func(id string) { s.signedOut = append(s.signedOut, id) },
		}).Register(engine)
		s.handler = engine
		fn(s)
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

// ask sends a request as a demo user; "" is somebody not signed in.
func (s *site) ask(short, method, path, body string, header ...string) answer {
	s.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if short != "" {
		r.AddCookie(s.cookie(short))
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return s.send(r)
}

func (s *site) send(r *http.Request) answer {
	s.Helper()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header()}
	raw, err := io.ReadAll(w.Body)
	require.NoError(s, err)
	if len(raw) > 0 {
		require.NoError(s, json.Unmarshal(raw, &a.body), "%s", raw)
	}
	return a
}

func (s *site) cookie(short string) *http.Cookie {
	s.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/v1/demo/login", strings.NewReader(`{"user":"`+short+`"}`))
	r.Header.Set("Content-Type", "application/json")
	s.handler.ServeHTTP(w, r)
	require.Equal(s, http.StatusOK, w.Code, w.Body.String())
	return w.Result().Cookies()[0]
}

// refused checks that an answer is a problem document of a kind.
func (s *site) refused(a answer, status int, code domain.Code, field string) {
	s.Helper()
	require.Equal(s, status, a.status, "%v", a.body)
	require.Equal(s, problem.ContentType, a.header.Get("Content-Type"))
	require.Equal(s, string(code), a.body["code"])
	require.EqualValues(s, status, a.body["status"])
	require.NotEmpty(s, a.body["detail"])
	require.Equal(s, a.header.Get(problem.RequestIDHeader), a.body["instance"])
	if field != "" {
		require.Equal(s, field, a.body["field"])
	}
	require.Empty(s, a.header.Get(api.EventIDHeader))
}

// expand puts ids of acme's things in the place of {names}.
func (s *site) expand(text string) string {
	s.Helper()
	ctx, read := s.Context(), s.store.Reader()
	workspace, err := read.WorkspaceBySlug(ctx, "acme")
	require.NoError(s, err)
	members, err := read.Members(ctx, workspace.ID)
	require.NoError(s, err)
	roles, err := read.Roles(ctx, workspace.ID)
	require.NoError(s, err)
	rooms, err := read.Rooms(ctx, workspace.ID)
	require.NoError(s, err)
	teams, err := read.Teams(ctx, workspace.ID)
	require.NoError(s, err)
	pairs := []string{"{workspace}", workspace.ID}
	for _, m := range members {
		short, _, _ := strings.Cut(m.Email, "@")
		pairs = append(pairs, "{member:"+short+"}", m.ID)
	}
	for _, r := range roles {
		pairs = append(pairs, "{role:"+r.Name+"}", r.ID)
	}
	for _, t := range teams {
		pairs = append(pairs, "{team:"+t.Name+"}", t.ID)
	}
	for _, r := range rooms {
		pairs = append(pairs, "{room:"+r.Name+"}", r.ID)
		messages, err := read.Messages(ctx, workspace.ID, r.ID, "", 1)
		require.NoError(s, err)
		if len(messages) > 0 {
			pairs = append(pairs, "{message:"+r.Name+"}", messages[0].ID)
		}
	}
	out := strings.NewReplacer(pairs...).Replace(text)
	require.NotRegexp(s, `\{\w+:`, out, "a name that nothing has")
	return out
}

// published reports whether the outbox has an event of that id.
func (s *site) published(id string) bool {
	s.Helper()
	for lane := range s.store.Lanes() {
		query, args := s.store.OutboxSelect(store.Topic, lane, 1000)
		rows, err := s.store.ReadDB().QueryContext(s.Context(), query, args...)
		require.NoError(s, err)
		found := false
		for rows.Next() {
			row, err := store.ScanOutboxRow(rows.Scan)
			require.NoError(s, err)
			found = found || row.Event.ID == id
		}
		require.NoError(s, rows.Err())
		require.NoError(s, rows.Close())
		if found {
			return true
		}
	}
	return false
}

// A day in the life of acme, in order: each command answers with its status,
// the entity under its key, and the id of an event that was published.
func TestCommands(t *testing.T) {
	steps := []struct {
		by, method, path, body string
		status                 int
		key                    string
		has                    map[string]any
	}{
		{"admin", "PATCH", "", `{"name":"Acme Inc."}`, 200, "workspace", map[string]any{"name": "Acme Inc.", "slug": "acme"}},
		{"owner", "PATCH", "/subscription", `{"plan":"enterprise","seats":30,"status":"past_due"}`, 200, "subscription", map[string]any{"plan": "enterprise", "seats": 30.0, "status": "past_due"}},
		{"admin", "POST", "/members", `{"email":"nina@else.test","name":"Nina"}`, 201, "member", map[string]any{"email": "nina@else.test", "name": "Nina", "version": 1.0}},
		{"admin", "PATCH", "/members/{member:nina}", `{"roleId":"{role:admin}"}`, 200, "member", map[string]any{"version": 2.0}},
		{"guest", "PATCH", "/members/{member:guest}", `{"name":"G"}`, 200, "member", map[string]any{"name": "G"}},
		{"admin", "POST", "/members/{member:guest}/notifications", `{"title":"Lunch","body":"Ready"}`, 201, "notification", map[string]any{"title": "Lunch", "body": "Ready"}},
		{"admin", "POST", "/roles", `{"name":"helper","permissions":["teams.manage"]}`, 201, "role", map[string]any{"name": "helper", "system": false}},
		{"admin", "PATCH", "/roles/{role:helper}", `{"permissions":[]}`, 200, "role", map[string]any{"permissions": []any{}}},
		{"admin", "DELETE", "/roles/{role:helper}", ``, 204, "", nil},
		{"admin", "POST", "/teams", `{"name":"Ops","memberIds":["{member:nina}"]}`, 201, "team", map[string]any{"name": "Ops"}},
		{"admin", "PATCH", "/teams/{team:Ops}", `{"name":"Operations"}`, 200, "team", map[string]any{"name": "Operations"}},
		{"admin", "PUT", "/teams/{team:Operations}/members/{member:guest}", ``, 200, "team", map[string]any{"version": 3.0}},
		{"admin", "DELETE", "/teams/{team:Operations}/members/{member:guest}", ``, 204, "", nil},
		{"admin", "DELETE", "/teams/{team:Operations}", ``, 204, "", nil},
		{"guest", "POST", "/rooms", `{"name":"plot","private":true}`, 201, "room", map[string]any{"private": true}},
		{"guest", "PUT", "/rooms/{room:plot}/members/{member:admin}", ``, 200, "room", map[string]any{"version": 2.0}},
		{"admin", "PATCH", "/rooms/{room:plot}", `{"name":"plan"}`, 200, "room", map[string]any{"name": "plan"}},
		{"admin", "DELETE", "/rooms/{room:plan}/members/{member:guest}", ``, 204, "", nil},
		{"admin", "DELETE", "/rooms/{room:plan}", ``, 204, "", nil},
		{"guest", "POST", "/rooms/{room:random}/messages", `{"body":"hi"}`, 201, "message", map[string]any{"body": "hi", "editedAt": nil}},
		{"guest", "PATCH", "/rooms/{room:random}/messages/{message:random}", `{"body":"hello"}`, 200, "message", map[string]any{"body": "hello", "version": 2.0}},
		{"admin", "DELETE", "/rooms/{room:random}/messages/{message:random}", ``, 204, "", nil},
		{"owner", "DELETE", "/members/{member:nina}", ``, 204, "", nil},
	}
	eachSite(t, func(s *site) {
		for _, step := range steps {
			name := step.method + " " + step.path
			a := s.ask(step.by, step.method, s.expand("/v1/workspaces/acme"+step.path), s.expand(step.body))
			require.Equal(s, step.status, a.status, "%s: %v", name, a.body)
			require.True(s, s.published(a.header.Get(api.EventIDHeader)), name)
			require.Equal(s, "no-store", a.header.Get("Cache-Control"))
			if step.key == "" {
				require.Empty(s, a.body)
				continue
			}
			require.Len(s, a.body, 1, name)
			entity := a.body[step.key].(map[string]any)
			require.NotEmpty(s, entity["id"])
			for field, want := range step.has {
				require.Equal(s, want, entity[field], name)
			}
		}
		a := s.ask("admin", "PATCH", "/v1/workspaces/acme", `{"name":"Acme Inc."}`)
		require.Equal(s, 200, a.status)
		require.NotContains(s, a.header, api.EventIDHeader, "nothing changed, so there is no event to wait for")
	})
}

func TestRefusals(t *testing.T) {
	const acme = "/v1/workspaces/acme"
	big := `{"name":"` + strings.Repeat("x", 64<<10) + `"}`
	cases := map[string]struct {
		by, method, path, body string
		header                 []string
		status                 int
		code                   domain.Code
		field                  string
	}{
		"nobody":                   {"", "GET", acme + "/snapshot", "", nil, 401, "unauthenticated", ""},
		"nobody, a command":        {"", "POST", acme + "/rooms", `{"name":"x"}`, nil, 401, "unauthenticated", ""},
		"forged cookie":            {"", "GET", "/v1/me", "", []string{"Cookie", "orbit_session=forged"}, 401, "unauthenticated", ""},
		"unknown workspace":        {"owner", "GET", "/v1/workspaces/nowhere/snapshot", "", nil, 404, "not_found", ""},
		"foreign workspace":        {"guest", "GET", "/v1/workspaces/globex/snapshot", "", nil, 404, "not_found", ""},
		"malformed slug":           {"guest", "GET", "/v1/workspaces/%00%ff/snapshot", "", nil, 404, "not_found", ""},
		"unknown route":            {"owner", "GET", "/v1/nothing", "", nil, 404, "not_found", ""},
		"trailing slash":           {"owner", "GET", "/v1/me/", "", nil, 404, "not_found", ""},
		"wrong method":             {"owner", "DELETE", "/v1/me", "", nil, 405, "method_not_allowed", ""},
		"foreign origin":           {"owner", "POST", acme + "/rooms", `{"name":"x"}`, []string{"Origin", "https://evil.test"}, 403, "forbidden", ""},
		"another port's origin":    {"owner", "POST", acme + "/rooms", `{"name":"x"}`, []string{"Origin", "http://example.com:9999"}, 403, "forbidden", ""},
		"null origin":              {"owner", "DELETE", acme + "/rooms/{room:random}", "", []string{"Origin", "null"}, 403, "forbidden", ""},
		"foreign origin, login":    {"", "POST", "/v1/demo/login", `{"user":"owner"}`, []string{"Origin", "https://evil.test"}, 403, "forbidden", ""},
		"no media type":            {"owner", "POST", acme + "/rooms", `{"name":"x"}`, []string{"Content-Type", ""}, 415, "unsupported_media_type", "Content-Type"},
		"a form":                   {"owner", "POST", acme + "/rooms", `name=x`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type", "Content-Type"},
		"text, as a form can":      {"owner", "POST", acme + "/rooms", `{"name":"x"}`, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", "Content-Type"},
		"too large":                {"owner", "POST", acme + "/rooms", big, nil, 413, "too_large", ""},
		"no body":                  {"owner", "POST", acme + "/rooms", "", []string{"Content-Type", "application/json"}, 400, "invalid", ""},
		"not JSON":                 {"owner", "POST", acme + "/rooms", `{"name":`, nil, 400, "invalid", ""},
		"not an object":            {"owner", "POST", acme + "/rooms", `[{"name":"x"}]`, nil, 400, "invalid", ""},
		"null":                     {"owner", "POST", acme + "/rooms", `null`, nil, 400, "invalid", ""},
		"two objects":              {"owner", "POST", acme + "/rooms", `{"name":"x"}{"name":"y"}`, nil, 400, "invalid", ""},
		"something after":          {"owner", "POST", acme + "/rooms", `{"name":"x"}]`, nil, 400, "invalid", ""},
		"not UTF-8":                {"owner", "POST", acme + "/rooms", "{\"name\":\"\xff\"}", nil, 400, "invalid", ""},
		"deeply nested":            {"owner", "POST", acme + "/rooms", `{"name":` + strings.Repeat("[", 20_000), nil, 400, "invalid", ""},
		"unknown field":            {"owner", "POST", acme + "/rooms", `{"name":"x","colour":"red"}`, nil, 400, "invalid", "colour"},
		"unknown field, our own":   {"owner", "PATCH", acme + "/members/{member:guest}", `{"userId":"usr_1"}`, nil, 400, "invalid", "userId"},
		"wrong type":               {"owner", "POST", acme + "/rooms", `{"name":7}`, nil, 400, "invalid", "name"},
		"wrong type in a list":     {"owner", "POST", acme + "/teams", `{"name":"x","memberIds":[7]}`, nil, 400, "invalid", "memberIds"},
		"not a whole number":       {"owner", "PATCH", acme + "/subscription", `{"seats":1.5}`, nil, 400, "invalid", "seats"},
		"huge number":              {"owner", "PATCH", acme + "/subscription", `{"seats":1e400}`, nil, 400, "invalid", "seats"},
		"NUL":                      {"owner", "POST", acme + "/rooms", `{"name":"a\u0000b"}`, nil, 400, "invalid", "name"},
		"malformed id":             {"owner", "DELETE", acme + "/rooms/%20%27%00", "", nil, 404, "not_found", ""},
		"another kind's id":        {"owner", "DELETE", acme + "/rooms/{member:guest}", "", nil, 404, "not_found", ""},
		"id of another tenant":     {"owner", "PATCH", "/v1/workspaces/globex/members/{member:guest}", `{"name":"x"}`, nil, 404, "not_found", ""},
		"role of another tenant":   {"owner", "POST", "/v1/workspaces/globex/members", `{"email":"a@b.test","roleId":"{role:admin}"}`, nil, 404, "not_found", "roleId"},
		"not allowed":              {"guest", "POST", acme + "/teams", `{"name":"x"}`, nil, 403, "forbidden", ""},
		"billing is the owner's":   {"admin", "PATCH", acme + "/subscription", `{"plan":"x"}`, nil, 403, "forbidden", ""},
		"somebody else's room":     {"guest", "GET", acme + "/rooms/{room:leads}/messages", "", nil, 404, "not_found", ""},
		"last owner":               {"owner", "DELETE", acme + "/members/{member:owner}", "", nil, 409, "last_owner", ""},
		"role in use":              {"owner", "DELETE", acme + "/roles/{role:guest}", "", nil, 422, "system_role", ""},
		"seats below members":      {"owner", "PATCH", acme + "/subscription", `{"seats":1}`, nil, 409, "seats_below_members", "seats"},
		"member already":           {"owner", "POST", acme + "/members", `{"email":"guest@acme.test"}`, nil, 409, "conflict", "email"},
		"slug taken":               {"owner", "PATCH", acme, `{"slug":"globex"}`, nil, 409, "conflict", "slug"},
		"private is fixed":         {"owner", "PATCH", acme + "/rooms/{room:general}", `{"private":true}`, nil, 422, "unprocessable", "private"},
		"limit isn't a number":     {"owner", "GET", acme + "/rooms/{room:general}/messages?limit=x", "", nil, 400, "invalid", "limit"},
		"limit too high":           {"owner", "GET", acme + "/rooms/{room:general}/messages?limit=201", "", nil, 400, "invalid", "limit"},
		"before isn't an id":       {"owner", "GET", acme + "/rooms/{room:general}/messages?before=%00", "", nil, 400, "invalid", "before"},
		"login as somebody else":   {"", "POST", "/v1/demo/login", `{"user":"root"}`, nil, 400, "invalid", "user"},
		"logout without a session": {"", "POST", "/v1/logout", "", nil, 401, "unauthenticated", ""},
	}
	eachSite(t, func(s *site) {
		for name, c := range cases {
			s.Run(name, func(t *testing.T) {
				in := &site{T: t, store: s.store, handler: s.handler}
				in.refused(in.ask(c.by, c.method, in.expand(c.path), in.expand(c.body), c.header...), c.status, c.code, c.field)
			})
		}
	})
}

// Every route but the login refuses who isn't signed in and who isn't a
// member, and a foreign page; and none of them tells an unknown workspace from
// a foreign one.
func TestEveryRouteIsGuarded(t *testing.T) {
	fill := strings.NewReplacer(":id", "room_1", ":memberId", "mem_1", ":messageId", "msg_1")
	eachSite(t, func(s *site) {
		for _, route := range api.Routes {
			require.NotEmpty(s, route.Doc)
			if !slices.Contains([]string{api.NeedsDemo, api.NeedsSession, api.NeedsMember}, route.Needs) {
				require.Contains(s, domain.Permissions, domain.Permission(route.Needs))
			}
			if route.Method != http.MethodGet {
				a := s.ask("owner", route.Method, fill.Replace(strings.Replace(route.Path, ":slug", "acme", 1)), "{}", "Origin", "https://evil.test")
				s.refused(a, 403, domain.CodeForbidden, "")
			}
			if route.Needs == api.NeedsDemo {
				continue
			}
			s.refused(s.ask("", route.Method, fill.Replace(strings.Replace(route.Path, ":slug", "acme", 1)), "{}"), 401, domain.CodeUnauthenticated, "")
			if !strings.Contains(route.Path, ":slug") {
				continue
			}
			body := `{}`
			if route.Method == http.MethodPost {
				body = map[string]string{
					"members": `{"email":"a@b.test"}`, "notifications": `{"title":"t","body":"b"}`,
					"roles": `{"name":"x"}`, "teams": `{"name":"x"}`, "rooms": `{"name":"x"}`, "messages": `{"body":"x"}`,
				}[route.Path[strings.LastIndex(route.Path, "/")+1:]]
			} else if strings.HasSuffix(route.Path, ":messageId") {
				body = `{"body":"x"}`
			}
			var details []any
			for _, slug := range []string{"globex", "nowhere", "Not-a-slug"} {
				a := s.ask("guest", route.Method, fill.Replace(strings.Replace(route.Path, ":slug", slug, 1)), body)
				s.refused(a, 404, domain.CodeNotFound, "")
				delete(a.body, "instance")
				details = append(details, a.body)
			}
			require.Equal(s, details[0], details[1], route.Path)
			require.Equal(s, details[0], details[2], route.Path)
		}
	})
}
