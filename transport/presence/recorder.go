package presence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
)

// Record keeps who is online where the next process finds it. Package store
// implements it.
type Record interface {
	SavePresence(ctx context.Context, flips []domain.Presence) error
}

const (
	recordInterval = 100 * time.Millisecond // between two writes
	recordTimeout  = 5 * time.Second        // of one write
)

// Recorder writes a tracker's flips to the record: a little later, and of
// several flips of a member only the last, so that a herd of reconnects is a
// few statements. What a crash leaves unwritten costs a flicker, no more.
type Recorder struct {
	record Record
	logger *slog.Logger

	mu    sync.Mutex
	flips map[key]bool
	some  chan struct{} // holds one token while flips is not empty

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup
}

type key struct{ workspaceID, memberID string }

// NewRecorder makes a recorder of t's flips. It must be made before t is used.
func NewRecorder(t *Tracker, record Record, logger *slog.Logger) *Recorder {
	r := &Recorder{record: record, logger: logger, flips: map[key]bool{}, some: make(chan struct{}, 1)}
	t.onFlip = r.note
	return r
}

// Start begins to write and returns at once.
func (r *Recorder) Start(ctx context.Context) {
	ctx, r.stop = context.WithCancel(ctx)
	r.running.Go(func() { r.run(ctx) })
}

// Stop writes what is left and ends. Idempotent.
func (r *Recorder) Stop() {
	if r.stop != nil {
		r.stop()
		r.running.Wait()
	}
}

func (r *Recorder) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-r.some:
			r.write()
		case <-ctx.Done():
		}
		select {
		case <-time.After(recordInterval):
		case <-ctx.Done():
		}
	}
	r.write()
}

// note is called under the tracker's lock.
func (r *Recorder) note(p domain.Presence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flips[key{p.WorkspaceID, p.MemberID}] = p.Online
	r.signal()
}

func (r *Recorder) signal() {
	select {
	case r.some <- struct{}{}:
	default:
	}
}

// write saves the flips noted. When that fails they are kept for the next time,
// unless a newer flip of the same member has come.
func (r *Recorder) write() {
	r.mu.Lock()
	taken := r.flips
	r.flips = map[key]bool{}
	r.mu.Unlock()
	if len(taken) == 0 {
		return
	}
	flips := make([]domain.Presence, 0, len(taken))
	for k, online := range taken {
		flips = append(flips, domain.Presence{WorkspaceID: k.workspaceID, MemberID: k.memberID, Online: online})
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	err := r.record.SavePresence(ctx, flips)
	if err == nil {
		return
	}
	r.logger.Debug("presence can't be recorded; trying again", "error", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, online := range taken {
		if _, newer := r.flips[k]; !newer {
			r.flips[k] = online
		}
	}
	r.signal()
}
