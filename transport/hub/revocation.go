package hub

import (
	"context"
	"time"

	"github.com/orbit/realtime/domain"
)

// Why the server ended a subscription, in system.unsubscribed.
const (
	reasonRevoked     = "revoked"
	reasonRoomDeleted = "room_deleted"
)

// revoke applies a revocation to everybody it concerns, when its entry is
// appended. The feed goes through every entry above a session's place, whatever
// its channel, so no revocation can be missed; those below were in force before
// the right was verified, and are moot. With f.mu held.
func (f *feed) revoke(offset int64, r domain.Revocation) {
	name := r.Channel
	if name == "" {
		name = domain.WorkspaceChannel(f.workspaceID)
	}
	for _, sub := range f.on(name) {
		s := sub.session
		switch {
		case r.MemberID != "" && r.MemberID != s.identity.MemberID:
		case name.Kind() != domain.KindRoom:
			s.cutAt(offset)
		case sub.until == 0:
			sub.until, sub.deleted = offset, r.MemberID == ""
			s.ends = true
			if sub.active {
				s.due(offset)
			}
		}
	}
}

// cutAt ends the session at the offset: what is up to it may still be written,
// in a short time, then the connection is cut, however slow its reader. With
// f.mu held.
func (s *Session) cutAt(offset int64) {
	if s.cut != 0 {
		return
	}
	s.cut = offset
	s.due(offset)
	time.AfterFunc(s.feed.hub.cfg.RevokeGrace, func() { s.endNow(domain.CloseRevoked, CloseInfo{}) })
}

// cutReached tells whether a revoked session has been handed all it may have,
// and ends it when that has been written: not while it is in the batch. With
// f.mu held.
func (s *Session) cutReached(b *batch) bool {
	if s.cut == 0 || s.greeted && s.pos() < s.cut {
		return false
	}
	if len(b.frames) == 0 {
		s.end(domain.CloseRevoked, CloseInfo{})
	}
	return true
}

// endSubscriptions ends those whose right was revoked at or below the session's
// position. With f.mu held.
func (s *Session) endSubscriptions(b *batch) {
	if !s.ends {
		return
	}
	s.ends = false
	pos := s.pos()
	for i := len(s.subs) - 1; i >= 0; i-- {
		sub := s.subs[i]
		switch {
		case sub.until == 0:
		case !sub.active || sub.until > pos:
			s.ends = true
		default:
			reason := reasonRevoked
			if sub.deleted {
				reason = reasonRoomDeleted
			}
			b.add(Frame{Data: unsubscribed(sub.channel.name.ID(), reason, nil)})
			s.feed.unsubscribe(sub)
		}
	}
}

// verify asks again for every right of the session, after a part of the log
// that may have held revocations was lost.
func (s *Session) verify(ctx context.Context, _ *batch) error {
	f, h := s.feed, s.feed.hub
	f.mu.Lock()
	resets := f.resets
	var rooms []domain.Channel
	for _, sub := range s.subs {
		if sub.granted {
			rooms = append(rooms, sub.channel.name)
		}
	}
	f.mu.Unlock()

	switch err := h.ent.Member(ctx, s.identity); {
	case err != nil && domain.CodeOf(err) == domain.CodeUnauthenticated:
		s.endNow(domain.CloseUnauthenticated, CloseInfo{})
		return nil
	case refused(err):
		s.endNow(domain.CloseRevoked, CloseInfo{})
		return nil
	case err != nil:
		return err
	}
	var lost []domain.Channel
	for _, room := range rooms {
		if err := h.ent.Room(ctx, s.identity, room.ID()); refused(err) {
			lost = append(lost, room)
		} else if err != nil {
			return err
		}
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resets != resets {
		return nil // reset once more: verify once more
	}
	s.unproven, s.failures = false, 0
	for _, name := range lost {
		for _, sub := range s.subs {
			if sub.channel.name == name {
				sub.until, s.ends = atOnce, true
			}
		}
	}
	return nil
}

// refused tells a right that isn't there from a question that found no answer.
func refused(err error) bool {
	code := domain.CodeOf(err)
	return err != nil && (code == domain.CodeNotFound || code == domain.CodeForbidden)
}
