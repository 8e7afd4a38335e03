package hub

import (
	"context"

	"github.com/orbit/realtime/domain"
)

// Subscribe adds a room. The answer (system.subscribed or system.error, with
// ref) is handed out by Next; with a position, the room's entries after it
// follow, or a system.resync that says why they can't. A room that is unknown
// and one that is closed to the member are answered alike, with CodeNotFound; a
// room too many with CodeTooLarge; a database that is away with CodeUnavailable.
// To subscribe again is no error. Error: only when the session is closed.
//
// The subscription takes its place before the right is verified: a revocation
// committed before the check fails it, one committed after has an entry that
// finds it.
func (s *Session) Subscribe(ctx context.Context, room string, position string, ref *int64) error {
	f := s.feed
	sub, resets, err := s.claim(room, ref)
	if err != nil || sub == nil {
		return err
	}
	if err := f.hub.ent.Room(ctx, s.identity, room); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if refused(err) {
			s.refuse(sub, ref)
		} else {
			s.unavailable(sub, ref)
		}
		return s.closedErr()
	}
	r := reply{data: system(domain.ServerSystemSubscribed, domain.SubscribedPayload{Room: room, Ref: ref})}
	if position != "" {
		p, reason, err := f.resolve(ctx, position, s.identity.JoinedOffset)
		if err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			s.unavailable(sub, ref)
			return s.closedErr()
		}
		r.resync, r.fill, r.after = reason, reason == "", p.Offset
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case s.closed:
	case sub.until != 0: // revoked while it was being verified
		s.refuse(sub, ref)
	case resets != f.resets: // the log was reset meanwhile, and may have held a revocation
		s.unavailable(sub, ref)
	default:
		if same := s.subscribed(sub.channel.name); same != nil && same != sub {
			f.unsubscribe(sub)
			sub = same
		}
		r.sub = sub
		sub.granted = true
		s.reply(r)
	}
	return s.closedErr()
}

// claim takes the place of a room's subscription (nil: it was answered already)
// and tells how often the log had been reset by then.
func (s *Session) claim(room string, ref *int64) (*subscription, int, error) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.closed {
		return nil, 0, ErrClosed
	}
	name := domain.RoomChannel(room)
	if s.subscribed(name) == nil && len(s.subs) >= 2+f.hub.cfg.MaxRooms {
		s.reply(reply{data: tooManyRooms(ref)})
		return nil, 0, nil
	}
	return f.subscribe(s, name), f.resets, nil
}

// subscribed finds the session's verified subscription of a channel whose right
// is not about to end. With f.mu held.
func (s *Session) subscribed(name domain.Channel) *subscription {
	for _, sub := range s.subs {
		if sub.granted && sub.until == 0 && sub.channel.name == name {
			return sub
		}
	}
	return nil
}

// Unsubscribe drops a room; Next hands out system.unsubscribed, also if there
// was no subscription. Error: only when the session is closed.
func (s *Session) Unsubscribe(room string, ref *int64) error {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	name := domain.RoomChannel(room)
	for i := len(s.subs) - 1; i >= 0; i-- {
		if sub := s.subs[i]; sub.channel.name == name && sub.granted {
			f.unsubscribe(sub)
		}
	}
	s.reply(reply{data: unsubscribed(room, "", ref)})
	return nil
}

// refuse drops a subscription that was not verified. With f.mu held.
func (s *Session) refuse(sub *subscription, ref *int64) {
	s.feed.unsubscribe(sub)
	s.reply(reply{data: system(domain.ServerSystemError, domain.ErrorPayload{
		Code: domain.CodeNotFound, Message: "there is no such room", Ref: ref,
	})})
}

// unavailable drops a subscription that could not be verified. With f.mu held.
func (s *Session) unavailable(sub *subscription, ref *int64) {
	s.feed.unsubscribe(sub)
	s.reply(reply{data: system(domain.ServerSystemError, domain.ErrorPayload{
		Code: domain.CodeUnavailable, Message: "the room can't be joined right now; try again", Ref: ref,
	})})
}

func (s *Session) closedErr() error {
	if s.closed {
		return ErrClosed
	}
	return nil
}

func tooManyRooms(ref *int64) []byte {
	return system(domain.ServerSystemError, domain.ErrorPayload{
		Code: domain.CodeTooLarge, Message: "too many rooms on one connection", Ref: ref,
	})
}
