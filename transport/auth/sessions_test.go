package auth_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/transporttest"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests move by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func requestWith(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v1/ws", nil)
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return r
}

func TestAuthenticate(t *testing.T) {
	read, clock := transporttest.NewReader(), &clock{noon}
	sessions := auth.NewCookieSessions(read, auth.CookieConfig{Now: clock.Now})
	cookie := read.SignIn("owner", noon.Add(time.Hour))

	identity, err := sessions.Authenticate(t.Context(), requestWith(cookie))
	require.NoError(t, err)
	require.Equal(t, auth.Identity{SessionID: "login_owner", UserID: "owner"}, identity)

	for name, bad := range map[string]*http.Request{
		"no cookie":      requestWith(),
		"empty":          requestWith(&http.Cookie{Name: auth.CookieName}),
		"unknown token":  requestWith(&http.Cookie{Name: auth.CookieName, Value: "guess"}),
		"endless token":  requestWith(&http.Cookie{Name: auth.CookieName, Value: strings.Repeat("x", 5000)}),
		"another cookie": requestWith(&http.Cookie{Name: "session", Value: cookie.Value}),
		// What a backup holds must not open a session.
		"the hash": requestWith(&http.Cookie{Name: auth.CookieName, Value: hex.EncodeToString(auth.HashToken(cookie.Value))}),
	} {
		_, err := sessions.Authenticate(t.Context(), bad)
		require.Equal(t, domain.CodeUnauthenticated, domain.CodeOf(err), name)
	}

	clock.now = noon.Add(time.Hour) // the moment of expiry is too late already
	_, err = sessions.Authenticate(t.Context(), requestWith(cookie))
	require.Equal(t, domain.CodeUnauthenticated, domain.CodeOf(err))

	read.Fail(domain.Transient(io.EOF, "database away"))
	_, err = sessions.Authenticate(t.Context(), requestWith(cookie))
	require.True(t, domain.IsTransient(err), "an outage must not look like a sign-out")
}

func TestLive(t *testing.T) {
	read := transporttest.NewReader()
	sessions := auth.NewCookieSessions(read, auth.CookieConfig{Now: func() time.Time { return noon }})
	read.SignIn("owner", noon.Add(time.Hour))
	read.SignIn("admin", noon) // expired

	live, err := sessions.Live(t.Context(), []string{"login_owner", "login_admin", "login_gone"})
	require.NoError(t, err)
	require.True(t, live["login_owner"])
	require.False(t, live["login_admin"])
	require.False(t, live["login_gone"])

	// Answering "nobody is live" while the database is away would sign
	// everybody out.
	read.Fail(domain.Transient(io.EOF, "database away"))
	_, err = sessions.Live(context.Background(), []string{"login_owner"})
	require.True(t, domain.IsTransient(err))
}

func TestCookies(t *testing.T) {
	sessions := auth.NewCookieSessions(nil, auth.CookieConfig{})
	issue := func(s *auth.CookieSessions, r *http.Request) *http.Cookie {
		w := httptest.NewRecorder()
		s.Issue(w, r, "token", noon)
		return w.Result().Cookies()[0]
	}
	cookie := issue(sessions, requestWith())
	require.Equal(t, "orbit_session", cookie.Name)
	require.Equal(t, "token", cookie.Value)
	require.Equal(t, "/", cookie.Path)
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	require.True(t, cookie.Expires.Equal(noon))
	require.False(t, cookie.Secure)

	overTLS := requestWith()
	overTLS.TLS = &tls.ConnectionState{}
	behindProxy := auth.NewCookieSessions(nil, auth.CookieConfig{Secure: true})
	for _, cookie := range []*http.Cookie{issue(sessions, overTLS), issue(behindProxy, requestWith())} {
		require.Equal(t, "__Host-orbit_session", cookie.Name)
		// Browsers refuse a __Host- cookie unless all three hold.
		require.True(t, cookie.Secure)
		require.Equal(t, "/", cookie.Path)
		require.Empty(t, cookie.Domain)
	}

	w := httptest.NewRecorder()
	sessions.Clear(w, requestWith())
	cleared := w.Result().Cookies()[0]
	require.Empty(t, cleared.Value)
	require.Negative(t, cleared.MaxAge)
	require.Equal(t, "/", cleared.Path)
}

// A neighbour, evil.example.com, can give a visitor of app.example.com a cookie
// for all of example.com; it can't give it the name __Host-…, and so the other
// name must be worth nothing over https.
func TestOnlyTheHostsOwnCookieCountsOverTLS(t *testing.T) {
	world := transporttest.NewReader()
	plain := world.SignIn("owner", time.Now().Add(time.Hour))
	own := &http.Cookie{Name: auth.SecureCookieName, Value: plain.Value}
	for name, tc := range map[string]struct {
		secure, tls bool
		cookie      *http.Cookie
		signedIn    bool
	}{
		"plain name over http":           {false, false, plain, true},
		"host's name over http":          {false, false, own, false},
		"plain name over https":          {false, true, plain, false},
		"host's name over https":         {false, true, own, true},
		"plain name behind such a proxy": {true, false, plain, false},
		"host's name behind the proxy":   {true, false, own, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := requestWith(tc.cookie)
			if tc.tls {
				r.TLS = &tls.ConnectionState{}
			}
			_, err := auth.NewCookieSessions(world, auth.CookieConfig{Secure: tc.secure}).Authenticate(t.Context(), r)
			if tc.signedIn {
				require.NoError(t, err)
			} else {
				require.Equal(t, domain.CodeUnauthenticated, domain.CodeOf(err))
			}
		})
	}
}

func TestNewToken(t *testing.T) {
	token, hash := auth.NewToken()
	sum := sha256.Sum256([]byte(token))
	require.Equal(t, sum[:], hash)
	require.Len(t, token, 43)
	another, _ := auth.NewToken()
	require.NotEqual(t, token, another)
}
