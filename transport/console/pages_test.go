package console

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"html"
	"io/fs"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// everyPage is a path of each page that is read.
var everyPage = []string{
	"/ops", "/ops/poison", "/ops/poison?q=column&state=open", "/ops/poison/groups/00000000000000aa", "/ops/poison/messages", "/ops/poison/messages?state=all&since=24h",
	"/ops/poison/messages/psn_1", "/ops/poison/messages/psn_1/preview", "/ops/operations", "/ops/operations/new?kind=requeue", "/ops/operations/new?kind=discard&id=psn_1",
	"/ops/operations/op_0", "/ops/audit", "/ops/audit?outcome=done", "/ops/trace", "/ops/trace?event=event-1", "/ops/trace?event=event-1&tab=ses_1", "/ops/presence", "/ops/presence?workspace=acme",
}

func TestEveryPage(t *testing.T) {
	w := stocked()
	w.items["op_0"] = []domain.OperationItem{{PoisonID: "psn_1", State: domain.ItemPending}}
	server := serve(t, w, nil)
	operator, _ := signIn(t, server, operatorToken)
	viewer, _ := signIn(t, server, viewerToken)
	for _, path := range everyPage {
		a := ask(t, server, "GET", path, "", "", "Cookie", operator)
		require.Equal(t, 200, a.StatusCode, "%s: %s", path, a.body)
		require.Contains(t, a.Header.Get("Content-Security-Policy"), "script-src 'self'", path)
		require.NotContains(t, a.Header.Get("Content-Security-Policy"), "unsafe")
		require.NotRegexp(t, regexp.MustCompile(`(?i)<script>|<style|\sstyle=|\son[a-z]+=`), a.body, "%s: the policy would block what is inline", path)
		require.NotContains(t, a.body, "ZgotmplZ", path)

		a = ask(t, server, "GET", path, "", "", "Cookie", viewer)
		require.Equal(t, 200, a.StatusCode, path)
		require.NotContains(t, a.body, "Olive", "a viewer sees no values: %s", path)
		for _, form := range regexp.MustCompile(`<form method="post" action="([^"]+)"`).FindAllStringSubmatch(a.body, -1) {
			require.Contains(t, []string{"/ops/sign-out", "/ops/operations"}, form[1], "a viewer has no buttons to act with: %s", path)
		}

		a = ask(t, server, "GET", path, "", "")
		require.Equal(t, 303, a.StatusCode, "nobody is sent to sign in: %s", path)
		require.Equal(t, "/ops/sign-in?next="+url.QueryEscape(path), a.Header.Get("Location"))
	}
}

// TestLinksKeepTheFilter: a template escapes the parts of a query; "requeue all"
// once led to a page that knew no such parameter.
func TestLinksKeepTheFilter(t *testing.T) {
	server := serve(t, stocked(), nil)
	cookie, _ := signIn(t, server, operatorToken)
	a := ask(t, server, "GET", "/ops/poison/groups/00000000000000aa?q=column+missing&type=workspaces.member.updated", "", "", "Cookie", cookie)
	hrefs := regexp.MustCompile(`href="(/ops/(?:operations/new|poison/groups)[^"?]*[?][^"]*)"`).FindAllStringSubmatch(a.body, -1)
	require.Greater(t, len(hrefs), 5)
	for _, href := range hrefs {
		link := html.UnescapeString(href[1])
		target, err := url.Parse(link)
		require.NoError(t, err)
		require.Equal(t, "column missing", target.Query().Get("q"), link)
		require.Equal(t, 200, ask(t, server, "GET", link, "", "", "Cookie", cookie).StatusCode, link)
	}
}

func TestPagesOfNothing(t *testing.T) {
	server := serve(t, newWorld(), nil)
	cookie, _ := signIn(t, server, operatorToken)
	for _, path := range []string{"/ops/poison", "/ops/poison/messages", "/ops/operations", "/ops/operations/new?kind=requeue", "/ops/audit?outcome=denied"} {
		require.Equal(t, 200, ask(t, server, "GET", path, "", "", "Cookie", cookie).StatusCode, path)
	}
	for path, status := range map[string]int{
		"/ops/nonsense": 404, "/ops/poison/messages/psn_9": 404, "/ops/poison/groups/ffff": 404, "/ops/trace?event=nothing": 404,
		"/ops/poison?nonsense=1": 400, "/ops/poison?state=lost": 400, "/ops/operations/new?kind=delete": 400, "/ops/static/": 404,
	} {
		require.Equal(t, status, ask(t, server, "GET", path, "", "", "Cookie", cookie).StatusCode, path)
	}
}

