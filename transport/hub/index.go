package hub

import (
	"slices"

	"github.com/orbit/realtime/domain"
)

// channel is one row of a feed's index: who is on it.
type channel struct {
	name domain.Channel
	subs []*subscription
}

// subscription is a session on a channel. It takes its place in the index
// before the right to the channel is verified, so that a revocation committed
// meanwhile finds it; nothing of the channel is handed out until it is active.
type subscription struct {
	session *Session
	channel *channel // nil once it left the index
	slot    int      // in channel.subs
	granted bool     // of a room: the right was verified
	active  bool     // the right was verified, and system.subscribed (or hello) handed out
	deleted bool     // until was set because the room was deleted
	skip    int64    // entries up to it are known to the client
	until   int64    // offset of the entry that revoked the right; 0: none, see atOnce
}

// atOnce, as until, ends a subscription whatever the position.
const atOnce = -1

// wants tells whether the subscription covers an entry.
func (sub *subscription) wants(name domain.Channel, offset int64) bool {
	return sub.active && sub.channel.name == name && offset > sub.skip && (sub.until == 0 || offset <= sub.until)
}

// subscribe puts a session on a channel, not active yet. With f.mu held.
func (f *feed) subscribe(s *Session, name domain.Channel) *subscription {
	ch := f.channels[name]
	if ch == nil {
		ch = &channel{name: name}
		f.channels[name] = ch
	}
	sub := &subscription{session: s, channel: ch, slot: len(ch.subs)}
	ch.subs = append(ch.subs, sub)
	s.subs = append(s.subs, sub)
	return sub
}

// unsubscribe takes a subscription out of the index and of its session, in a
// time that doesn't depend on how many are on the channel. With f.mu held.
func (f *feed) unsubscribe(sub *subscription) {
	ch := sub.channel
	if ch == nil {
		return
	}
	last := len(ch.subs) - 1
	ch.subs[sub.slot] = ch.subs[last]
	ch.subs[sub.slot].slot = sub.slot
	ch.subs[last] = nil
	ch.subs = ch.subs[:last]
	if last == 0 {
		delete(f.channels, ch.name)
	}
	sub.channel, sub.granted, sub.active = nil, false, false
	s := sub.session
	s.subs = slices.DeleteFunc(s.subs, func(other *subscription) bool { return other == sub })
}

// on returns the subscriptions of a channel. With f.mu held.
func (f *feed) on(name domain.Channel) []*subscription {
	if ch := f.channels[name]; ch != nil {
		return ch.subs
	}
	return nil
}
