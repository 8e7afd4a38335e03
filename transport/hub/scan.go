package hub

import (
	"context"
	"errors"
	"time"

	"github.com/orbit/realtime/domain"
)

// errEpoch says that the log was reset under a read; the feed is about to see it.
var errEpoch = errors.New("the log has another epoch")

// reader is one way through the log: the session's own, or a room's
// entries that follow a subscription (backfill). With f.mu held.
type reader interface {
	offset() int64
	names() []domain.Channel
	// take moves to offset and hands out the entry there, if there is one and
	// the reader is for it. It reports false, unmoved, if the batch is full.
	take(b *batch, offset int64, e *entry) bool
	// expired is called when entries after offset() are gone from the log.
	expired(b *batch)
	// current tells whether the session still goes this way.
	current() bool
}

// scan moves a reader up to upTo: through the ring, or through pages of the log
// where the ring doesn't reach back far enough. It reports whether it arrived.
// With f.mu held.
func (s *Session) scan(b *batch, r reader, upTo int64) (errand, bool) {
	f := s.feed
	if s.cut != 0 {
		upTo = min(upTo, s.cut)
	}
	for at := r.offset(); at < upTo; at = r.offset() {
		if first := f.ring.first(); at+1 < first {
			if s.blocked {
				return nil, false
			}
			return s.page(r, at, min(upTo, first-1), b.limit), false
		}
		if !r.take(b, at+1, f.ring.at(at+1)) {
			return nil, false
		}
	}
	if _, own := r.(ownReader); own && s.dirty && s.at >= f.ring.head {
		s.dirty = false
	}
	return nil, true
}

// page reads the log between two offsets. With f.mu held; the errand runs without.
func (s *Session) page(r reader, after, upTo int64, bytes int) errand {
	f := s.feed
	epoch, names := f.epoch, r.names()
	limit := max(16, min(bytes/256, readPage)) // a batch's worth of common entries
	return func(ctx context.Context, b *batch) error {
		entries, state, err := f.hub.log.LogAfter(ctx, f.workspaceID, after, upTo, names, limit)
		if err != nil {
			return err
		}
		encoded := make([]entry, len(entries))
		for i, e := range entries {
			encoded[i] = encode(epoch, e, time.Time{})
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case s.closed || s.closeWith != nil || f.epoch != epoch || !r.current() || r.offset() != after:
			return nil // moot by now
		case state.Epoch != epoch:
			f.refresh()
			return errEpoch
		case state.Floor > after:
			r.expired(b)
			return nil
		}
		s.failures = 0
		for i, e := range entries {
			if !r.take(b, e.Offset, &encoded[i]) {
				return nil
			}
		}
		if len(entries) < limit {
			r.take(b, upTo, nil)
		}
		return nil
	}
}

// ownReader is the session's own way through the log.
type ownReader struct{ *Session }

func (r ownReader) offset() int64           { return r.pos() }
func (r ownReader) names() []domain.Channel { return r.channels() }
func (r ownReader) current() bool           { return true }
func (r ownReader) expired(*batch)          { r.end(domain.CloseSlowConsumer, CloseInfo{}) }

func (r ownReader) take(b *batch, offset int64, e *entry) bool {
	s := r.Session
	if offset-1 > s.at {
		s.at = offset - 1
		s.endSubscriptions(b)
	}
	if e != nil && s.wants(e.channel, offset) {
		if !b.fits(e.frame) {
			return false
		}
		b.add(e.frame)
		s.note(e)
		s.hand(offset)
	}
	s.at = offset
	s.endSubscriptions(b)
	return true
}

func (s *Session) wants(name domain.Channel, offset int64) bool {
	for _, sub := range s.subs {
		if sub.wants(name, offset) {
			return true
		}
	}
	return false
}

// backfill is a room's entries between the position a client subscribed with
// and the session's own.
type backfill struct {
	s        *Session
	sub      *subscription
	at, upTo int64
}

func (r *backfill) offset() int64 {
	if r.sub.channel == nil {
		return r.upTo // unsubscribed meanwhile
	}
	return r.at
}

func (r *backfill) names() []domain.Channel { return []domain.Channel{r.sub.channel.name} }
func (r *backfill) current() bool           { return r.s.backfill == r && r.sub.channel != nil }

func (r *backfill) expired(b *batch) {
	r.at = r.upTo
	b.add(resyncFrame(domain.ResyncPositionExpired, r.s.feed.position(r.s.pos())))
}

func (r *backfill) take(b *batch, offset int64, e *entry) bool {
	if e != nil && e.channel == r.sub.channel.name && (r.sub.until == 0 || offset <= r.sub.until) {
		if !b.fits(e.frame) {
			return false
		}
		b.add(e.frame)
		r.s.note(e)
		r.s.hand(offset)
	}
	r.at = offset
	return true
}
