package hub

import (
	"context"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// Register adds a session on its workspace's and member's channel and on the
// rooms asked for. It verifies the membership after it took its place in the
// log, so that no revocation slips between. Rooms that the member may not read
// are answered with system.error. Errors: CodeForbidden (membership ended),
// CodeRateLimited (a session limit), CodeUnavailable (draining, or the database
// is away), CodeUnauthenticated (signed out meanwhile).
func (h *Hub) Register(ctx context.Context, o Options) (*Session, error) {
	s, err := h.admit(o)
	if err != nil {
		return nil, err
	}
	entered := false
	defer func() {
		if !entered { // also when a product's Entitlements panicked
			s.leave()
		}
	}()
	if err := s.enter(ctx, o); err != nil {
		if ctx.Err() != nil && !domain.IsTransient(err) {
			err = domain.Transient(err, "the connection could not be set up in time")
		}
		return nil, err
	}
	entered = true
	h.cfg.Observer.Opened(o.Transport, s.outcome(o.Position))
	h.presence.Join(o.WorkspaceID, o.MemberID, s.id)
	return s, nil
}

// outcome names how the session came in.
func (s *Session) outcome(position string) string {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	switch {
	case s.resync != "":
		return string(s.resync)
	case position == "":
		return OpenedFresh
	}
	return OpenedResumed
}

// CanRegister tells, without registering, whether Register would meet a limit
// or a draining hub. The probe endpoint uses it.
func (h *Hub) CanRegister(id Identity) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.full(id)
}

// full returns why there is no room for another session, if so. With h.mu held.
func (h *Hub) full(id Identity) error {
	f := h.feeds[id.WorkspaceID]
	switch {
	case h.draining || h.ctx.Err() != nil:
		return &domain.Error{Code: domain.CodeUnavailable, Message: "this node is draining", Transient: true}
	case h.sessions.size >= h.cfg.MaxSessions:
		return domain.Errorf(domain.CodeRateLimited, "this node has no room for another connection")
	case f != nil && f.refs >= h.cfg.MaxWorkspaceSessions:
		return domain.Errorf(domain.CodeRateLimited, "the workspace has too many connections")
	case h.users[id.UserID] >= h.cfg.MaxUserSessions:
		return domain.Errorf(domain.CodeRateLimited, "you have too many connections")
	}
	return nil
}

// admit counts the session in, within the limits.
func (h *Hub) admit(o Options) (*Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.full(o.Identity); err != nil {
		return nil, err
	}
	f := h.feeds[o.WorkspaceID]
	if f == nil {
		f = newFeed(h, o.WorkspaceID)
		h.feeds[o.WorkspaceID] = f
		h.cfg.Relay.Follow(o.WorkspaceID)
	}
	s := &Session{
		feed: f, id: h.sessionID(), identity: o.Identity, transport: o.Transport,
		onReady: o.OnReady, onClose: o.OnClose, openedAt: time.Now(), verified: time.Now(),
		outdated: o.Catalog != "" && o.Catalog != domain.CatalogHash(),
		woken:    true, // no OnReady before the first call of Next
	}
	f.refs++
	h.users[o.UserID]++
	h.counts[o.Transport]++
	h.sessions.add(s)
	return s, nil
}

// enter takes the session's place first, and verifies its rights then: what is
// revoked before the check fails it, what is revoked after has an entry above
// the place, which the session meets.
func (s *Session) enter(ctx context.Context, o Options) error {
	f, h := s.feed, s.feed.hub
	if err := f.load(ctx); err != nil {
		return err
	}
	var p domain.Position
	var reason domain.ResyncReason
	if o.Position != "" {
		var err error
		if p, reason, err = f.resolve(ctx, o.Position, o.JoinedOffset); err != nil {
			return err
		}
	}
	rooms := s.place(o, p, reason)
	if err := h.ent.Member(ctx, o.Identity); err != nil {
		return err
	}
	for _, sub := range rooms {
		err := h.ent.Room(ctx, o.Identity, sub.channel.name.ID())
		if err != nil && !refused(err) {
			return err
		}
		f.mu.Lock()
		if err != nil || sub.until != 0 {
			s.refuse(sub, nil)
		} else {
			sub.granted, sub.active = true, true
		}
		f.mu.Unlock()
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	if s.closeWith == nil {
		return nil
	}
	switch s.closeWith.code {
	case domain.CloseUnauthenticated:
		return domain.Errorf(domain.CodeUnauthenticated, "the session has ended")
	case domain.CloseRevoked:
		return domain.Errorf(domain.CodeForbidden, "the membership has ended")
	}
	return &domain.Error{Code: domain.CodeUnavailable, Message: "this node is draining", Transient: true}
}

// place puts the session at its position and into the index, at once. The
// subscriptions of the rooms asked for come back, to be verified.
func (s *Session) place(o Options, p domain.Position, reason domain.ResyncReason) []*subscription {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	s.at, s.dirty, s.replayTo = f.ring.head, true, f.ring.head
	switch {
	case o.Position == "":
	case reason != "":
		s.resync = reason
	case p.Epoch != f.epoch: // reset since it was resolved
		s.resync = domain.ResyncEpochChanged
	default:
		s.at, s.resumed = p.Offset, true
	}
	s.handed = f.position(s.at)
	s.subs = make([]*subscription, 0, 2+len(o.Rooms))
	f.subscribe(s, domain.WorkspaceChannel(o.WorkspaceID)).active = true
	f.subscribe(s, domain.MemberChannel(o.MemberID)).active = true

	var rooms []*subscription
	for i, room := range o.Rooms {
		switch {
		case slices.Contains(o.Rooms[:i], room):
		case len(rooms) == f.hub.cfg.MaxRooms:
			s.reply(reply{data: tooManyRooms(nil)})
		default:
			rooms = append(rooms, f.subscribe(s, domain.RoomChannel(room)))
		}
	}
	return rooms
}

// leave takes the session out of everything; it reports whether it was in.
func (s *Session) leave() bool {
	f, h := s.feed, s.feed.hub
	f.mu.Lock()
	if s.closed {
		f.mu.Unlock()
		return false
	}
	s.closed = true
	for len(s.subs) > 0 {
		f.unsubscribe(s.subs[len(s.subs)-1])
	}
	s.caughtUp()
	s.replies, s.backfill = nil, nil
	f.mu.Unlock()

	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions.remove(s)
	if h.counts[s.transport]--; h.counts[s.transport] == 0 {
		delete(h.counts, s.transport)
	}
	if h.users[s.identity.UserID]--; h.users[s.identity.UserID] == 0 {
		delete(h.users, s.identity.UserID)
	}
	if f.refs--; f.refs == 0 {
		f.idleSince = time.Now()
	}
	return true
}
