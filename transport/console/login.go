package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// A console session ends after a working day, or an hour and a half of silence.
const (
	loginLifetime = 10 * time.Hour
	loginIdle     = 90 * time.Minute
	maxLogins     = 10_000
)

// login is one console session. It lives in this process alone: after a restart
// everybody signs in again.
type login struct {
	who     Caller
	csrf    string
	expires time.Time
	seen    time.Time
}

// logins knows sessions by the hash of their id.
type logins struct {
	mu     sync.Mutex
	byHash map[[sha256.Size]byte]*login
	secure bool // the cookie is for https alone
	now    func() time.Time
}

func newLogins(secure bool) *logins {
	return &logins{byHash: map[[sha256.Size]byte]*login{}, secure: secure, now: time.Now}
}

// begin starts a session and hands its id to the browser.
func (s *logins) begin(w http.ResponseWriter, r *http.Request, who Caller) *login {
	id := rand.Text() + rand.Text()
	now := s.now()
	who.Via = ViaConsole
	l := &login{who: who, csrf: rand.Text() + rand.Text(), expires: now.Add(loginLifetime), seen: now}
	s.mu.Lock()
	s.prune(now)
	s.byHash[sha256.Sum256([]byte(id))] = l
	s.mu.Unlock()
	http.SetCookie(w, s.cookie(r, id, 0))
	return l
}

// prune forgets what has ended, and the oldest when there are too many.
func (s *logins) prune(now time.Time) {
	var oldest [sha256.Size]byte
	var first time.Time
	for hash, l := range s.byHash {
		if l.ended(now) {
			delete(s.byHash, hash)
		} else if first.IsZero() || l.seen.Before(first) {
			oldest, first = hash, l.seen
		}
	}
	if len(s.byHash) >= maxLogins {
		delete(s.byHash, oldest)
	}
}

func (l *login) ended(now time.Time) bool {
	return !now.Before(l.expires) || now.Sub(l.seen) > loginIdle
}

// find returns the session of a request, or nil.
func (s *logins) find(r *http.Request) *login {
	cookie, err := r.Cookie(s.name(r))
	if err != nil || len(cookie.Value) > maxTokenLength {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.byHash[sha256.Sum256([]byte(cookie.Value))]
	if l == nil || l.ended(s.now()) {
		return nil
	}
	l.seen = s.now()
	return l
}

// end forgets the session of a request.
func (s *logins) end(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(s.name(r)); err == nil {
		s.mu.Lock()
		delete(s.byHash, sha256.Sum256([]byte(cookie.Value)))
		s.mu.Unlock()
	}
	http.SetCookie(w, s.cookie(r, "", -1))
}

func (s *logins) overTLS(r *http.Request) bool { return s.secure || r.TLS != nil }

func (s *logins) name(r *http.Request) string {
	if s.overTLS(r) {
		return secureCookieName
	}
	return cookieName
}

func (s *logins) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: s.name(r), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: s.overTLS(r),
	}
}