// post sends a form as a browser on our own page would.
func post(t *testing.T, server *httptest.Server, path, cookie string, form url.Values, headers ...string) answered {
	t.Helper()
	return ask(t, server, "POST", path, "", form.Encode(), append([]string{
		"Content-Type", "application/x-www-form-urlencoded", "Cookie", cookie, "Sec-Fetch-Site", "same-origin",
	}, headers...)...)
}

func TestForgery(t *testing.T) {
	w := stocked()
	server := serve(t, w, nil)
	cookie, csrf := signIn(t, server, operatorToken)
	_, other := signIn(t, server, operatorToken)
	const path = "/ops/poison/messages/psn_1/requeue"
	for name, a := range map[string]answered{
		"no token":                 post(t, server, path, cookie, url.Values{}),
		"another session's token":  post(t, server, path, cookie, url.Values{"csrf": {other}}),
		"another site":             post(t, server, path, cookie, url.Values{"csrf": {csrf}}, "Sec-Fetch-Site", "cross-site"),
		"another port, old client": post(t, server, path, cookie, url.Values{"csrf": {csrf}}, "Sec-Fetch-Site", "", "Origin", "http://127.0.0.1:8080"),
		"a sandboxed frame":        post(t, server, path, cookie, url.Values{"csrf": {csrf}}, "Sec-Fetch-Site", "", "Origin", "null"),
		"the API by cookie alone":  ask(t, server, "POST", Prefix+"/poison/messages/psn_1/requeue", "", "", "Cookie", cookie),
	} {
		require.Equal(t, 403, a.StatusCode, name)
	}
	require.Equal(t, domain.PoisonOpen, w.poison[0].State)

	require.Equal(t, 303, post(t, server, path, cookie, url.Values{"csrf": {csrf}}).StatusCode)
	require.Equal(t, 200, ask(t, server, "POST", Prefix+"/poison/messages/psn_2/requeue", "", "", "Cookie", cookie, "X-CSRF-Token", csrf).StatusCode)
}

// TestTwoOperatorsOneButton: the second press does nothing, and says so.
func TestTwoOperatorsOneButton(t *testing.T) {
	w := stocked()
	server := serve(t, w, nil)
	alice, aliceForm := signIn(t, server, operatorToken)
	carol, carolForm := signIn(t, server, operatorToken)
	const path = "/ops/poison/messages/psn_1/requeue"
	require.Equal(t, 303, post(t, server, path, alice, url.Values{"csrf": {aliceForm}, "version": {"1"}}).StatusCode)
	a := post(t, server, path, carol, url.Values{"csrf": {carolForm}, "version": {"1"}})
	require.Equal(t, 409, a.StatusCode)
	require.Contains(t, a.body, "Not done.")
	require.Contains(t, a.body, "is requeued, not open")
	require.EqualValues(t, 2, w.poison[0].Version, "it was moved once")
}

func TestOperationByForm(t *testing.T) {
	w := stocked()
	server := serve(t, w, nil)
	cookie, csrf := signIn(t, server, operatorToken)
	form := url.Values{"csrf": {csrf}, "kind": {"discard"}, "workspace": {"acme"}, "expect": {"2"}, "canary": {"yes"}, "perSecond": {"5"}, "reason": {"a test"}, "key": {"k1"}}
	a := post(t, server, "/ops/operations", cookie, form)
	require.Equal(t, 409, a.StatusCode, "there are three by now")
	require.Contains(t, a.body, "3 messages match, not 2")
	require.Contains(t, a.body, `name="expect" value="3"`, "the form is up to date")
	form.Set("expect", "3")
	a = post(t, server, "/ops/operations", cookie, form)
	require.Equal(t, 303, a.StatusCode, a.body)
	require.Equal(t, "/ops/operations/"+w.operations[0].ID, a.Header.Get("Location"))
	require.Equal(t, "ws_1", w.operations[0].Filter.WorkspaceID)
	require.Equal(t, 5, w.operations[0].PerSecond)
	post(t, server, "/ops/operations", cookie, form)
	require.Len(t, w.operations, 2, "a double click is one operation")
}

func TestSignOutEndsTheSession(t *testing.T) {
	server := serve(t, stocked(), nil)
	cookie, csrf := signIn(t, server, operatorToken)
	require.Equal(t, 303, post(t, server, "/ops/sign-out", cookie, url.Values{"csrf": {csrf}}).StatusCode)
	require.Equal(t, 303, ask(t, server, "GET", "/ops", "", "", "Cookie", cookie).StatusCode)
	require.Equal(t, 401, ask(t, server, "GET", Prefix+"/whoami", "", "", "Cookie", cookie).StatusCode)
}

