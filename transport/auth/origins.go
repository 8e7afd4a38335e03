package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/orbit/realtime/domain"
)

// Origins says which web pages may talk to us. Browsers send cookies along
// with a WebSocket handshake whatever page opened it, and with a request from
// another port of the same host even when SameSite=Strict; what tells our
// pages from others is the Origin header alone (RFC 6455, section 10.2).
type Origins struct {
	allowed map[string]bool
}

// NewOrigins allows pages of the same host and port as the request's own
// Host, and those listed, such as "https://app.example.com". "*" allows every
// page, which is for development only.
func NewOrigins(allow ...string) (Origins, error) {
	o := Origins{allowed: make(map[string]bool, len(allow))}
	for _, origin := range allow {
		u, err := url.Parse(origin)
		plain := err == nil && u.Scheme != "" && u.Host != "" && origin == u.Scheme+"://"+u.Host && !strings.Contains(u.Host, "*")
		if !plain && origin != "*" {
			return Origins{}, fmt.Errorf("origin %q: want scheme://host[:port] and nothing else", origin)
		}
		o.allowed[strings.ToLower(origin)] = true
	}
	return o, nil
}

// Check refuses a foreign Origin with CodeForbidden. A request without one
// doesn't come from a browser's page and is allowed: whoever can leave the
// header out can as well forge it.
func (o Origins) Check(r *http.Request) error {
	values := r.Header.Values("Origin")
	if len(values) == 0 || len(values) == 1 && o.allows(values[0], r.Host) {
		return nil
	}
	return domain.Errorf(domain.CodeForbidden, "this origin may not connect")
}

func (o Origins) allows(origin, host string) bool {
	if o.allowed["*"] || o.allowed[strings.ToLower(origin)] {
		return true
	}
	u, err := url.Parse(origin)
	// The scheme is left out of the comparison: behind a proxy that ends TLS
	// we can't know the one the page was loaded with.
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}
