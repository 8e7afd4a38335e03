package prove

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// settle waits until everything has healed and arrived, and writes down the
// history. What doesn't heal in time is in it, for the checker to complain of.
func (r *round) settle(ctx context.Context) (*check.History, error) {
	r.settling.Store(true)
	if err := r.heal(ctx); err != nil {
		return nil, err
	}
	r.sendMarkers(ctx)
	leavers := r.leave()
	// Everybody has the marker, and the leavers have been missed.
	quiet := time.Now().Add(offlineBound)
	start := time.Now()
	_ = r.until(ctx, r.env.opts.Patience, "", func() bool { return len(r.unmarked(leavers)) == 0 })
	if late := r.unmarked(leavers); len(late) > 0 {
		fmt.Fprintf(r.env.opts.Progress, "  without the last event after %s: %s\n", time.Since(start).Round(time.Second), strings.Join(late, ", "))
	}
	if !sleep(ctx, time.Until(quiet)) {
		return nil, ctx.Err()
	}
	if err := r.measure(); err != nil {
		return nil, err
	}
	return r.history(ctx, leavers)
}

// operator is who sends back what was poisoned.
var operator = domain.Act{Operator: "prove", Role: "direct", Via: "direct"}

// heal waits for the server, sends poisoned events back, and waits until the
// outbox is empty.
func (r *round) heal(ctx context.Context) error {
	var admins []string
	if s := r.env.opts.Server; s != nil {
		admins = []string{s.AdminURL}
	} else {
		for _, p := range r.env.nodes() {
			admins = append(admins, "http://"+p.admin)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for _, admin := range admins {
		if err := waitReady(waiting, admin); err != nil {
			return fmt.Errorf("after the faults: %w; it said:\n%s", err, r.env.log)
		}
	}
	empty := func() bool {
		ids, err := r.env.store.WaitingEvents(ctx)
		return err == nil && len(ids) == 0
	}
	for range 5 {
		_ = r.until(ctx, 60*time.Second, "", empty) // what is left over is a violation
		poisoned, err := r.env.store.PoisonedSince(ctx, r.began)
		if err != nil {
			return err
		}
		poisoned = slices.DeleteFunc(poisoned, func(p store.PoisonedEvent) bool { return p.State != domain.PoisonOpen })
		if len(poisoned) == 0 {
			return nil
		}
		for _, p := range poisoned {
			if err := r.env.store.RequeuePoison(ctx, operator, p.PoisonID); err != nil && domain.CodeOf(err) != domain.CodeConflict {
				return fmt.Errorf("requeue %s: %w", p.PoisonID, err)
			}
		}
	}
	return nil
}

// sendMarkers makes one last change in each workspace, which every client shall
// see: whoever has it ought to have all that came before.
func (r *round) sendMarkers(ctx context.Context) {
	for i, t := range r.env.tenants {
		w := r.newWriter(t, 900+i)
		w.name = "marker-" + t.slug
		for try := 0; try < 20; try++ {
			w.do(ctx, http.MethodPatch, "", "workspace", map[string]any{"name": fmt.Sprintf("marker %d.%d", r.index, try)}, check.Op{Kind: "marker"})
			if op := r.ops[len(r.ops)-1]; op.Outcome == check.OK {
				for _, tb := range r.tabsOf(t) {
					tb.expect(op.Event)
				}
				break
			}
			if !sleep(ctx, 200*time.Millisecond) {
				return
			}
		}
	}
}

func (r *round) tabsOf(t *tenant) []*tab {
	return slices.DeleteFunc(r.allTabs(), func(tb *tab) bool { return tb.tenant != t })
}

// leave closes the only tab of one member of each workspace, for good: the
// others are to be told, once.
func (r *round) leave() []*tab {
	var gone []*tab
	for _, t := range r.env.tenants {
		if t.quiet {
			continue
		}
		leaver := t.members[2+r.index%(len(t.members)-2)] // the first two have several tabs
		for _, tb := range r.tabsOf(t) {
			if tb.who == leaver {
				tb.close()
				gone = append(gone, tb)
			}
		}
	}
	return gone
}

// unmarked names the clients that don't have the last event yet.
func (r *round) unmarked(but []*tab) (late []string) {
	for _, tb := range r.allTabs() {
		if slices.Contains(but, tb) || tb.isGone() {
			continue
		}
		tb.mu.Lock()
		waits := len(tb.causes) > len(tb.marked)
		tb.mu.Unlock()
		if waits {
			late = append(late, tb.record.Name)
		}
	}
	return late
}

// history collects the truth, and what everybody saw.
func (r *round) history(ctx context.Context, leavers []*tab) (*check.History, error) {
	h := &check.History{
		Bounds: check.Bounds{Offline: offlineBound, Online: onlineBound},
		Ops:    r.ops, Faults: r.faults, RolledBack: r.rolled, Vitals: r.vitals,
	}
	// Clients first: what they have is in the log by then, but not the reverse.
	for _, tb := range r.allTabs() {
		stays := !slices.Contains(leavers, tb) && !tb.isGone()
		var final *domain.Snapshot
		if stays && tb.start == nil {
			s, gone, err := r.env.calls.snapshotOf(ctx, tb.who, tb.tenant.slug)
			switch {
			case gone: // removed, and its connection goes on
				stays = false
			case err != nil:
				return nil, fmt.Errorf("the last snapshot of %s: %w", tb.record.Name, err)
			default:
				final = &s
			}
		}
		c := tb.history()
		c.Open = stays
		if final != nil {
			tb.mu.Lock()
			c.Model = tb.model.copy()
			tb.mu.Unlock()
			c.Database, c.Online = versionsOf(*final), final.Presence
		}
		h.Clients = append(h.Clients, c)
	}
	return h, r.truth(ctx, h)
}
