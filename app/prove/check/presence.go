package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
)

// span is a time in which something was so.
type span struct{ from, to time.Duration }

const forever = time.Duration(1<<63 - 1)

// checkPresence compares what tabs were told of each member with that member's
// connections.
//
// In calm times alone, where the connections a client believes in are those the
// server has: while nothing is broken, and long enough afterwards.
func checkPresence(r *result, h *History, truths map[string]*truth) {
	if h.Bounds.Offline == 0 {
		return
	}
	presences := map[string]map[string][]span{} // workspace → member → online
	for i := range h.Clients {
		c := &h.Clients[i]
		of := presences[c.Workspace]
		if of == nil {
			of = map[string][]span{}
			presences[c.Workspace] = of
		}
		for _, conn := range c.Connections {
			if len(conn.Frames) > 0 {
				of[c.Member] = append(of[c.Member], span{conn.Start, cmp.Or(conn.End, forever)})
			}
		}
	}
	for _, of := range presences {
		for member, spans := range of {
			of[member] = union(spans)
		}
	}
	for i := range h.Clients {
		c := &h.Clients[i]
		t := truths[c.Workspace]
		if t == nil {
			continue
		}
		w := watcher{result: r, h: h, client: c, slug: t.Slug, others: presences[c.Workspace], removed: t.removed}
		for j := range c.Connections {
			w.connection(&c.Connections[j])
		}
		w.final()
	}
}

// union joins spans that touch.
func union(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var joined []span
	for _, s := range spans {
		if n := len(joined); n > 0 && s.from <= joined[n-1].to {
			joined[n-1].to = max(joined[n-1].to, s.to)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// watcher is a client that watches others come and go.
type watcher struct {
	*result
	h       *History
	client  *Client
	slug    string
	others  map[string][]span
	removed map[string]int64
	online  map[string]bool // as told on the last connection
}

type flip struct {
	at     time.Duration
	online bool
}

func (w *watcher) complain(at time.Duration, format string, args ...any) {
	w.add(Violation{Invariant: Presence, Workspace: w.slug, Client: w.client.Name, At: at, Detail: fmt.Sprintf(format, args...)})
}

func (w *watcher) connection(c *Connection) {
	w.online = map[string]bool{}
	flips := map[string][]flip{}
	for i := range c.Frames {
		f := &c.Frames[i]
		switch f.Type {
		case domain.ServerSystemHello:
			for _, id := range f.more().Presence {
				w.online[id] = true
			}
		case domain.ServerPresenceUpdate:
			m := f.more()
			w.online[m.Member] = m.Online
			flips[m.Member] = append(flips[m.Member], flip{f.At, m.Online})
		}
	}
	if len(c.Frames) == 0 {
		return
	}
	for member, spans := range w.others {
		if member == w.client.Member {
			continue
		}
		w.transitions(c, member, spans, flips[member])
	}
}

// transitions checks the calm ones of a member: each told within its bound, and
// once; and nothing told while they were online all along.
func (w *watcher) transitions(c *Connection, member string, spans []span, told []flip) {
	end := cmp.Or(c.End, forever)
	count := func(from, to time.Duration, online bool) (n int) {
		for _, f := range told {
			if f.at >= from && f.at <= to && f.online == online {
				n++
			}
		}
		return n
	}
	b := w.h.Bounds
	for i, s := range spans {
		next := forever
		if i+1 < len(spans) {
			next = spans[i+1].from
		}
		if within := (span{s.from, min(s.to, end)}); c.Start < within.to {
			steady := span{max(within.from, c.Start) + b.Online, within.to}
			for _, f := range told {
				if f.at > steady.from && f.at < steady.to && w.calm(span{f.at - b.Offline, f.at}) {
					w.complain(f.at, "%s was online all along, and was told to be %s", member, word(f.online))
				}
			}
		}
		away := span{s.to, min(next, s.to+b.Offline)}
		if s.to == forever || next-s.to <= b.Offline || away.from < c.Start+b.Online || away.to >= end || !w.calm(span{away.from - b.Offline, away.to}) {
			continue
		}
		if n := count(away.from, away.to, false); n != 1 {
			w.complain(away.to, "%s went offline at %s: told %d times within %s", member, clock(away.from), n, b.Offline)
		}
		if next == forever || next+b.Online >= end || !w.calm(span{next - b.Offline, next + b.Online}) {
			continue
		}
		if n := count(next, next+b.Online, true); n != 1 {
			w.complain(next, "%s came online at %s: told %d times within %s", member, clock(next), n, b.Online)
		}
	}
}

// calm tells whether nothing was broken in a time, nor shortly before.
func (w *watcher) calm(s span) bool {
	for _, f := range w.h.Faults {
		if f.Start <= s.to && cmp.Or(f.End, forever) >= s.from {
			return false
		}
	}
	return s.from >= 0
}

// final compares what the tab shows, and what its last snapshot said, with who
// is connected.
func (w *watcher) final() {
	if !w.client.Open || w.client.Database == nil {
		return
	}
	var want []string
	for i := range w.h.Clients {
		if c := &w.h.Clients[i]; c.Open && c.Workspace == w.client.Workspace && !slices.Contains(want, c.Member) {
			want = append(want, c.Member)
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(w.client.Online)); !slices.Equal(got, want) {
		w.complain(0, "at the end the snapshot has %s online; connected are %s", list(got), list(want))
	}
	var shown []string
	for member, online := range w.online {
		if online {
			shown = append(shown, member)
		}
	}
	if !w.online[w.client.Member] { // one's own arrival is in hello, but never one's own flip
		shown = append(shown, w.client.Member)
	}
	slices.Sort(shown)
	if !slices.Equal(shown, want) {
		w.complain(0, "at the end the tab shows %s online; connected are %s", list(shown), list(want))
	}
}

func list(ids []string) string {
	if len(ids) == 0 {
		return "nobody"
	}
	return strings.Join(ids, " ")
}

func word(online bool) string {
	if online {
		return "online"
	}
	return "offline"
}

func clock(d time.Duration) string { return d.Round(time.Millisecond).String() }
