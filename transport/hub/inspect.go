package hub

import (
	"cmp"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// What operators ask a running hub. Everything here looks at one session or
// feed at a time, under its lock for a moment each: the answer is of about now,
// and delivery doesn't wait for it.

// busyWindow is what Channels counts over.
const busyWindow = time.Minute

// Sessions lists sessions, newest first, at most limit (0: all). "" matches
// every workspace, and every member.
func (h *Hub) Sessions(workspaceID, memberID string, limit int) []domain.SessionInfo {
	found := h.pick(func(s *Session) bool {
		return (workspaceID == "" || s.identity.WorkspaceID == workspaceID) &&
			(memberID == "" || s.identity.MemberID == memberID)
	})
	slices.SortFunc(found, func(a, b *Session) int {
		return cmp.Or(b.openedAt.Compare(a.openedAt), cmp.Compare(a.id, b.id))
	})
	if limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	now := time.Now()
	infos := make([]domain.SessionInfo, len(found))
	for i, s := range found {
		infos[i] = s.info(now)
	}
	return infos
}

// Session describes one; CodeNotFound if it is gone.
func (h *Hub) Session(id string) (domain.SessionInfo, error) {
	found := h.pick(func(s *Session) bool { return s.id == id })
	if len(found) == 0 {
		return domain.SessionInfo{}, noSession()
	}
	return found[0].info(time.Now()), nil
}

// Slow lists the sessions that have something to take, or to write, furthest
// behind first, at most limit.
func (h *Hub) Slow(limit int) []domain.SessionInfo {
	now := time.Now()
	slow := []domain.SessionInfo{}
	for _, s := range h.pick(func(*Session) bool { return true }) {
		if s.lagging() {
			slow = append(slow, s.info(now))
		}
	}
	slices.SortFunc(slow, func(a, b domain.SessionInfo) int {
		return cmp.Or(cmp.Compare(b.LagMS, a.LagMS), cmp.Compare(b.Behind, a.Behind), cmp.Compare(a.ID, b.ID))
	})
	return slow[:min(limit, len(slow))]
}

// Audience counts the sessions on a channel by transport.
func (h *Hub) Audience(workspaceID string, channel domain.Channel) map[string]int {
	counts := map[string]int{}
	f := h.feed(workspaceID)
	if f == nil {
		return counts
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sub := range f.on(channel) {
		if sub.active {
			counts[string(sub.session.transport)]++
		}
	}
	return counts
}

// Disconnect ends a session; its client comes back if it wants to. CodeNotFound
// if the session is gone.
func (h *Hub) Disconnect(id string) error {
	found := h.pick(func(s *Session) bool { return s.id == id })
	if len(found) == 0 {
		return noSession()
	}
	found[0].endNow(domain.CloseServiceRestart, CloseInfo{})
	return nil
}

func noSession() error { return domain.Errorf(domain.CodeNotFound, "this node has no such session") }

// Members counts the members with a session here.
func (h *Hub) Members() int {
	type member struct{ workspace, id string }
	online := map[member]struct{}{}
	for _, s := range h.pick(func(*Session) bool { return true }) {
		online[member{s.identity.WorkspaceID, s.identity.MemberID}] = struct{}{}
	}
	return len(online)
}

// Channels lists the channels with the most events over the last minute,
// busiest first, at most limit. It counts what the ring remembers, which on a
// very busy workspace is less than a minute; the count is scaled up then.
func (h *Hub) Channels(limit int) []domain.ChannelStats {
	since := time.Now().Add(-busyWindow)
	all := []domain.ChannelStats{}
	for _, f := range h.everyFeed() {
		all = append(all, f.busy(since)...)
	}
	slices.SortFunc(all, func(a, b domain.ChannelStats) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Channel, b.Channel))
	})
	return all[:min(limit, len(all))]
}

// busy counts the feed's events by channel.
func (f *feed) busy(since time.Time) []domain.ChannelStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[domain.Channel]int{}
	scale := 1.0
	for i := len(f.ring.entries) - 1; i >= 0; i-- {
		e := &f.ring.entries[i]
		if e.since().Before(since) {
			break
		}
		counts[e.channel]++
		if covered := time.Since(e.since()); i == 0 && covered > 0 && len(f.ring.entries) >= f.ring.size {
			scale = float64(busyWindow) / float64(covered)
		}
	}
	stats := make([]domain.ChannelStats, 0, len(counts))
	for channel, n := range counts {
		stats = append(stats, domain.ChannelStats{
			WorkspaceID: f.workspaceID, Channel: channel, Sessions: len(f.on(channel)), Events: int(float64(n) * scale),
		})
	}
	return stats
}

// since is when this node could have written the entry.
func (t *tally) since() time.Time {
	if t.heard.IsZero() {
		return t.at
	}
	return t.heard
}

func (h *Hub) pick(wanted func(*Session) bool) []*Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []*Session
	for s := range h.sessions.all() {
		if wanted(s) {
			found = append(found, s)
		}
	}
	return found
}

// info describes the session.
func (s *Session) info(now time.Time) domain.SessionInfo {
	f, id := s.feed, s.identity
	f.mu.Lock()
	defer f.mu.Unlock()
	rooms := s.rooms()
	if rooms == nil {
		rooms = []string{}
	}
	info := domain.SessionInfo{
		ID: s.id, Transport: string(s.transport),
		WorkspaceID: id.WorkspaceID, Workspace: id.WorkspaceSlug, MemberID: id.MemberID, UserID: id.UserID,
		Position: s.handed, Behind: f.ring.head - s.pos(), Rooms: rooms, OpenedAt: domain.At(s.openedAt),
	}
	if waiting := s.oldestWaiting(); !waiting.IsZero() {
		info.LagMS = float64(max(0, now.Sub(waiting)).Microseconds()) / 1000
	}
	return info
}

// lagging tells whether something waits to be taken or written.
func (s *Session) lagging() bool {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return !s.oldestWaiting().IsZero()
}

// oldestWaiting is since when the oldest entry waits that the session hasn't
// taken, or that its transport hasn't written; zero if none does. With f.mu held.
func (s *Session) oldestWaiting() time.Time {
	if len(s.inFlight) > 0 {
		return s.inFlight[0].since()
	}
	ring, next := &s.feed.ring, s.pos()+1
	if next > ring.head || len(ring.entries) == 0 {
		return time.Time{}
	}
	return ring.at(max(next, ring.first())).since()
}
