package hardening

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// request is a bad request and its exact answer.
type request struct {
	name   string
	send   string // the whole of it, as it goes onto the wire
	status int
	code   string // of the problem document; "" where net/http answers by itself
}

// head builds a request's head: line, then headers, with those that go without saying.
func head(line string, headers ...string) string {
	return line + " HTTP/1.1\r\nHost: orbit\r\n" + lines(headers) + "\r\n"
}

func lines(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

// post builds a request with a JSON body.
func post(line, body string, headers ...string) string {
	return head(line, append(headers, "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body)))...) + body
}

// httpRequests are malformed as HTTP.
func httpRequests(cookie string) []request {
	many := strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 30)
	return []request{
		{"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 64) + "\r\n\r\n", 400, ""},
		{"not HTTP at all", "SSH-2.0-OpenSSH_9.2\r\n\r\n", 400, ""},
		{"half a request line", "GET\r\n\r\n", 400, ""},
		{"no version", "GET /v1/me\r\n\r\n", 400, ""},
		{"a version to come", "GET /v1/me HTTP/9.9\r\nHost: x\r\n\r\n", 505, ""},
		{"HTTP/2 without being asked", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404, "not_found"},
		{"no Host", "GET /v1/me HTTP/1.1\r\n\r\n", 400, ""},
		{"two Hosts", "GET /v1/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ""},
		{"a malformed Host", "GET /v1/me HTTP/1.1\r\nHost: a b\r\n\r\n", 400, ""},
		{"a header without colon", "GET /v1/me HTTP/1.1\r\nHost: x\r\nCookie\r\n\r\n", 400, ""},
		{"a space before the colon", "GET /v1/me HTTP/1.1\r\nHost: x\r\nCookie : a=b\r\n\r\n", 400, ""},
		{"a NUL in a header", "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n", 400, ""},
		{"a header's name not ASCII", "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-\xc3\xa9: a\r\n\r\n", 400, ""},
		{"headers over 16 KB", "GET /v1/me HTTP/1.1\r\nHost: x\r\n" + many + "\r\n", 431, ""},
		{"one header over 16 KB", "GET /v1/me HTTP/1.1\r\nHost: x\r\nCookie: " + strings.Repeat("x", 30<<10) + "\r\n\r\n", 431, ""},
		{"a URL over 16 KB", head("GET /" + strings.Repeat("x", 30<<10)), 431, ""},
		{"a length that is no number", head("POST /v1/logout", "Content-Length: ten"), 400, ""},
		{"a negative length", head("POST /v1/logout", "Content-Length: -1"), 400, ""},
		{"a length over 64 bits", head("POST /v1/logout", "Content-Length: 99999999999999999999"), 400, ""},
		{"two lengths", head("POST /v1/logout", "Content-Length: 1", "Content-Length: 2"), 400, ""},
		{"an unknown transfer coding", head("POST /v1/logout", "Transfer-Encoding: gzip"), 501, ""},
		{"chunked twice", head("POST /v1/logout", "Transfer-Encoding: chunked, chunked"), 501, ""},
		{"a chunk's size that is none", post("POST /v1/workspaces/acme/rooms", "", "Cookie: "+cookie, "Transfer-Encoding: chunked") + "zz\r\n", 400, "invalid"},
		{"an expectation", head("GET /v1/me", "Expect: a miracle"), 417, ""},
		{"an escape that is none", head("GET /v1/%zz"), 400, ""},
		{"the server itself", head("OPTIONS *"), 200, ""},
		{"a tunnel", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 404, "not_found"},
		{"a trace", head("TRACE /v1/me"), 405, "method_not_allowed"},
		{"a method unheard of", head("BREW /v1/me"), 405, "method_not_allowed"},
		{"a method that is none", head("G\x01T /v1/me"), 400, ""},
		{"nothing there", head("GET /nothing"), 404, "not_found"},
		{"out of the root", head("GET /../../../etc/passwd"), 404, "not_found"},
		{"out of the root, escaped", head("GET /%2e%2e/%2e%2e/etc/passwd"), 404, "not_found"},
		{"a NUL in the path", head("GET /index.html%00.js"), 404, "not_found"},
		{"slashes", head("GET //v1//me"), 404, "not_found"},
		{"a slash too many", head("GET /v1/me/"), 404, "not_found"},
		{"other case", head("GET /V1/ME"), 404, "not_found"},
		{"the admin side", head("GET /metrics"), 404, "not_found"},
		{"an absolute URL", "GET http://evil.example/v1/me HTTP/1.1\r\nHost: orbit\r\n\r\n", 401, "unauthenticated"},
	}
}

// commands are well-formed HTTP, and no good as commands.
func commands(cookie, room string) []request {
	const rooms = "POST /v1/workspaces/acme/rooms"
	as := "Cookie: " + cookie
	messages := "/v1/workspaces/acme/rooms/" + room + "/messages"
	deep := strings.Repeat(`{"name":`, 20_000)
	return []request{
		{"nobody", post(rooms, `{"name":"x"}`), 401, "unauthenticated"},
		{"a made-up session", post(rooms, `{"name":"x"}`, "Cookie: orbit_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 401, "unauthenticated"},
		{"an empty session", post(rooms, `{"name":"x"}`, "Cookie: orbit_session="), 401, "unauthenticated"},
		{"a long session", post(rooms, `{"name":"x"}`, "Cookie: orbit_session="+strings.Repeat("A", 8000)), 401, "unauthenticated"},
		{"SQL for a session", post(rooms, `{"name":"x"}`, "Cookie: orbit_session=' OR 1=1 --"), 401, "unauthenticated"},
		{"a session by its other name", post(rooms, `{"name":"x"}`, "Cookie: __Host-"+cookie), 401, "unauthenticated"},
		{"a session as a bearer", post(rooms, `{"name":"x"}`, "Authorization: Bearer "+cookie), 401, "unauthenticated"},
		{"a foreign page", post(rooms, `{"name":"x"}`, as, "Origin: https://evil.example"), 403, "forbidden"},
		{"a page of nowhere", post(rooms, `{"name":"x"}`, as, "Origin: null"), 403, "forbidden"},
		{"another port", post(rooms, `{"name":"x"}`, as, "Origin: http://orbit:8443"), 403, "forbidden"},
		{"our host as a prefix", post(rooms, `{"name":"x"}`, as, "Origin: http://orbit.evil.example"), 403, "forbidden"},
		{"two origins", post(rooms, `{"name":"x"}`, as, "Origin: http://orbit", "Origin: https://evil.example"), 403, "forbidden"},
		{"a forwarded host", post(rooms, `{"name":"x"}`, as, "Origin: https://evil.example", "X-Forwarded-Host: evil.example"), 403, "forbidden"},
		{"a form", head(rooms, as, "Content-Type: text/plain", "Content-Length: 12") + `{"name":"x"}`, 415, "unsupported_media_type"},
		{"no type", head(rooms, as, "Content-Length: 12") + `{"name":"x"}`, 415, "unsupported_media_type"},
		{"no body", post(rooms, ``, as), 400, "invalid"},
		{"half a body", post(rooms, `{"name":`, as), 400, "invalid"},
		{"a list", post(rooms, `[]`, as), 400, "invalid"},
		{"null", post(rooms, `null`, as), 400, "invalid"},
		{"two objects", post(rooms, `{"name":"x"} {"name":"y"}`, as), 400, "invalid"},
		{"a field twice", post(rooms, `{"name":"x","name":"y"}`, as), 400, "invalid"},
		{"a field in capitals", post(rooms, `{"NAME":"x"}`, as), 400, "invalid"},
		{"an unknown field", post(rooms, `{"name":"x","admin":true}`, as), 400, "invalid"},
		{"a prototype", post(rooms, `{"name":"x","__proto__":{"a":1}}`, as), 400, "invalid"},
		{"another type", post(rooms, `{"name":["x"]}`, as), 400, "invalid"},
		{"not UTF-8", post(rooms, "{\"name\":\"\xff\xfe\"}", as), 400, "invalid"},
		{"20,000 levels", post(rooms, deep, as, "X-Deep: 1"), 413, "too_large"},
		{"8,000 levels", post(rooms, deep[:64_000], as), 400, "invalid"},
		{"over 64 KB", post(rooms, `{"name":"`+strings.Repeat("x", 64<<10)+`"}`, as), 413, "too_large"},
		{"no name", post(rooms, `{}`, as), 400, "invalid"},
		{"a name of blanks", post(rooms, `{"name":"   "}`, as), 400, "invalid"},
		{"a long name", post(rooms, `{"name":"`+strings.Repeat("x", 1000)+`"}`, as), 400, "invalid"},
		{"a name with a control", post(rooms, `{"name":"a\u0000b"}`, as), 400, "invalid"},
		{"members that are no ids", post(rooms, `{"name":"x","private":true,"memberIds":["../x"]}`, as), 404, "not_found"},
		{"members that aren't there", post(rooms, `{"name":"x","private":true,"memberIds":["mem_nobody"]}`, as), 404, "not_found"},
		{"a workspace that isn't there", post("POST /v1/workspaces/nowhere/rooms", `{"name":"x"}`, as), 404, "not_found"},
		{"a slug that is none", post("POST /v1/workspaces/%27%3B--/rooms", `{"name":"x"}`, as), 404, "not_found"},
		{"a room that isn't there", post("POST /v1/workspaces/acme/rooms/room_no/messages", `{"body":"x"}`, as), 404, "not_found"},
		{"an id that is none", post("POST /v1/workspaces/acme/rooms/a%20b/messages", `{"body":"x"}`, as), 404, "not_found"},
		{"an empty message", post("POST "+messages, `{"body":""}`, as), 400, "invalid"},
		{"a long message", post("POST "+messages, `{"body":"`+strings.Repeat("x", 20_000)+`"}`, as), 400, "invalid"},
		{"no messages", head("GET "+messages+"?limit=0", as), 400, "invalid"},
		{"too many messages", head("GET "+messages+"?limit=201", as), 400, "invalid"},
		{"messages without number", head("GET "+messages+"?limit=all", as), 400, "invalid"},
		{"messages before nothing", head("GET "+messages+"?before=%00", as), 400, "invalid"},
		{"a role one hasn't got", head("DELETE /v1/workspaces/acme/members/mem_nobody", as), 403, "forbidden"},
		{"seats below nothing", post("PATCH /v1/workspaces/acme/subscription", `{"seats":-1}`, as), 400, "invalid"},
		{"a demo user that is none", post("POST /v1/demo/login", `{"user":"root"}`), 400, "invalid"},
		{"signing in from elsewhere", post("POST /v1/demo/login", `{"user":"owner"}`, "Origin: https://evil.example"), 403, "forbidden"},
	}
}

// connections are attempts to connect that must not become streams.
func connections(cookie string) []request {
	as := "Cookie: " + cookie
	ws := []string{as, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	without := func(name string, instead ...string) string {
		var kept []string
		for _, h := range ws {
			if !strings.HasPrefix(h, name+":") {
				kept = append(kept, h)
			}
		}
		return head("GET /v1/ws?workspace=acme", append(kept, instead...)...)
	}
	requests := []request{
		{"ws: by POST", head("POST /v1/ws?workspace=acme", ws...), 405, "method_not_allowed"},
		{"ws: plain HTTP", head("GET /v1/ws?workspace=acme", as), 426, "upgrade_required"},
		{"ws: no Connection", without("Connection"), 426, "upgrade_required"},
		{"ws: no Upgrade", without("Upgrade"), 426, "upgrade_required"},
		{"ws: another upgrade", without("Upgrade", "Upgrade: h2c"), 426, "upgrade_required"},
		{"ws: no version", without("Sec-WebSocket-Version"), 400, "invalid"},
		{"ws: version 8", without("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), 400, "invalid"},
		{"ws: no key", without("Sec-WebSocket-Key"), 400, "invalid"},
		{"ws: a short key", without("Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="), 400, "invalid"},
		{"ws: a key that is none", without("Sec-WebSocket-Key", "Sec-WebSocket-Key: ~~~~~~~~~~~~~~~~~~~~~~~~"), 400, "invalid"},
		{"ws: over HTTP/1.0", strings.Replace(without("X"), "HTTP/1.1", "HTTP/1.0", 1), 426, "upgrade_required"},
	}
	for _, path := range []string{"ws", "sse", "poll", "probe"} {
		at := func(query string, headers ...string) string {
			return head("GET /v1/"+path+query, append(append([]string{}, ws[1:]...), headers...)...)
		}
		requests = append(requests,
			request{path + ": nobody", at("?workspace=acme"), 401, "unauthenticated"},
			request{path + ": a made-up session", at("?workspace=acme", "Cookie: orbit_session=guess"), 401, "unauthenticated"},
			request{path + ": no workspace", at("", as), 401, "unauthenticated"},
			request{path + ": somebody else's workspace", at("?workspace=globex", as), 401, "unauthenticated"},
			request{path + ": a workspace that is none", at("?workspace=%00", as), 401, "unauthenticated"},
			request{path + ": a foreign page", at("?workspace=acme", as, "Origin: https://evil.example"), 403, "forbidden"},
			request{path + ": a query that is none", at("?workspace=acme&x=%zz", as), 400, "invalid"},
			request{path + ": a long query", at("?workspace=acme&x="+strings.Repeat("x", 4097), as), 413, "too_large"},
			request{path + ": rooms that are none", at("?workspace=acme&rooms=a,,b", as), 400, "invalid"},
			request{path + ": 51 rooms", at("?workspace=acme&rooms="+ids(51), as), 413, "too_large"},
			request{path + ": a body that never comes", at("?workspace=acme", as, "Content-Length: 0000010") + "0123456789", 400, "invalid"},
			request{path + ": by PUT", head("PUT /v1/"+path, as), 405, "method_not_allowed"},
		)
	}
	for _, wait := range []string{"-1", "26", "1.5", "all", "99999999999999999999"} {
		requests = append(requests, request{"poll: to wait " + wait, head("GET /v1/poll?workspace=acme&wait="+wait, as), 400, "invalid"})
	}
	return append(requests,
		request{"sse: an EventSource that comes back signed out", head("GET /v1/sse?workspace=acme", "Last-Event-ID: e-1"), 204, ""})
}

func ids(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("room_", i)
	}
	return strings.Join(list, ",")
}

// adminRequests go to the admin listener.
func adminRequests() []request {
	const api = "/admin/v1"
	viewer, operator := "Authorization: Bearer "+viewerToken, "Authorization: Bearer "+operatorToken
	local := func(line string, headers ...string) string {
		return strings.Replace(head(line, headers...), "Host: orbit", "Host: localhost", 1)
	}
	withBody := func(line, body string, headers ...string) string {
		return strings.Replace(post(line, body, headers...), "Host: orbit", "Host: localhost", 1)
	}
	return []request{
		{"nobody", local("GET " + api + "/status"), 401, "unauthenticated"},
		{"a wrong token", local("GET "+api+"/status", "Authorization: Bearer guess"), 401, "unauthenticated"},
		{"a long token", local("GET "+api+"/status", "Authorization: Bearer "+strings.Repeat("x", 8000)), 401, "unauthenticated"},
		{"a password", local("GET "+api+"/status", "Authorization: Basic b2xnYTpvbGdh"), 401, "unauthenticated"},
		{"a made-up session", local("GET "+api+"/status", "Cookie: orbit_ops=guess"), 401, "unauthenticated"},
		{"another name for this machine", head("GET "+api+"/status", operator), 421, "misdirected"},
		{"another name, on a page", head("GET /ops"), 421, "misdirected"},
		{"a name that begins like ours", strings.Replace(head("GET "+api+"/status", operator), "Host: orbit", "Host: localhost.evil.example", 1), 421, "misdirected"},
		{"an address that is none", local("GET "+api+"/nothing", operator), 404, "not_found"},
		{"out of the root", local("GET /ops/static/..%2f..%2f..%2fetc/passwd", operator), 404, ""},
		{"a method that won't do", local("DELETE "+api+"/status", operator), 405, "method_not_allowed"},
		{"an unknown parameter", local("GET "+api+"/status?verbose=1", operator), 400, "invalid"},
		{"a page below nothing", local("GET "+api+"/poison/messages?limit=-1", operator), 400, "invalid"},
		{"a message that isn't there", local("GET "+api+"/poison/messages/poi_none", operator), 404, "not_found"},
		{"an id that is none", local("GET "+api+"/poison/messages/a%20b", operator), 404, "not_found"},
		{"a viewer who acts", withBody("POST "+api+"/poison/messages/poi_none/discard", `{"reason":"x"}`, viewer), 403, "forbidden"},
		{"a viewer's profile", local("GET /debug/pprof/heap", viewer), 403, "forbidden"},
		{"nobody's profile", local("GET /debug/pprof/heap"), 401, "unauthenticated"},
		{"another site's page", withBody("POST "+api+"/poison/messages/poi_none/discard", `{"reason":"x"}`, operator, "Sec-Fetch-Site: cross-site"), 403, "forbidden"},
		{"a body over 128 KB", withBody("POST "+api+"/poison/messages/poi_none/discard", `{"reason":"`+strings.Repeat("x", 130<<10)+`"}`, operator), 413, "too_large"},
		{"a field twice", withBody("POST "+api+"/poison/messages/poi_none/discard", `{"reason":"x","reason":"y"}`, operator), 400, "invalid"},
	}
}

// exchange sends each request on a connection of its own and compares.
func exchange(t *testing.T, addr string, requests []request, after func(t *testing.T)) {
	for _, r := range requests {
		t.Run(r.name, func(t *testing.T) {
			c := dial(t, addr)
			c.write(r.send)
			got := c.answer()
			require.Equal(t, r.status, got.status, got.body)
			require.Equal(t, r.code, got.code, got.body)
			if got.code != "" { // by us, and not by net/http
				guarded(t, got.header)
			}
			after(t)
		})
	}
}

// guarded sees that no answer goes without the headers that keep browsers in check.
func guarded(t *testing.T, h http.Header) {
	t.Helper()
	require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
	require.Equal(t, "DENY", h.Get("X-Frame-Options"))
	require.Equal(t, "same-origin", h.Get("Cross-Origin-Resource-Policy"))
	require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	require.NotEmpty(t, h.Get("X-Request-Id"))
}
