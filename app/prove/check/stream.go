package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// stream follows what one client received, beside the log it should have been
// made of.
type stream struct {
	*result
	client     *Client
	truth      *truth
	everywhere map[string]string // event id → workspace
	rolledBack map[string]bool

	covered int64           // the client has everything up to here
	seen    map[string]bool // cause + type + channel of what came
	// of the connection at hand
	conn     *Connection
	pos      int64
	rooms    map[domain.Channel]bool
	backfill map[domain.Channel][]int64 // offsets due after a subscribe, oldest first
	resync   *Frame                     // a resync without its snapshot
	gap      bool                       // not resumed: what was missed is not covered yet
}

func (s *stream) complain(at time.Duration, invariant, format string, args ...any) {
	s.add(Violation{Invariant: invariant, Workspace: s.truth.Slug, Client: s.client.Name, At: at, Detail: fmt.Sprintf(format, args...)})
}

func (s *stream) check() {
	s.seen = map[string]bool{}
	s.covered = -1
	for i := range s.client.Connections {
		s.conn = &s.client.Connections[i]
		s.connection()
	}
	if _, removed := s.truth.removed[s.client.Member]; removed && s.conn != nil && s.conn.End == 0 {
		s.complain(0, Isolated, "the member was removed, and is still connected at the end")
	}
	switch {
	case !s.client.Open:
	case s.conn == nil:
		s.complain(0, Complete, "it never got a connection")
	case s.conn.End != 0:
		s.complain(s.conn.End, Complete, "it had no connection at the end")
	default:
		s.missing(0, s.truth.head(), "by the end")
	}
}

func (s *stream) connection() {
	c := s.conn
	if len(c.Frames) == 0 {
		return
	}
	hello := &c.Frames[0]
	if hello.Type != domain.ServerSystemHello {
		s.complain(hello.At, Ordered, "a connection begins with %s, and not with system.hello", hello.Type)
		return
	}
	s.backfill = map[domain.Channel][]int64{}
	s.rooms = map[domain.Channel]bool{}
	for _, id := range hello.more().Rooms {
		s.rooms[domain.RoomChannel(id)] = true
	}
	for _, id := range c.Rooms {
		if s.truth.open[id] && !s.rooms[domain.RoomChannel(id)] {
			s.complain(hello.At, Complete, "it asked for room %s, which is open to all, and did not get it", id)
		}
	}
	s.begin(hello)
	for i := 1; i < len(c.Frames); i++ {
		s.frame(&c.Frames[i])
	}
	s.unresolved()
	if !c.Forged && !s.gap {
		s.covered = max(s.covered, s.pos)
	}
}

// begin takes the place in the log that hello says.
func (s *stream) begin(hello *Frame) {
	c := s.conn
	s.resync, s.gap = nil, false
	s.pos = hello.Offset
	if c.Epoch == "" || c.Forged {
		return
	}
	s.gap = !hello.more().Resumed
	if owned := c.Asked == s.covered || slices.ContainsFunc(s.client.Snapshots, func(p Snapshot) bool { return p.Offset == c.Asked && p.At <= hello.At }); !owned {
		s.complain(hello.At, Harness, "it asked for position %d, having %d", c.Asked, s.covered)
	}
	if hello.more().Resumed {
		s.pos = c.Asked
		if hello.Offset > c.Asked {
			s.missing(hello.At, hello.Offset, "by system.hello, which claims it")
		}
	}
}

func (s *stream) frame(f *Frame) {
	if f.Offset >= 0 && f.more().Epoch != "" && f.more().Epoch != s.truth.Epoch {
		s.complain(f.At, Ordered, "%s has a position of epoch %s; the log's is %s", f.Type, f.more().Epoch, s.truth.Epoch)
		return
	}
	if s.gap && s.resync == nil && f.Offset >= 0 && f.Type != domain.ServerSystemResync {
		s.complain(f.At, Complete, "it was not resumed from position %d, nor told to resync", s.conn.Asked)
		s.gap = false
	}
	switch {
	case isLogged(f):
		s.logged(f)
	case f.Type == domain.ServerSystemResync:
		s.resynced(f)
	case f.Type == domain.ServerSystemSubscribed:
		s.subscribed(f)
	case f.Type == domain.ServerSystemUnsubscribed:
		delete(s.rooms, domain.RoomChannel(f.more().Room))
		delete(s.backfill, domain.RoomChannel(f.more().Room))
	case f.Offset >= 0: // a heartbeat, or a poll's position
		s.missing(f.At, f.Offset, fmt.Sprintf("by %s, which claims position %d", f.Type, f.Offset))
		if f.Offset < s.pos {
			s.complain(f.At, Ordered, "%s goes back from position %d to %d", f.Type, s.pos, f.Offset)
		}
	}
}

