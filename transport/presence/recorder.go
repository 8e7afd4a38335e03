package presence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
)

// Record keeps each node's set where the others find it, and the next process.
// Package store implements it.
type Record interface {
	SavePresence(ctx context.Context, nodeID string, changes []domain.NodePresence) error
	// ForgetPresence deletes who left at or before a version.
	ForgetPresence(ctx context.Context, nodeID string, version int64) error
}

const (
	recordInterval = 100 * time.Millisecond // between two writes
	recordTimeout  = 5 * time.Second        // of one write

	// Leaving is kept on record between one and two of these. A node that
	// hasn't asked for as long as the first reads everything; see ForgetAfter.
	forgetInterval = time.Minute
)

// ForgetAfter is how long the record tells who left, at least.
const ForgetAfter = forgetInterval

// Recorder writes this node's set to the record: a little later, and of several
// changes of a member only the last, so that a herd of reconnects is a few
// statements. What a crash leaves unwritten costs a flicker, no more.
type Recorder struct {
	tracker *Tracker
	record  Record
	nodeID  string
	onSaved func([]domain.NodePresence)
	logger  *slog.Logger

	version        int64     // of the newest change; run's own, as what follows
	forget, marked int64     // versions to forget next, and after that
	forgetAt       time.Time // when the next is due

	mu    sync.Mutex
	flips map[key]bool
	some  chan struct{} // holds one token while flips is not empty

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup
}

type key struct{ workspaceID, memberID string }

// NewRecorder makes a recorder of t's set, which is that of the node. It must be
// made before t is used. onSaved is told what was written, after it was.
func NewRecorder(t *Tracker, record Record, nodeID string, onSaved func([]domain.NodePresence), logger *slog.Logger) *Recorder {
	r := &Recorder{
		tracker: t, record: record, nodeID: nodeID, onSaved: onSaved, logger: logger,
		flips: map[key]bool{}, some: make(chan struct{}, 1),
	}
	t.onFlip = r.note
	return r
}

// Rewrite writes the whole set anew: the record has lost it.
func (r *Recorder) Rewrite() { r.tracker.Here(r.note) }

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
	changes := make([]domain.NodePresence, 0, len(taken))
	for k, online := range taken {
		r.version++
		changes = append(changes, domain.NodePresence{
			Presence: domain.Presence{WorkspaceID: k.workspaceID, MemberID: k.memberID, Online: online},
			Node:     r.nodeID, Version: r.version,
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	err := r.record.SavePresence(ctx, r.nodeID, changes)
	if err == nil {
		r.onSaved(changes)
		r.tidy(ctx)
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

// tidy lets the record forget who left long ago.
func (r *Recorder) tidy(ctx context.Context) {
	now := time.Now()
	if now.Before(r.forgetAt) {
		return
	}
	if r.forget > 0 {
		if err := r.record.ForgetPresence(ctx, r.nodeID, r.forget); err != nil {
			return // the next write tries again
		}
	}
	r.forget, r.marked, r.forgetAt = r.marked, r.version, now.Add(forgetInterval)
}