func TestSignInRefusesAndGoesNowhereElse(t *testing.T) {
	server := serve(t, stocked(), nil)
	a := post(t, server, "/ops/sign-in", "", url.Values{"token": {"wrong-wrong-wrong-wrong"}})
	require.Equal(t, 401, a.StatusCode)
	require.Contains(t, a.body, "no operator has this token")
	require.Empty(t, a.Cookies())
	require.Equal(t, 403, post(t, server, "/ops/sign-in", "", url.Values{"token": {operatorToken}}, "Sec-Fetch-Site", "cross-site").StatusCode, "nobody is signed in by another site")
	for _, to := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "/ops/\\evil", "/opsevil"} {
		a := post(t, server, "/ops/sign-in", "", url.Values{"token": {operatorToken}, "next": {to}})
		require.Equal(t, "/ops", a.Header.Get("Location"), to)
	}
}

// TestHostilePages: what failed may have come from anywhere, and is text.
func TestHostilePages(t *testing.T) {
	const script = `<script>alert(document.cookie)</script>`
	w := newWorld()
	w.add(1, func(p *domain.Poison) {
		p.Error, p.ErrorClass, p.Where = script+"\x1b[31mred\u202egnp.exe\xff", script, `" onmouseover="alert(1)`
		p.ErrorChain, p.Stack, p.Reason, p.Build = []string{script}, script, script, script
		p.Attempts[0].Error = script
		p.Event.Type, p.Event.WorkspaceID, p.Event.AggregateID, p.Projector = script, script, "javascript:alert(1)", script
		p.Event.Payload = json.RawMessage(`{"x":"` + script + `\u2028` + strings.Repeat("A", 1<<20) + `"}`)
		p.Event.Metadata = map[string]string{script: script}
	})
	w.sessions[0].Workspace, w.sessions[0].MemberID = script, script
	_ = w.RecordAct(t.Context(), domain.AuditEntry{Operator: script, Target: script, Reason: script, Action: script})
	server := serve(t, w, nil)
	cookie, _ := signIn(t, server, operatorToken)
	for _, path := range []string{
		"/ops", "/ops/poison", "/ops/poison/messages", "/ops/poison/messages/psn_1", "/ops/poison/groups/00000000000000aa", "/ops/poison/messages/psn_1/preview",
		"/ops/operations/new?kind=requeue", "/ops/audit", "/ops/presence", "/ops/presence?workspace=ws_1", "/ops/poison?q=" + url.QueryEscape(script), "/ops/trace?event=" + url.QueryEscape(script),
	} {
		a := ask(t, server, "GET", path, "", "", "Cookie", cookie)
		for _, hostile := range []string{script, `" onmouseover="alert(1)`, "\x1b", "\u202e", "\u2028"} {
			require.False(t, strings.Contains(a.body, hostile), "%q on %s", hostile, path)
		}
		require.Less(t, len(a.body), 200<<10, "a page doesn't carry a megabyte: %s", path)
	}
	// Not require.Contains: on failure it prints the page, and its 64 KB of payload.
	page := html.UnescapeString(ask(t, server, "GET", "/ops/poison/messages/psn_1", "", "", "Cookie", cookie).body)
	require.True(t, strings.Contains(page, "⟨U+202E⟩gnp.exe"), "marks are shown")
	require.True(t, strings.Contains(page, "bytes more"), "what is left out is told")
	require.False(t, strings.Contains(page, `href="javascript:`))
}

// TestDashboardStream: the page's live part is the page's own HTML.
func TestDashboardStream(t *testing.T) {
	server := serve(t, stocked(), nil)
	cookie, _ := signIn(t, server, viewerToken)
	req := httptest.NewRequestWithContext(t.Context(), "GET", server.URL+"/ops/live", nil)
	req.RequestURI = ""
	req.Header.Set("Cookie", cookie)
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	read := readUntil(t, resp.Body, "event: poison\ndata: 3")
	require.Contains(t, read, "event: dashboard\ndata: ")
	require.Contains(t, read, "From commit to tab")
}

// TestVendoredFiles: what is embedded is what the table says it is.
func TestVendoredFiles(t *testing.T) {
	table, err := staticFiles.ReadFile("static/VENDORED.md")
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*`([0-9a-f]{64})` \\|$").FindAllStringSubmatch(string(table), -1)
	listed := map[string]string{}
	for _, row := range rows {
		listed[row[1]] = row[2]
	}
	scripts, err := fs.Glob(staticFiles, "static/*.min.js")
	require.NoError(t, err)
	require.Len(t, listed, len(scripts))
	for _, path := range scripts {
		content, err := staticFiles.ReadFile(path)
		require.NoError(t, err)
		sum := sha256.Sum256(content)
		require.Equal(t, listed[strings.TrimPrefix(path, "static/")], hex.EncodeToString(sum[:]), path)
	}
}
