package prove

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/domain"
)

// visits has one visitor join, look around, and be removed, again and again;
// and lets members into the private room and out of it.
func (w *writer) visits(ctx, life context.Context) {
	w.name = "host-" + w.tenant.slug
	for n := 0; ctx.Err() == nil; n++ {
		w.n++
		w.doors(ctx)
		v := *w.tenant.visitors[n%len(w.tenant.visitors)]
		if !w.visit(ctx, life, &v, n) || !sleep(ctx, around(w.dice, time.Second/2)) {
			return
		}
	}
}

// visit is one membership from beginning to end; its tab lives as long as life. It reports false when ctx ended.
func (w *writer) visit(ctx, life context.Context, v *person, n int) bool {
	before, ok := w.invite(ctx, v)
	if !ok {
		return false
	}
	h := habits[w.dice.IntN(4)] // one that stays
	h.private = false
	name := fmt.Sprintf("visitor %s/%d.%d %s", w.tenant.slug, w.run.index, n, h.name)
	tb := w.run.open(life, w.tenant, v, h, name, n, func(tb *tab) {
		tb.record.Before = before
		if before > 1 && w.dice.IntN(2) == 0 { // what was said before they came
			tb.forged = domain.Position{Epoch: w.run.epochs[w.tenant.id], Offset: before / 2}.String()
		}
	})
	sleep(ctx, around(w.dice, 2*time.Second))
	// The end of a run doesn't spare anybody: who came is removed.
	gone := w.remove(context.WithoutCancel(ctx), v)
	for end := time.Now().Add(3 * time.Second); gone && time.Now().Before(end) && !tb.isGone(); {
		time.Sleep(20 * time.Millisecond)
	}
	return ctx.Err() == nil
}

// invite makes the visitor a member, and returns the log's head from before.
func (w *writer) invite(ctx context.Context, v *person) (before int64, ok bool) {
	for first := true; ctx.Err() == nil; first = false {
		s, _, err := w.run.env.calls.snapshotOf(ctx, w.as, w.tenant.slug)
		if err != nil {
			sleep(ctx, 200*time.Millisecond)
			continue
		}
		// An invitation whose answer was lost may have been carried out.
		for _, m := range s.Members {
			if m.Email == v.email {
				v.memberID = m.ID
				return before, true
			}
		}
		if p, err := domain.ParsePosition(s.Position); err == nil && first {
			before = p.Offset
			w.run.knowEpoch(w.tenant.id, p.Epoch)
		}
		if it, ok := w.do(ctx, http.MethodPost, "/members", "member", map[string]any{"email": v.email}, check.Op{Kind: "invite"}); ok {
			v.memberID = it.ID
			return before, true
		}
	}
	return 0, false
}

// remove ends the membership for sure.
func (w *writer) remove(ctx context.Context, v *person) bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		op := check.Op{Kind: "remove", Entity: "member:" + v.memberID, Version: 2, Removes: v.memberID}
		if _, ok := w.do(ctx, http.MethodDelete, "/members/"+v.memberID, "", nil, op); ok {
			return true
		}
		s, _, err := w.run.env.calls.snapshotOf(ctx, w.as, w.tenant.slug)
		there := err != nil
		for _, m := range s.Members {
			there = there || m.ID == v.memberID
		}
		if !there {
			return true
		}
		time.Sleep(200 * time.Millisecond)
	}
	return false
}

// doors lets one member into the private room, or out of it.
func (w *writer) doors(ctx context.Context) {
	m := w.tenant.members[w.dice.IntN(len(w.tenant.members))]
	path := "/rooms/" + w.tenant.den + "/members/" + m.memberID
	if w.dice.IntN(2) == 0 {
		w.do(ctx, http.MethodPut, path, "room", nil, check.Op{Kind: "let in", Moot: true})
		return
	}
	w.do(ctx, http.MethodDelete, path, "", nil, check.Op{Kind: "put out", Moot: true, Entity: "room:" + w.tenant.den, Version: 1})
}
