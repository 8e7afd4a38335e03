// Package auth decides who may connect. It finds the sign-in session behind a
// request, the membership behind the session, and answers for both later on,
// when the hub asks whether they still stand.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/orbit/realtime/domain"
)

// Identity is who signed in: a user, and the sign-in session that proves it.
type Identity struct {
	SessionID string
	UserID    string
}

// Sessions is the port through which a product plugs in its own sign-in.
// CookieSessions is the one that comes with Orbit.
type Sessions interface {
	// Authenticate finds who sent r. Errors: CodeUnauthenticated when nobody
	// is signed in, whatever the reason; a transient one when that can't be
	// found out now.
	Authenticate(ctx context.Context, r *http.Request) (Identity, error)
	// Live tells which of the sign-in sessions have not ended. An id that is
	// missing from the answer counts as ended, so an implementation that can't
	// find out must return an error.
	Live(ctx context.Context, ids []string) (map[string]bool, error)
}

// CookieName is the cookie that carries the session's token over plain HTTP;
// SecureCookieName is its name over https. A browser takes a cookie of the name
// __Host-… from this very host alone and over https alone (RFC 6265bis, section
// 4.1.3.2): a neighbour under the same domain, or somebody on the wire, can't
// slip a visitor a session of theirs.
const (
	CookieName       = "orbit_session"
	SecureCookieName = "__Host-" + CookieName
)

// maxTokenLength bounds what is hashed, in bytes; our tokens have 43.
const maxTokenLength = 256

// CookieSessions finds sign-in sessions by the token in a cookie. The database
// knows the token's SHA-256 alone, so a stolen backup signs nobody in. A plain
// hash is enough: tokens are 256 random bits and can't be guessed from it.
type CookieSessions struct {
	read   domain.Reader
	secure bool
	now    func() time.Time
}

// CookieConfig adjusts CookieSessions.
type CookieConfig struct {
	// Secure takes every request for one over https, and the cookie of that name
	// alone, as is right behind a proxy that ends TLS. Default false: only
	// requests that came over TLS.
	Secure bool
	// Now is the clock (default time.Now).
	Now func() time.Time
}

// NewCookieSessions makes CookieSessions over the database.
func NewCookieSessions(read domain.Reader, cfg CookieConfig) *CookieSessions {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &CookieSessions{read: read, secure: cfg.Secure, now: cfg.Now}
}

func notSignedIn() error {
	return domain.Errorf(domain.CodeUnauthenticated, "sign in first")
}

// Authenticate implements Sessions.
func (s *CookieSessions) Authenticate(ctx context.Context, r *http.Request) (Identity, error) {
	cookie, err := r.Cookie(s.name(r))
	if err != nil || cookie.Value == "" || len(cookie.Value) > maxTokenLength {
		return Identity{}, notSignedIn()
	}
	session, err := s.read.SessionByToken(ctx, HashToken(cookie.Value))
	switch {
	case errors.Is(err, domain.ErrNotFound):
		return Identity{}, notSignedIn()
	case err != nil:
		return Identity{}, err
	case s.expired(session):
		return Identity{}, notSignedIn()
	}
	return Identity{SessionID: session.ID, UserID: session.UserID}, nil
}

// Live implements Sessions.
func (s *CookieSessions) Live(ctx context.Context, ids []string) (map[string]bool, error) {
	live := make(map[string]bool, len(ids))
	for _, id := range ids {
		session, err := s.read.Session(ctx, id)
		switch {
		case errors.Is(err, domain.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			live[id] = !s.expired(session)
		}
	}
	return live, nil
}

func (s *CookieSessions) expired(session domain.Session) bool {
	return !s.now().Before(session.ExpiresAt)
}

// Issue gives the client its token: HttpOnly keeps scripts away from it, and
// SameSite=Lax keeps it out of other sites' POSTs. SameSite says nothing of
// another port of the same host, which is why the Origin is checked as well.
func (s *CookieSessions) Issue(w http.ResponseWriter, r *http.Request, token string, expires time.Time) {
	http.SetCookie(w, s.cookie(r, token, expires, 0))
}

// Clear takes the token away from the client.
func (s *CookieSessions) Clear(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, s.cookie(r, "", time.Unix(1, 0), -1))
}

// overTLS tells how the browser that sent r got here, as far as we know.
func (s *CookieSessions) overTLS(r *http.Request) bool { return s.secure || r.TLS != nil }

func (s *CookieSessions) name(r *http.Request) string {
	if s.overTLS(r) {
		return SecureCookieName
	}
	return CookieName
}

func (s *CookieSessions) cookie(r *http.Request, value string, expires time.Time, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: s.name(r), Value: value, Path: "/", Expires: expires, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.overTLS(r),
	}
}

// NewToken returns a fresh token for the client, 256 random bits in URL-safe
// base64, and the hash that the database is to keep.
func NewToken() (token string, hash []byte) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	token = base64.RawURLEncoding.EncodeToString(b[:])
	return token, HashToken(token)
}

// HashToken is what the database keeps of a token.
func HashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
