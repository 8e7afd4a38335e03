package prove

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/domain"
)

// writer sends one command after the other, and remembers what it was told.
type writer struct {
	run    *round
	tenant *tenant
	as     *person
	name   string
	dice   *rand.Rand
	n      int // commands so far

	teams, rooms, messages []thing
}

// known bounds what a writer keeps to change later.
const known = 12

func (r *round) newWriter(t *tenant, i int) *writer {
	name := "writer-" + t.slug
	return &writer{run: r, tenant: t, as: t.owner, name: name, dice: dice(r.env.opts.Seed, name, r.index*1000+i)}
}

// write sends commands at a rate until ctx ends. A slow answer costs its turn:
// it never has two commands under way.
func (w *writer) write(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.n++
			w.command(ctx)
		}
	}
}

// command does one thing, by chance.
func (w *writer) command(ctx context.Context) {
	text := fmt.Sprintf("%s %d.%d", w.tenant.slug, w.run.index, w.n)
	switch d := w.dice.IntN(100); {
	case d < 44:
		w.post(ctx, w.tenant.general, text)
	case d < 52:
		w.post(ctx, w.tenant.den, text)
	case d < 60:
		w.do(ctx, http.MethodPatch, "", "workspace", map[string]any{"name": text}, check.Op{Kind: "rename workspace"})
	case d < 68:
		m := w.tenant.members[w.dice.IntN(len(w.tenant.members))]
		w.do(ctx, http.MethodPatch, "/members/"+m.memberID, "member", map[string]any{"name": text}, check.Op{Kind: "rename member"})
	case d < 72:
		w.do(ctx, http.MethodPatch, "/subscription", "subscription", map[string]any{"plan": text}, check.Op{Kind: "change plan"})
	case d < 82:
		w.group(ctx, "team", "/teams", &w.teams, text)
	case d < 87:
		w.group(ctx, "room", "/rooms", &w.rooms, text)
	case d < 93:
		w.amend(ctx, text)
	case d < 96:
		m := w.tenant.members[w.dice.IntN(len(w.tenant.members))]
		w.do(ctx, http.MethodPost, "/members/"+m.memberID+"/notifications", "notification",
			map[string]any{"title": "proof", "body": text}, check.Op{Kind: "notify", Fact: true})
	case d < 98:
		w.refused(ctx, text)
	default:
		w.rolledBack(ctx)
	}
}

// do sends a command and records it.
func (w *writer) do(ctx context.Context, method, path, key string, body any, op check.Op) (thing, bool) {
	op.Writer, op.Workspace = w.name, w.tenant.id
	op.Sent = w.run.now()
	a := w.run.env.calls.call(ctx, w.as, method, "/v1/workspaces/"+w.tenant.slug+path, body)
	op.Done, op.Outcome, op.Event = w.run.now(), a.outcome, a.event
	var it thing
	if a.outcome == check.OK && key != "" {
		if it = a.entity(key); it.ID != "" {
			op.Entity, op.Version = intern(key+":"+it.ID), it.Version
		}
	}
	w.run.record(op)
	return it, a.outcome == check.OK
}

func (w *writer) post(ctx context.Context, room, text string) {
	if it, ok := w.do(ctx, http.MethodPost, "/rooms/"+room+"/messages", "message", map[string]any{"body": text},
		check.Op{Kind: "post", Fact: true, Body: text}); ok && room == w.tenant.general {
		w.messages = keep(w.messages, it)
	}
}

// group makes, renames or deletes a team or a room.
func (w *writer) group(ctx context.Context, key, path string, all *[]thing, text string) {
	if len(*all) < 2 || len(*all) < known && w.dice.IntN(3) == 0 {
		if it, ok := w.do(ctx, http.MethodPost, path, key, map[string]any{"name": text}, check.Op{Kind: "create " + key}); ok {
			*all = append(*all, it)
		}
		return
	}
	i := w.dice.IntN(len(*all))
	if w.dice.IntN(3) > 0 {
		if it, ok := w.do(ctx, http.MethodPatch, path+"/"+(*all)[i].ID, key, map[string]any{"name": text}, check.Op{Kind: "rename " + key}); ok {
			(*all)[i] = it
		}
		return
	}
	gone := (*all)[i]
	*all = append((*all)[:i], (*all)[i+1:]...) // whatever the outcome: it is not touched again
	w.do(ctx, http.MethodDelete, path+"/"+gone.ID, "", nil,
		check.Op{Kind: "delete " + key, Entity: key + ":" + gone.ID, Version: gone.Version + 1})
}

// amend edits or takes back a message.
func (w *writer) amend(ctx context.Context, text string) {
	if len(w.messages) == 0 {
		return
	}
	i := w.dice.IntN(len(w.messages))
	m := w.messages[i]
	path := "/rooms/" + w.tenant.general + "/messages/" + m.ID
	if w.dice.IntN(3) > 0 {
		if it, ok := w.do(ctx, http.MethodPatch, path, "message", map[string]any{"body": text}, check.Op{Kind: "edit", Fact: true}); ok {
			w.messages[i] = it
		}
		return
	}
	w.messages = append(w.messages[:i], w.messages[i+1:]...)
	w.do(ctx, http.MethodDelete, path, "", nil, check.Op{Kind: "take back", Fact: true, Entity: "message:" + m.ID, Version: m.Version + 1})
}

// refused sends what no server may carry out.
func (w *writer) refused(ctx context.Context, text string) {
	body := text + strings.Repeat(" and on", domain.MaxBodyLength/7)
	w.do(ctx, http.MethodPost, "/rooms/"+w.tenant.general+"/messages", "", map[string]any{"body": body}, check.Op{Kind: "post too long", Body: body})
}

var errChangedMind = errors.New("the transaction is rolled back on purpose")

// rolledBack publishes an event and rolls its transaction back.
func (w *writer) rolledBack(ctx context.Context) {
	ev := domain.NewEvent(domain.EventMemberUpdated, w.tenant.id, w.tenant.owner.memberID, domain.Changed{Version: 1})
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := w.run.env.store.Write(ctx, func(tx domain.Tx) error {
		if err := tx.Publish(ctx, ev); err != nil {
			return err
		}
		return errChangedMind
	})
	if errors.Is(err, errChangedMind) {
		w.run.rolledBack(ev.ID)
	}
}

// keep adds to a list, and forgets the oldest of too many.
func keep(all []thing, it thing) []thing {
	if it.ID == "" {
		return all
	}
	if all = append(all, it); len(all) > known {
		all = all[1:]
	}
	return all
}
