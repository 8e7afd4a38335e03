package hub

import (
	"context"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// batch collects what one call of Next returns.
type batch struct {
	frames []Frame
	bytes  int
	limit  int
}

func (b *batch) fits(f Frame) bool { return len(b.frames) == 0 || b.bytes+len(f.Data) <= b.limit }

func (b *batch) add(f Frame) {
	b.frames = append(b.frames, f)
	b.bytes += len(f.Data)
}

// errand is something Next must do without the lock before it can go on. An
// error means that it changed nothing and shall be tried again later.
type errand func(ctx context.Context, b *batch) error

// start notes that the transport is ready for callbacks, and that it has come
// for what the last OnReady announced.
func (s *Session) start() bool {
	s.feed.mu.Lock()
	s.woken = false
	s.started = true
	if s.closeWith != nil {
		s.tell()
	}
	open := !s.closed
	if len(s.inFlight) == 0 {
		s.feed.mu.Unlock()
		return open
	}
	now := time.Now()
	written := s.settle(now)
	s.feed.mu.Unlock()
	s.observe(written, now)
	return open
}

// collect adds to the batch what can be had without waiting, and returns the
// errand that stands in the way of more, if any.
func (s *Session) collect(b *batch) errand {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case s.closed || s.closeWith != nil:
		return nil
	case s.cutReached(b):
		return nil
	case s.unproven && s.blocked:
		return nil
	case s.unproven:
		return s.verify
	case !s.greeted:
		return s.greet
	}
	do := s.flow(b)
	if s.cutReached(b) {
		return nil
	}
	if s.beat && s.cut == 0 && s.closeWith == nil {
		s.beat = false
		b.add(f.heartbeat(s.pos()))
		s.hand(s.pos())
	}
	return do
}

// flow is the order of things after system.hello. With f.mu held.
func (s *Session) flow(b *batch) errand {
	if s.resync != "" {
		b.add(resyncFrame(s.resync, s.feed.position(s.pos())))
		s.hand(s.pos())
		s.resync = ""
	}
	if s.outdated {
		s.outdated = false
		b.add(Frame{Data: system(domain.ServerSystemOutdated, domain.OutdatedPayload{Catalog: domain.CatalogHash()})})
	}
	s.endSubscriptions(b)
	if !s.live {
		if do, done := s.scan(b, ownReader{s}, s.replayTo); !done {
			return do
		}
		s.live = true
		b.add(liveFrame)
	}
	if s.cut == 0 {
		if do, done := s.answer(b); !done {
			return do
		}
	}
	if do, done := s.scan(b, ownReader{s}, s.feed.ring.head); !done {
		return do
	}
	if s.cut == 0 {
		s.ephemeral(b)
	}
	return nil
}

// greet makes system.hello. The presence set and the place in the ephemeral
// states are of one moment: what the set has is not sent again, and no flip
// after it is missed. So the session never sees the flip that its own arrival
// caused.
func (s *Session) greet(_ context.Context, b *batch) error {
	f, id := s.feed, s.identity
	hello := domain.HelloPayload{
		Session:     s.id,
		Workspace:   domain.WorkspaceRef{ID: id.WorkspaceID, Slug: id.WorkspaceSlug},
		Member:      domain.MemberRef{ID: id.MemberID},
		Presence:    []string{},
		Rooms:       []string{},
		HeartbeatMS: f.hub.cfg.Heartbeat.Milliseconds(),
		Catalog:     domain.CatalogHash(),
	}
	var at domain.Position
	f.hub.presence.View(id.WorkspaceID, func(online []string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		s.greeted = true
		s.caughtUp()
		at = f.position(s.pos())
		s.handed = at
		hello.Resumed = s.resumed
		hello.Rooms = append(hello.Rooms, s.rooms()...)
		if len(online) > 0 {
			hello.Presence = online
		}
	})
	// Encoded outside of the locks: the set can be long.
	b.add(frame(system(domain.ServerSystemHello, hello), at))
	return nil
}

// rooms returns the ids of the rooms that the session may see, sorted. With
// f.mu held.
func (s *Session) rooms() []string {
	var rooms []string
	for _, name := range s.channels() {
		if name.Kind() == domain.KindRoom {
			rooms = append(rooms, name.ID())
		}
	}
	slices.Sort(rooms)
	return rooms
}

// answer hands out the replies, each with what belongs right behind it. With
// f.mu held.
func (s *Session) answer(b *batch) (errand, bool) {
	for {
		if s.backfill != nil {
			if do, done := s.scan(b, s.backfill, s.backfill.upTo); !done {
				return do, false
			}
			s.backfill = nil
		}
		if len(s.replies) == 0 {
			s.replies = nil
			return nil, true
		}
		r := s.replies[0]
		if !b.fits(Frame{Data: r.data}) {
			return nil, false
		}
		s.replies = s.replies[1:]
		b.add(Frame{Data: r.data})
		if r.resync != "" {
			b.add(resyncFrame(r.resync, s.feed.position(s.pos())))
			s.hand(s.pos())
		}
		if r.sub != nil && r.sub.channel != nil {
			s.begin(r)
			s.endSubscriptions(b)
		}
	}
}

// begin starts a subscription whose system.subscribed is being handed out: from
// the session's position on, and before that the room's entries after the
// client's own position. With f.mu held.
func (s *Session) begin(r reply) {
	pos := s.pos()
	if !r.sub.active {
		r.sub.active = true
		if r.fill && r.after > pos {
			r.sub.skip = r.after
		}
	}
	if r.fill && r.after < pos {
		s.backfill = &backfill{s: s, sub: r.sub, at: r.after, upTo: pos}
	}
}

// reply puts an answer in line. With f.mu held.
func (s *Session) reply(r reply) {
	if s.closed {
		return
	}
	if len(s.replies) == maxReplies {
		s.end(domain.CloseRateLimited, CloseInfo{})
		return
	}
	s.replies = append(s.replies, r)
	s.feed.wake(s)
}

// reply is an answer to a client's message.
type reply struct {
	data   []byte
	resync domain.ResyncReason // a system.resync follows
	sub    *subscription       // begins with this answer
	fill   bool                // the room's entries after after follow
	after  int64
}
