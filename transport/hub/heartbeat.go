package hub

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/orbit/realtime/domain"
)

// buckets is into how many shares the sessions are dealt, and the heartbeat
// interval is cut: one share is due at a time, so that ten thousand heartbeats
// are an even trickle and no session needs a timer.
const buckets = 100

// recheckFailures is after how many failed re-checks in a row of sign-in
// sessions it is logged as an error: revocation by sign-out rests on the
// notification alone by then.
const recheckFailures = 3

// failClosed is for how many heartbeats a session may go unverified.
const failClosed = 3

// wheel holds every session of the hub, dealt into buckets.
type wheel struct {
	buckets           [buckets][]*Session
	next              int // bucket of the next session
	beating, checking int // buckets due next
	size              int
}

func (w *wheel) add(s *Session) {
	s.bucket, s.slot = w.next, len(w.buckets[w.next])
	w.buckets[w.next] = append(w.buckets[w.next], s)
	w.next = (w.next + 1) % buckets
	w.size++
}

func (w *wheel) remove(s *Session) {
	bucket := w.buckets[s.bucket]
	last := len(bucket) - 1
	bucket[s.slot] = bucket[last]
	bucket[s.slot].slot = s.slot
	bucket[last] = nil
	w.buckets[s.bucket] = bucket[:last]
	w.size--
}

func (w *wheel) all() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for _, bucket := range w.buckets {
			for _, s := range bucket {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// take copies the bucket that the cursor stands at, and moves the cursor on.
func (h *Hub) take(cursor *int) []*Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	bucket := append([]*Session(nil), h.sessions.buckets[*cursor]...)
	*cursor = (*cursor + 1) % buckets
	return bucket
}

// beat makes system.heartbeat due for one bucket.
func (h *Hub) beat() {
	for _, s := range h.take(&h.sessions.beating) {
		s.Heartbeat()
	}
}

// recheck closes the sessions of one bucket whose sign-in session, or
// membership, has ended. It
// runs beside beat, so that a slow database holds up no heartbeat. While the
// database is away nobody is thrown out for a while: it may be back soon, and
// nothing is missed. Whoever couldn't be verified for failClosed heartbeats is
// sent away, to come back where it can be: a node that has lost the database
// hears of no revocation.
func (h *Hub) recheck() {
	sessions := h.take(&h.sessions.checking)
	var ids []string
	for _, s := range sessions {
		if id := s.identity.AuthSessionID; id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, readTimeout)
	defer cancel()
	live, err := h.ent.LiveSessions(ctx, ids)
	if err != nil {
		if h.failures++; h.failures >= recheckFailures && h.ctx.Err() == nil {
			h.cfg.Logger.Error("sign-in sessions can't be re-checked; ended ones stay connected unless their end is announced",
				"failures", h.failures, "error", err)
		}
		h.sendAway(sessions)
		return
	}
	h.failures = 0
	now := time.Now()
	for _, s := range sessions {
		s.verified = now
		if id := s.identity.AuthSessionID; id != "" && !live[id] {
			s.endNow(domain.CloseUnauthenticated, CloseInfo{})
		}
	}
	h.recheckMembers(ctx, sessions)
}

// recheckMembers is for revocations that the log doesn't tell of: because the
// outbox is stalled, or the removal was poisoned. The second look in a row that
// finds a membership ended closes its sessions; in a heartbeat's time the log
// would have done so itself, with the removal as the last event.
func (h *Hub) recheckMembers(ctx context.Context, sessions []*Session) {
	var ids []Identity
	asked := map[string]bool{}
	for _, s := range sessions {
		if id := s.identity; id.AuthSessionID != "" && !asked[id.MemberID] {
			asked[id.MemberID] = true
			ids = append(ids, id)
		}
	}
	live, err := h.ent.LiveMembers(ctx, ids)
	if err != nil {
		return // the next look may find the database again
	}
	for _, s := range sessions {
		switch id := s.identity; {
		case id.AuthSessionID == "" || live[id.MemberID]:
			s.doubted = false
		case s.doubted:
			s.endNow(domain.CloseRevoked, CloseInfo{})
		default:
			s.doubted = true
		}
	}
}

// sendAway ends those of the sessions that have gone unverified for too long.
func (h *Hub) sendAway(sessions []*Session) {
	if h.ctx.Err() != nil {
		return
	}
	now := time.Now()
	for _, s := range sessions {
		if s.identity.AuthSessionID != "" && now.Sub(s.verified) > failClosed*h.cfg.Heartbeat {
			s.endNow(domain.CloseServiceRestart, CloseInfo{Delay: minDrainDelay + rand.N(maxDrainDelay-minDrainDelay)})
		}
	}
}
