package auth_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/problem"
	"github.com/orbit/realtime/transport/transporttest"
)

func newAdmission(t *testing.T, allow ...string) (*auth.Admission, *transporttest.Reader) {
	t.Helper()
	origins, err := auth.NewOrigins(allow...)
	require.NoError(t, err)
	read := transporttest.NewReader()
	sessions := auth.NewCookieSessions(read, auth.CookieConfig{Now: func() time.Time { return noon }})
	return auth.NewAdmission(sessions, read, auth.AdmissionConfig{Origins: origins, MaxRooms: 3}), read
}

func get(query string, cookie *http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://orbit.test/v1/ws?"+query, nil)
	if cookie != nil {
		r.AddCookie(cookie)
	}
	return r
}

func TestAdmit(t *testing.T) {
	admission, read := newAdmission(t)
	read.AddMember(domain.Member{ID: "mem_owner", WorkspaceID: "ws_acme", UserID: "owner", JoinedOffset: 41})
	cookie := read.SignIn("owner", noon.Add(time.Hour))

	options, err := admission.Admit(get("workspace=acme&position=k3f9-42&rooms=a,b,a&catalog=9c1e", cookie))
	require.NoError(t, err)
	require.Equal(t, hub.Options{
		Identity: hub.Identity{
			WorkspaceID: "ws_acme", WorkspaceSlug: "acme", MemberID: "mem_owner",
			UserID: "owner", AuthSessionID: "login_owner", JoinedOffset: 41,
		},
		Position: "k3f9-42",
		Rooms:    []string{"a", "b"},
		Catalog:  "9c1e",
	}, options)

	// A bad position leads to system.resync, not to a refusal.
	options, err = admission.Admit(get("workspace=acme&position=%00nonsense", cookie))
	require.NoError(t, err)
	require.Equal(t, "\x00nonsense", options.Position)
}

// An outsider must not be able to tell a workspace that doesn't exist from one
// that isn't theirs, nor from not being signed in: same status, same bytes.
func TestOutsidersLookAlike(t *testing.T) {
	admission, read := newAdmission(t)
	admin := read.SignIn("admin", noon.Add(time.Hour))
	stranger := read.SignIn("stranger", noon.Add(time.Hour))
	expired := read.SignIn("owner", noon.Add(-time.Second))

	bodies := map[string]bool{}
	for name, r := range map[string]*http.Request{
		"no session":          get("workspace=acme", nil),
		"expired session":     get("workspace=acme", expired),
		"unknown workspace":   get("workspace=nowhere", admin),
		"foreign workspace":   get("workspace=globex", admin),
		"member of nothing":   get("workspace=acme", stranger),
		"malformed slug":      get("workspace=Acme%00%2F..", admin),
		"endless slug":        get("workspace="+strings.Repeat("a", 3000), admin),
		"no workspace":        get("", admin),
		"bad rooms, no login": get("workspace=acme&rooms=%2F", nil),
	} {
		_, err := admission.Admit(r)
		w := httptest.NewRecorder()
		problem.Write(w, r, err)
		require.Equal(t, http.StatusUnauthorized, w.Code, name)
		bodies[w.Body.String()] = true
	}
	require.Len(t, bodies, 1)
}

func TestAdmitRefusesBadInput(t *testing.T) {
	admission, read := newAdmission(t)
	cookie := read.SignIn("owner", noon.Add(time.Hour))
	for query, want := range map[string]domain.Code{
		"workspace=acme&rooms=a,,b":                           domain.CodeInvalid,
		"workspace=acme&rooms=,":                              domain.CodeInvalid,
		"workspace=acme&rooms=../x":                           domain.CodeInvalid,
		"workspace=acme&rooms=" + strings.Repeat("r", 65):     domain.CodeInvalid,
		"workspace=acme&rooms=a,b,c,d":                        domain.CodeTooLarge,
		"workspace=%zz":                                       domain.CodeInvalid,
		"workspace=acme;position=1":                           domain.CodeInvalid,
		"workspace=acme&catalog=" + strings.Repeat("c", 5000): domain.CodeTooLarge,
	} {
		_, err := admission.Admit(get(query, cookie))
		require.Equal(t, want, domain.CodeOf(err), query)
	}
	_, err := admission.Admit(get("workspace=acme&rooms=a,b,c,a,b", cookie))
	require.NoError(t, err, "repetitions don't count")
}

func TestOutagesAreNotRefusals(t *testing.T) {
	admission, read := newAdmission(t)
	cookie := read.SignIn("owner", noon.Add(time.Hour))
	read.Fail(domain.Transient(io.EOF, "database away"))
	_, err := admission.Admit(get("workspace=acme", cookie))
	require.Equal(t, http.StatusServiceUnavailable, problem.KindOf(err).Status)
	read.Fail(errors.New("a bug"))
	_, err = admission.Admit(get("workspace=acme", cookie))
	require.Equal(t, http.StatusInternalServerError, problem.KindOf(err).Status)
}