// logged takes an entry of the log.
func (s *stream) logged(f *Frame) {
	s.entitled(f)
	if due := s.backfill[f.Channel]; len(due) > 0 && f.Offset <= s.pos {
		if f.Offset != due[0] {
			s.complain(f.At, Complete, "after the subscribe to %s came offset %d, and %d was due", f.Channel, f.Offset, due[0])
		}
		s.backfill[f.Channel] = slices.DeleteFunc(due, func(o int64) bool { return o <= f.Offset })
		s.same(f)
		return
	}
	if f.Offset <= s.pos {
		if s.seen[identity(f)] {
			s.complain(f.At, Once, "%s at offset %d came again", f.Type, f.Offset)
		} else {
			s.complain(f.At, Ordered, "%s at offset %d came after position %d", f.Type, f.Offset, s.pos)
		}
		return
	}
	s.missing(f.At, f.Offset-1, fmt.Sprintf("before offset %d", f.Offset))
	s.pos = f.Offset
	s.same(f)
}

func identity(f *Frame) string { return identityOf(f.Cause, f) }

func identityOf(cause string, f *Frame) string {
	return cause + " " + string(f.Type) + " " + string(f.Channel)
}

// same compares a frame with the entry at its offset.
func (s *stream) same(f *Frame) {
	e := s.truth.at(f.Offset)
	again := s.seen[identity(f)] && !about(f.Type)
	s.seen[identity(f)] = true
	for _, cause := range f.Also {
		again = again || s.seen[identityOf(cause, f)]
		s.seen[identityOf(cause, f)] = true
	}
	if e != nil && e.Cause == f.Cause && slices.Equal(e.Also, f.Also) && e.Type == f.Type && e.Channel == f.Channel && e.Entity == f.Entity && e.Version == f.Version {
		if again {
			s.complain(f.At, Once, "%s of event %s came again, at offset %d", f.Type, f.Cause, f.Offset)
		}
		return
	}
	owner, known := s.everywhere[f.Cause]
	switch {
	case s.rolledBack[f.Cause]:
		s.complain(f.At, Phantom, "%s at offset %d is of event %s, which was rolled back", f.Type, f.Offset, f.Cause)
	case known && owner != s.truth.ID:
		s.complain(f.At, Isolated, "%s at offset %d is of event %s, which is another workspace's", f.Type, f.Offset, f.Cause)
	case !known:
		s.complain(f.At, Phantom, "%s at offset %d is of event %s, which was never committed", f.Type, f.Offset, f.Cause)
	case again:
		s.complain(f.At, Once, "%s of event %s came again, at offset %d, in place of another", f.Type, f.Cause, f.Offset)
	case e != nil && e.Cause != f.Cause:
		s.complain(f.At, Ordered, "%s of event %s came at offset %d, which is event %s's", f.Type, f.Cause, f.Offset, e.Cause)
	default:
		s.complain(f.At, Phantom, "%s at offset %d (%s, version %d) is not what the log has there", f.Type, f.Offset, f.Entity, f.Version)
	}
}

// missing complains of every entry up to offset that should have come by now,
// and moves on to there.
func (s *stream) missing(at time.Duration, offset int64, when string) {
	for channel, due := range s.backfill {
		for _, o := range due {
			s.complain(at, Complete, "offset %d of %s is missing after the subscribe, %s", o, channel, when)
		}
		delete(s.backfill, channel)
	}
	for o := s.pos + 1; o <= offset; o++ {
		if e := s.truth.at(o); e != nil && s.on(e.Channel) && o > s.client.Before {
			s.complain(at, Complete, "%s at offset %d, of event %s, is missing %s", e.Type, o, e.Cause, when)
		}
	}
	s.pos = max(s.pos, offset)
}

