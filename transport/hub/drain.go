package hub

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/orbit/realtime/domain"
)

// Drained clients are told to come back after a delay drawn evenly from these
// bounds. The upper one stays well below presence's default grace of 5 s, so
// that a deploy flickers nobody.
const (
	minDrainDelay = 250 * time.Millisecond
	maxDrainDelay = 3 * time.Second

	drainStep = 10 * time.Millisecond
	// minDrainRate is how many sessions a second are told at least: a pace is
	// there to spare the next node, and a few don't need it.
	minDrainRate = 100
	// drainPatience is how long the last sessions may take to leave.
	drainPatience = 2 * time.Second
)

// Refuse makes Register and CanRegister fail with CodeUnavailable from now on.
func (h *Hub) Refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// Drain refuses new sessions and closes the present ones with CloseDraining,
// spread over the time given (or less: at least 100 a second), each told to come
// back after a jittered delay. It returns when every session has left, or two
// seconds after the last one was told; when ctx ends, the rest is told at once.
func (h *Hub) Drain(ctx context.Context, over time.Duration) {
	h.Refuse()
	h.mu.Lock()
	var sessions []*Session
	for s := range h.sessions.all() {
		sessions = append(sessions, s)
	}
	h.mu.Unlock()

	over = min(over, time.Duration(len(sessions))*time.Second/minDrainRate)
	start := time.Now()
	ticker := time.NewTicker(drainStep)
	defer ticker.Stop()
	for told := 0; told < len(sessions); {
		due := len(sessions)
		if elapsed := time.Since(start); ctx.Err() == nil && elapsed < over {
			due = int(float64(len(sessions)) * float64(elapsed) / float64(over))
		}
		for ; told < due; told++ {
			delay := minDrainDelay + rand.N(maxDrainDelay-minDrainDelay)
			sessions[told].endNow(domain.CloseDraining, CloseInfo{Delay: delay})
		}
		if told < len(sessions) {
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	}
	// Whoever closes the transports next would be faster than their goodbyes.
	for patience := time.After(drainPatience); h.occupied(); {
		select {
		case <-ticker.C:
		case <-patience:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (h *Hub) occupied() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions.size > 0
}
