package prove

import (
	"context"
	"fmt"

	"github.com/orbit/realtime/app/prove/check"
)

// mark notes where each log stands: the round's truth begins there.
func (r *round) mark(ctx context.Context) error {
	if err := r.until(ctx, r.env.opts.Patience, "the outbox is empty", func() bool {
		ids, err := r.env.store.WaitingEvents(ctx)
		return err == nil && len(ids) == 0
	}); err != nil {
		return err
	}
	for _, t := range r.env.tenants {
		states, err := r.env.store.LogStates(ctx, []string{t.id})
		if err != nil {
			return err
		}
		s := states[t.id]
		r.epochs[t.id] = s.Epoch
		r.truths[t.id] = &check.Workspace{ID: t.id, Slug: t.slug, Epoch: s.Epoch, Base: s.Head, OpenRooms: []string{t.general}}
	}
	return nil
}

const truthPage = 2000

// collect reads what the logs have gained. It is done before anything is
// trimmed, and at the end.
func (r *round) collect(ctx context.Context) error {
	for _, w := range r.truths {
		for {
			after := w.Base + int64(len(w.Entries))
			page, state, err := r.env.store.LogAfter(ctx, w.ID, after, 1<<62, nil, truthPage)
			if err != nil {
				return err
			}
			if state.Floor > after && len(w.Entries) > 0 {
				return fmt.Errorf("the log of %s was trimmed to %d before it was read beyond %d", w.Slug, state.Floor, after)
			}
			w.Floor, w.Epoch = state.Floor, state.Epoch
			for _, e := range page {
				kept, err := entry(e, r.began)
				if err != nil {
					return err
				}
				w.Entries = append(w.Entries, kept)
			}
			if len(page) < truthPage {
				break
			}
		}
	}
	return nil
}

// truth reads from the database what was committed.
func (r *round) truth(ctx context.Context, h *check.History) error {
	if err := r.collect(ctx); err != nil {
		return err
	}
	for _, t := range r.env.tenants {
		w := r.truths[t.id]
		var err error
		if w.Messages, err = r.env.store.MessagesSince(ctx, w.ID, r.began); err != nil {
			return err
		}
		h.Workspaces = append(h.Workspaces, *w)
	}
	projected, err := r.env.store.ProjectedSince(ctx, r.began)
	if err != nil {
		return err
	}
	h.Projected = make(map[string]bool, len(projected))
	for _, id := range projected {
		h.Projected[id] = true
	}
	poisoned, err := r.env.store.PoisonedSince(ctx, r.began)
	if err != nil {
		return err
	}
	h.Poison = map[string]check.Poisoned{}
	for _, p := range poisoned {
		h.Poison[p.EventID] = check.Poisoned{State: p.State, Aggregate: p.AggregateID}
	}
	h.Pending, err = r.env.store.WaitingEvents(ctx)
	return err
}
