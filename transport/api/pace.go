package api

import (
	"sync"

	"golang.org/x/time/rate"

	"github.com/orbit/realtime/domain"
)

// pace bounds how fast each user may send commands. It is by user, not by
// sign-in or address: signing in again must not help, and an office that shares
// an address must not suffer.
type pace struct {
	limit rate.Limit
	burst int

	mu     sync.Mutex
	byUser map[string]*rate.Limiter
}

// maxPaced is how many users are remembered before those are forgotten who have
// been quiet: a limiter that is full again is as good as a new one.
const maxPaced = 10_000

func newPace(perSecond, burst int) *pace {
	return &pace{limit: rate.Limit(perSecond), burst: burst, byUser: map[string]*rate.Limiter{}}
}

// allow returns CodeRateLimited when the user has to wait. Nobody in
// particular, "", is not limited.
func (p *pace) allow(userID string) error {
	if userID == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.byUser[userID]
	if l == nil {
		if len(p.byUser) >= maxPaced {
			p.forget()
		}
		l = rate.NewLimiter(p.limit, p.burst)
		p.byUser[userID] = l
	}
	if !l.Allow() {
		return domain.Errorf(domain.CodeRateLimited, "too many commands: at most %d a second", int(p.limit))
	}
	return nil
}

func (p *pace) forget() {
	for id, l := range p.byUser {
		if l.Tokens() >= float64(p.burst) {
			delete(p.byUser, id)
		}
	}
}