// Cookies travel from pages on other ports of the same host even with
// SameSite=Strict, and with every WebSocket handshake: only the Origin tells.
func TestOrigins(t *testing.T) {
	admission, read := newAdmission(t, "https://app.example.com")
	cookie := read.SignIn("owner", noon.Add(time.Hour))
	for origin, allowed := range map[string]bool{
		"":                                 true, // not a browser
		"http://orbit.test":                true,
		"https://ORBIT.test":               true,
		"https://app.example.com":          true,
		"http://app.example.com":           false,
		"https://app.example.com:8443":     false,
		"https://app.example.com.evil.net": false,
		"http://orbit.test:3000":           false,
		"http://evil.net":                  false,
		"null":                             false,
		"://":                              false,
	} {
		r := get("workspace=acme", cookie)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		_, err := admission.Admit(r)
		require.Equal(t, allowed, err == nil, origin)
		if !allowed {
			require.Equal(t, domain.CodeForbidden, domain.CodeOf(err), origin)
		}
	}

	// The Origin is looked at first: a foreign page learns nothing, not even
	// whether its visitor is signed in.
	r := get("workspace=acme", nil)
	r.Header.Set("Origin", "http://evil.net")
	_, err := admission.Admit(r)
	require.Equal(t, domain.CodeForbidden, domain.CodeOf(err))

	r = get("workspace=acme", cookie)
	r.Header["Origin"] = []string{"http://orbit.test", "http://evil.net"}
	_, err = admission.Admit(r)
	require.Equal(t, domain.CodeForbidden, domain.CodeOf(err))
}

func TestNewOrigins(t *testing.T) {
	anywhere, err := auth.NewOrigins("*")
	require.NoError(t, err)
	r := get("", nil)
	r.Header.Set("Origin", "http://evil.net")
	require.NoError(t, anywhere.Check(r))

	for _, bad := range []string{"", "app.example.com", "https://", "https://app.example.com/", "https://u@app.example.com", "https://*.example.com"} {
		_, err := auth.NewOrigins(bad)
		require.Error(t, err, bad)
	}
}

func TestEntitlements(t *testing.T) {
	read := transporttest.NewReader()
	sessions := auth.NewCookieSessions(read, auth.CookieConfig{Now: func() time.Time { return noon }})
	entitled := auth.NewEntitlements(sessions, read)
	owner := hub.Identity{WorkspaceID: "ws_acme", MemberID: "mem_owner", AuthSessionID: "login_owner"}
	// Whoever signs out between admission and registration has no right anymore,
	// though nobody could close a session that wasn't there yet.
	require.Equal(t, domain.CodeUnauthenticated, domain.CodeOf(entitled.Member(t.Context(), owner)))
	read.SignIn("owner", noon.Add(time.Hour))
	read.AddRoom(domain.Room{ID: "open", WorkspaceID: "ws_acme"})
	read.AddRoom(domain.Room{ID: "mine", WorkspaceID: "ws_acme", Private: true, MemberIDs: []string{"mem_owner"}})
	read.AddRoom(domain.Room{ID: "theirs", WorkspaceID: "ws_acme", Private: true, MemberIDs: []string{"mem_admin"}})
	read.AddRoom(domain.Room{ID: "elsewhere", WorkspaceID: "ws_globex"})

	require.NoError(t, entitled.Member(t.Context(), owner))
	require.NoError(t, entitled.Room(t.Context(), owner, "open"))
	require.NoError(t, entitled.Room(t.Context(), owner, "mine"))

	var refusals []string
	for _, room := range []string{"theirs", "elsewhere", "unknown"} {
		err := entitled.Room(t.Context(), owner, room)
		require.ErrorIs(t, err, domain.ErrNotFound, room)
		refusals = append(refusals, fmt.Sprint(err))
	}
	require.Equal(t, refusals[0], refusals[1])
	require.Equal(t, refusals[0], refusals[2])

	live, err := entitled.LiveSessions(t.Context(), []string{"login_owner"})
	require.NoError(t, err)
	require.True(t, live["login_owner"])
	stranger := hub.Identity{WorkspaceID: owner.WorkspaceID, MemberID: "mem_globex"} // a member, elsewhere
	live, err = entitled.LiveMembers(t.Context(), []hub.Identity{owner, stranger})
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"mem_owner": true}, live)

	read.RemoveMember("mem_owner")
	live, err = entitled.LiveMembers(t.Context(), []hub.Identity{owner})
	require.NoError(t, err)
	require.Empty(t, live)
	require.Equal(t, domain.CodeForbidden, domain.CodeOf(entitled.Member(t.Context(), owner)))

	read.Fail(domain.Transient(io.EOF, "database away"))
	require.True(t, domain.IsTransient(entitled.Member(t.Context(), owner)))
	_, err = entitled.LiveMembers(t.Context(), []hub.Identity{owner})
	require.True(t, domain.IsTransient(err))
	require.True(t, domain.IsTransient(entitled.Room(t.Context(), owner, "open")))
}
