package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// cookieName carries a console session. Cookies know no ports: it must not be
// taken for the one of a product on the same host. Over https it is the host's
// own, which no neighbour under the same domain can set.
const (
	cookieName       = "orbit_ops"
	secureCookieName = "__Host-" + cookieName
)

// maxTokenLength bounds what is hashed, in bytes.
const maxTokenLength = 256

// gate finds out who a request is from.
type gate struct {
	service   *Service
	operators []Operator
	demo      bool
	direct    *Caller
	logins    *logins
	failures  *failures
	// crossSite refuses requests that another site's page made the browser
	// send: by Sec-Fetch-Site, or else by Origin.
	crossSite *http.CrossOriginProtection
}

// demoCaller is everybody while the demo has no operators configured.
var demoCaller = Caller{Operator: "demo operator", Role: RoleOperator, Demo: true}

func notSignedIn(configured bool) error {
	if !configured {
		return domain.Errorf(domain.CodeUnauthenticated, "no operators are configured: start the server with ORBIT_ADMIN_TOKENS=name:operator:token, the token 16 characters or more")
	}
	return domain.Errorf(domain.CodeUnauthenticated, "send an operator's token: Authorization: Bearer …")
}

// identify tells who sent r, by a token, a console session, or neither in the
// demo. login is nil unless it is a console session.
func (g *gate) identify(r *http.Request) (who Caller, l *login, err error) {
	if g.direct != nil {
		return *g.direct, nil, nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		token, ok := strings.CutPrefix(header, "Bearer ")
		if !ok {
			return who, nil, domain.Errorf(domain.CodeUnauthenticated, "only Authorization: Bearer is understood")
		}
		who, err = g.byToken(r, token, via(r))
		return who, nil, err
	}
	if l = g.logins.find(r); l != nil {
		return l.who, l, nil
	}
	if g.demo {
		who = demoCaller
		who.Via = via(r)
		return who, nil, nil
	}
	return who, nil, notSignedIn(len(g.operators) > 0)
}

// via is what a request says it comes from; the audit's word, no permission.
func via(r *http.Request) string {
	if strings.HasPrefix(r.UserAgent(), CLIAgent) {
		return ViaCLI
	}
	return ViaAPI
}

// CLIAgent is how the command line tool's User-Agent begins.
const CLIAgent = "orbit-cli"

// byToken finds the operator with a token. Whoever guesses is slowed down, and
// is in the audit.
func (g *gate) byToken(r *http.Request, token, via string) (Caller, error) {
	if !g.failures.mayTry(r) {
		return Caller{}, domain.Errorf(domain.CodeRateLimited, "too many wrong tokens from this address")
	}
	if found := g.match(token); found != nil {
		return Caller{Operator: found.Name, Role: found.Role, Via: via}, nil
	}
	g.failures.count(r)
	nobody := Caller{Operator: "unknown", Role: "none", Via: via}
	return Caller{}, g.service.record(r.Context(), nobody, domain.AuditEntry{
		Action: "login", Target: remote(r), Outcome: "denied",
	}, domain.Errorf(domain.CodeUnauthenticated, "no operator has this token"))
}

// match compares with every operator's hash, and each in constant time, so that
// time tells nothing.
func (g *gate) match(token string) (found *Operator) {
	if len(token) > maxTokenLength {
		token = ""
	}
	hash := sha256.Sum256([]byte(token))
	for i := range g.operators {
		if subtle.ConstantTimeCompare(hash[:], g.operators[i].hash[:]) == 1 {
			found = &g.operators[i]
		}
	}
	return found
}

// checkForgery refuses what a foreign page could have made a browser send: an
// act with a cookie needs the session's own token as well.
func (g *gate) checkForgery(r *http.Request, l *login, given string) error {
	if err := g.crossSite.Check(r); err != nil {
		return domain.Wrap(err, domain.CodeForbidden, "another site's page may not act here")
	}
	if l != nil && !safe(r.Method) && subtle.ConstantTimeCompare([]byte(given), []byte(l.csrf)) != 1 {
		return domain.Errorf(domain.CodeForbidden, "the form is old, or not ours: load the page again")
	}
	return nil
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead
}

// remote is the address of the other end, without its port.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

type limiter = rate.Limiter

// failures slows down whoever guesses: ten wrong tokens at once from an
// address, and then one every six seconds.
type failures struct {
	mu    sync.Mutex
	byIP  map[string]*limiter
	since time.Time
}

const maxAddresses = 10_000

func (f *failures) of(r *http.Request) *limiter {
	if now := time.Now(); now.Sub(f.since) > time.Hour || len(f.byIP) > maxAddresses {
		f.byIP, f.since = map[string]*limiter{}, now
	}
	l := f.byIP[remote(r)]
	if l == nil {
		l = rate.NewLimiter(rate.Every(6*time.Second), 10)
		f.byIP[remote(r)] = l
	}
	return l
}

func (f *failures) mayTry(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.of(r).Tokens() >= 1
}

func (f *failures) count(r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of(r).Allow()
}

// checkHost refuses requests by a name that isn't this listener's. A page of
// any site can point its own name at 127.0.0.1 and would then be same-origin
// with us (DNS rebinding).
func checkHost(r *http.Request, extra []string) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip, err := netip.ParseAddr(host)
	if err == nil && ip.IsLoopback() || host == "localhost" {
		return nil
	}
	for _, name := range extra {
		if strings.EqualFold(name, host) {
			return nil
		}
	}
	return domain.Errorf(problem.CodeMisdirected, "%q is not a name of this listener; a proxy's name goes into ORBIT_ADMIN_HOSTS", r.Host)
}
