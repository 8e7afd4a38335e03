package hub

import (
	"time"

	"github.com/orbit/realtime/domain"
)

// entry is a log entry as sessions get it, encoded once.
type entry struct {
	channel domain.Channel
	frame   Frame
	*tally
}

// encode makes an entry. heard is when this node heard of it: zero for one that
// is read from the log later on.
func encode(epoch string, e domain.Entry, heard time.Time) entry {
	p := domain.Position{Epoch: epoch, Offset: e.Offset}
	return entry{
		channel: e.Channel, frame: Frame{ID: p.String(), Data: domain.Frame(e.Data, p)},
		tally: &tally{offset: e.Offset, eventID: e.EventID, at: e.At, heard: heard},
	}
}

// ring caches the log's tail: the entries with first() <= offset <= head. It
// keeps at least size and fewer than twice size of them, so that dropping old
// ones is one copy in size pushes, and an idle workspace takes no more memory
// than it has entries.
type ring struct {
	size    int
	head    int64
	entries []entry
}

// reset empties the ring; head is the offset of the newest entry not in it.
func (r *ring) reset(head int64) { r.head, r.entries = head, nil }

// first is the lowest offset in the ring, head+1 when it is empty.
func (r *ring) first() int64 { return r.head - int64(len(r.entries)) + 1 }

// push adds the entry with offset head+1.
func (r *ring) push(e entry) {
	if len(r.entries) >= 2*r.size-1 {
		n := copy(r.entries, r.entries[len(r.entries)-r.size+1:])
		clear(r.entries[n:])
		r.entries = r.entries[:n]
	}
	r.entries = append(r.entries, e)
	r.head++
}

// prepend adds the entries right below first.
func (r *ring) prepend(older []entry) { r.entries = append(older, r.entries...) }

// at returns the entry of an offset with first <= offset <= head.
func (r *ring) at(offset int64) *entry { return &r.entries[offset-r.first()] }
