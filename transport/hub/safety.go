package hub

import (
	"context"
	"time"

	"github.com/orbit/realtime/domain"
)

// missedPause is the least time between two safety reads that Missed asks for:
// ten thousand workspaces that are followed in a row are a handful of reads.
const missedPause = 50 * time.Millisecond

// watchLogs runs the safety read at its pace, and when Missed asks for it.
func (h *Hub) watchLogs() {
	ticker := time.NewTicker(max(h.cfg.SafetyRead, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
			h.safetyRead(nil)
		case <-h.missed:
			select {
			case <-h.ctx.Done():
				return
			case <-time.After(missedPause):
			}
			h.safetyRead(h.takeSuspects())
		}
	}
}

// takeSuspects returns the workspaces that Missed named; nil for all.
func (h *Hub) takeSuspects() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	suspects := h.suspects
	if h.suspectAll {
		suspects = nil
	}
	h.suspects, h.suspectAll = map[string]bool{}, false
	return suspects
}

// safetyRead compares every active feed (or those of only) with the log's state,
// in one query, and lets those that fell behind (or were reset) read. It is what makes a lost
// hint cost latency only. It also drops feeds that nobody came back to.
func (h *Hub) safetyRead(only map[string]bool) {
	heads := map[*feed]int64{}
	var ids []string
	for _, f := range h.active() {
		if only != nil && !only[f.workspaceID] {
			continue
		}
		f.mu.Lock()
		if f.loaded {
			// Taken before the query: a head below this one is no race.
			heads[f] = f.ring.head
			ids = append(ids, f.workspaceID)
		}
		f.mu.Unlock()
	}
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, readTimeout)
	defer cancel()
	states, err := h.log.LogStates(ctx, ids)
	if err != nil {
		if !h.blind && h.ctx.Err() == nil {
			h.blind = true
			h.cfg.Logger.Warn("the safety read fails; lost hints wait until it works again", "error", err)
		}
		return
	}
	if h.blind {
		h.blind = false
		h.cfg.Logger.Info("the safety read works again")
	}
	for f, head := range heads {
		if state, ok := states[f.workspaceID]; ok {
			f.compare(state, head)
		}
	}
}

// compare reads the log if its state is not the feed's. head is the feed's from
// before the state was asked for.
func (f *feed) compare(state domain.LogState, head int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state.Epoch != f.epoch || state.Head > f.ring.head || state.Head < head {
		f.refresh()
		return
	}
	f.floor = state.Floor
}

// active returns the feeds, after it dropped those whose last session left
// longer than Linger ago.
func (h *Hub) active() []*feed {
	h.mu.Lock()
	var active, dropped []*feed
	for id, f := range h.feeds {
		if f.refs == 0 && time.Since(f.idleSince) >= h.cfg.Linger {
			delete(h.feeds, id)
			h.cfg.Relay.Unfollow(id)
			dropped = append(dropped, f)
			continue
		}
		active = append(active, f)
	}
	h.mu.Unlock()
	for _, f := range dropped {
		f.mu.Lock()
		f.dropped = true
		f.mu.Unlock()
	}
	return active
}
