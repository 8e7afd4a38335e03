package hub

import (
	"context"

	"github.com/orbit/realtime/domain"
)

// resolve decides whether a client can go on from its position. If not, the
// reason for a resync comes back. The answer is the database's: a client that
// has just read a snapshot may be ahead of what the feed has heard of.
func (f *feed) resolve(ctx context.Context, position string, joined int64) (domain.Position, domain.ResyncReason, error) {
	p, err := domain.ParsePosition(position)
	if err != nil {
		return p, domain.ResyncPositionInvalid, nil
	}
	known := func() (epoch string, head, first int64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.epoch, f.ring.head, f.ring.first()
	}
	epoch, head, first := known()
	if p.Epoch != epoch || p.Offset > head {
		if err := f.catchUp(ctx); err != nil {
			return p, "", err
		}
		epoch, head, first = known()
	}
	switch {
	case p.Epoch != epoch:
		return p, domain.ResyncEpochChanged, nil
	case p.Offset > head:
		return p, domain.ResyncAheadOfLog, nil
	case p.Offset < joined:
		return p, domain.ResyncPositionExpired, nil
	case p.Offset >= first-1:
		return p, "", nil // all of it is in the ring
	case head-p.Offset <= int64(f.hub.cfg.RingSize):
		err = f.fill(ctx, p.Offset)
	default:
		err = f.refreshFloor(ctx)
	}
	if err != nil {
		return p, "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.Offset < f.floor && p.Offset < f.ring.first()-1 {
		return p, domain.ResyncPositionExpired, nil
	}
	return p, "", nil
}
