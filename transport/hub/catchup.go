package hub

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/orbit/realtime/domain"
)

const (
	readPage    = 512             // entries per read of the log
	readTimeout = 5 * time.Second // of one read in the background

	minBackoff = 50 * time.Millisecond
	maxBackoff = 3 * time.Second
)

// backoff is the pause before another attempt after n failed ones: doubling,
// with jitter, so that ten thousand sessions don't come back as one.
func backoff(n int) time.Duration {
	d := min(minBackoff<<min(n, 10), maxBackoff)
	return d/2 + rand.N(d/2)
}

// load reads where the log stands, once per feed. Hints that arrive meanwhile
// are made up for by another read.
func (f *feed) load(ctx context.Context) error {
	if err := f.takeTurn(ctx); err != nil {
		return err
	}
	defer f.giveTurn()
	f.mu.Lock()
	loaded := f.loaded
	f.mu.Unlock()
	if loaded {
		return nil
	}
	state, err := f.state(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded, f.epoch, f.floor = true, state.Epoch, state.Floor
	f.ring.reset(state.Head)
	if f.missed {
		f.refresh()
	}
	return nil
}

// state asks the database for the log's state.
func (f *feed) state(ctx context.Context) (domain.LogState, error) {
	states, err := f.hub.log.LogStates(ctx, []string{f.workspaceID})
	if err != nil {
		return domain.LogState{}, err
	}
	state, ok := states[f.workspaceID]
	if !ok {
		return domain.LogState{}, domain.Errorf(domain.CodeForbidden, "the workspace is gone")
	}
	return state, nil
}

// fill extends the ring downwards to the entry after offset, which is at most
// RingSize below the head. The first session that comes back does it for all
// the others: ten thousand reconnects after a restart are a handful of reads.
func (f *feed) fill(ctx context.Context, offset int64) error {
	if err := f.takeTurn(ctx); err != nil {
		return err
	}
	defer f.giveTurn()
	f.mu.Lock()
	epoch, first := f.epoch, f.ring.first()
	f.mu.Unlock()
	if offset >= first-1 {
		return nil
	}
	entries, state, err := f.hub.log.LogAfter(ctx, f.workspaceID, offset, first-1, nil, int(first-1-offset))
	if err != nil {
		return err
	}
	older := make([]entry, len(entries))
	for i, e := range entries {
		older[i] = encode(epoch, e, time.Time{})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch != epoch || state.Epoch != epoch {
		return nil // the session's own read will see it
	}
	f.floor = state.Floor
	if state.Floor <= offset && f.ring.first() == first && int64(len(older)) == first-1-offset {
		f.ring.prepend(older)
	}
	return nil
}

// refreshFloor brings the floor up to date.
func (f *feed) refreshFloor(ctx context.Context) error {
	state, err := f.state(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch == state.Epoch {
		f.floor = state.Floor
	}
	return nil
}

// refresh makes a goroutine of the feed read the log from the head on. With
// f.mu held.
func (f *feed) refresh() {
	if f.reading {
		f.again = true
		return
	}
	f.reading = true
	f.hub.spawn(f.read)
}

// read catches up with the log, however long the database is away.
func (f *feed) read() {
	for failures := 0; ; {
		ctx, cancel := context.WithTimeout(f.hub.ctx, readTimeout)
		err := f.catchUp(ctx)
		cancel()
		f.mu.Lock()
		if f.hub.ctx.Err() != nil || f.dropped || err == nil && !f.again {
			f.reading = false
			f.mu.Unlock()
			return
		}
		f.again = false
		f.mu.Unlock()
		if err == nil {
			failures = 0
			continue
		}
		if failures == 0 {
			f.hub.cfg.Logger.Warn("the log can't be read; trying again", "workspace", f.workspaceID, "error", err)
		}
		select {
		case <-time.After(backoff(failures)):
		case <-f.hub.ctx.Done():
		}
		failures++
	}
}

// catchUp reads the log from the head on until there is no more.
func (f *feed) catchUp(ctx context.Context) error {
	for {
		f.mu.Lock()
		epoch, head := f.epoch, f.ring.head
		f.mu.Unlock()
		entries, state, err := f.hub.log.LogAfter(ctx, f.workspaceID, head, math.MaxInt64, nil, readPage)
		if err != nil {
			return err
		}
		f.mu.Lock()
		more := f.merge(epoch, head, entries, state)
		f.mu.Unlock()
		if !more {
			return nil
		}
	}
}

// merge takes a page that was read from the log after head, in epoch, as the
// feed knew them before the read. It reports whether to read on. With f.mu held.
func (f *feed) merge(epoch string, head int64, entries []domain.Entry, state domain.LogState) bool {
	switch {
	case state.Epoch == "":
		return false // the workspace is gone
	case f.epoch != epoch:
		return true // somebody else saw a reset meanwhile: this page is old
	case state.Epoch != epoch:
		f.reset(state, domain.ResyncEpochChanged)
		return false
	case state.Head < head:
		// What was there before the read is not there anymore.
		f.reset(state, domain.ResyncAheadOfLog)
		return false
	case state.Floor > f.ring.head:
		// Trimmed past what we have seen. Every session still has to get over
		// the hole, finds it, and is told (CloseSlowConsumer).
		f.skipTo(state.Floor)
	}
	f.floor = state.Floor
	f.apply(entries)
	return len(entries) == readPage
}

// skipTo moves the head over entries that nobody can read anymore. With f.mu held.
func (f *feed) skipTo(floor int64) {
	hole := f.ring.head + 1
	f.ring.reset(floor)
	for _, sub := range f.on(domain.WorkspaceChannel(f.workspaceID)) {
		sub.session.due(hole)
	}
}

func (f *feed) takeTurn(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return domain.Transient(ctx.Err(), "the workspace's log can't be read now")
	}
}

func (f *feed) giveTurn() { <-f.turn }