// on tells whether the connection is on a channel of its workspace's log.
func (s *stream) on(channel domain.Channel) bool {
	switch channel.Kind() {
	case domain.KindWorkspace:
		return channel.ID() == s.truth.ID
	case domain.KindMember:
		return channel.ID() == s.client.Member
	}
	return s.rooms[channel]
}

// entitled complains of an entry that the client must not see.
func (s *stream) entitled(f *Frame) {
	member := s.client.Member
	switch {
	case !s.on(f.Channel):
		s.complain(f.At, Isolated, "%s at offset %d is on %s, where it is not", f.Type, f.Offset, f.Channel)
	case s.client.Before > 0 && f.Offset <= s.client.Before:
		s.complain(f.At, Isolated, "%s at offset %d is from before the member joined, after offset %d", f.Type, f.Offset, s.client.Before)
	}
	if end, ok := s.truth.removed[member]; ok && f.Offset > end {
		s.complain(f.At, Isolated, "%s at offset %d came after the member's removal, at %d", f.Type, f.Offset, end)
	}
	if f.Channel.Kind() == domain.KindRoom && s.shutOut(f) {
		s.complain(f.At, Isolated, "%s at offset %d is of %s, which the member may no longer read", f.Type, f.Offset, f.Channel)
	}
}

// shutOut tells whether the member had lost the room before the entry, and not
// been let in again by the time it came: whoever is, may read what was said
// meanwhile.
func (s *stream) shutOut(f *Frame) bool {
	out := int64(-1)
	for _, e := range s.truth.revoked[f.Channel] {
		if e.Offset < f.Offset && (e.Revoke.MemberID == "" || e.Revoke.MemberID == s.client.Member) {
			out = e.Offset
		}
	}
	if out < 0 {
		return false
	}
	return !slices.ContainsFunc(s.truth.admitted[f.Channel], func(e Entry) bool {
		return e.Offset > out && e.At <= f.At && e.Channel.ID() == s.client.Member && e.Type != domain.ServerRoomDeleted
	})
}

// resynced judges a resync: was the gap really not available?
func (s *stream) resynced(f *Frame) {
	s.unresolved()
	reason := domain.ResyncReason(f.more().Reason)
	asked := s.conn.Asked
	var right bool
	switch reason {
	case domain.ResyncPositionExpired:
		right = asked < s.truth.Floor || asked < s.truth.joined[s.client.Member] || s.client.Before > 0 && s.truth.joined[s.client.Member] == 0
	case domain.ResyncEpochChanged:
		right = s.conn.Epoch != s.truth.Epoch
	case domain.ResyncPositionInvalid, domain.ResyncAheadOfLog:
		right = s.conn.Forged
	}
	if !right {
		s.complain(f.At, Complete, "it was told to resync (%s) from position %d, though the log still has everything from %d", cmp.Or(string(reason), "no reason"), asked, s.truth.Floor)
	}
	s.pos = max(s.pos, f.Offset)
	s.resync = f
}

// unresolved complains of a resync that no snapshot followed, though the
// connection went on long enough to be taken for one that caught up.
func (s *stream) unresolved() {
	f := s.resync
	if f == nil || s.conn.Forged {
		return
	}
	s.resync = nil
	for _, p := range s.client.Snapshots {
		if p.At >= f.At && p.Offset >= f.Offset {
			s.gap = false
			return
		}
		if p.At >= f.At && p.Offset < f.Offset {
			s.complain(p.At, Complete, "the snapshot after the resync at %d is of position %d", f.Offset, p.Offset)
			s.gap = false
			return
		}
	}
	if s.conn.End == 0 {
		s.complain(f.At, Harness, "no snapshot followed the resync")
	}
}

// subscribed opens a room: from here on, and back to the position it named.
func (s *stream) subscribed(f *Frame) {
	m := f.more()
	channel := domain.RoomChannel(m.Room)
	if s.rooms[channel] {
		return
	}
	s.rooms[channel] = true
	for o := m.After + 1; o <= s.pos; o++ {
		if e := s.truth.at(o); e != nil && e.Channel == channel {
			s.backfill[channel] = append(s.backfill[channel], o)
		}
	}
}
