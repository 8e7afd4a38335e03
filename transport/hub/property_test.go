package hub_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

// model is a client that checks what it is handed, frame by frame, against all
// that was ever appended.
type model struct {
	*client
	who     string
	rooms   map[string]int64 // subscribed, as the client was told: due after this offset
	claimed map[string]int64 // asked for, with this position
	at      int64            // everything up to here has been handed out
	live    bool
	gone    bool
}

// history is everything that was ever appended, in the current epoch.
type history struct {
	entries []domain.Entry // by offset, from 1
	removed map[string]int64
}

// due tells whether the client must get an entry. What a room subscribed to
// without a position had to say before the answer may come or not.
func (h *history) due(m *model, e domain.Entry) bool {
	if e.Channel.Kind() != domain.KindRoom {
		return m.on(e.Channel)
	}
	after, ok := m.rooms[e.Channel.ID()]
	return ok && e.Offset > after
}

func (m *model) on(channel domain.Channel) bool {
	switch channel.Kind() {
	case domain.KindWorkspace:
		return true
	case domain.KindMember:
		return channel.ID() == m.who
	}
	_, ok := m.rooms[channel.ID()]
	return ok
}

// next returns the lowest offset above the client's that it must get; 0 if
// there is none.
func (h *history) next(m *model) int64 {
	for _, e := range h.entries[m.at:] {
		if h.due(m, e) {
			return e.Offset
		}
	}
	return 0
}

// take checks one batch.
func (h *history) take(rt *rapid.T, m *model, frames []string) {
	for _, f := range frames {
		kind, rest, _ := strings.Cut(f, ":")
		switch {
		case strings.HasPrefix(f, "hello@"):
			_, tail, _ := strings.Cut(f, "@")
			at, _, _ := strings.Cut(tail, "+")
			_, err := fmt.Sscan(at, &m.at)
			require.NoError(rt, err)
		case f == "live":
			m.live = true
		case kind == "resync":
			_, at, _ := strings.Cut(rest, "@")
			_, err := fmt.Sscan(at, &m.at)
			require.NoError(rt, err)
		case strings.HasPrefix(f, "heartbeat@"):
			var at int64
			_, err := fmt.Sscanf(f, "heartbeat@%d", &at)
			require.NoError(rt, err)
			if due := h.next(m); due != 0 && due <= at {
				rt.Fatalf("%s: heartbeat at %d, but %d has not been handed out", m.who, at, due)
			}
		case kind == "subscribed":
			m.rooms[rest] = int64(len(h.entries))
			if after, ok := m.claimed[rest]; ok {
				m.rooms[rest] = after
				delete(m.claimed, rest)
			}
		case kind == "unsubscribed":
			delete(m.rooms, rest)
		case f[0] >= '0' && f[0] <= '9':
			var offset int64
			_, err := fmt.Sscan(f, &offset)
			require.NoError(rt, err)
			if due := h.next(m); offset <= m.at || due != 0 && due < offset || !m.on(h.entries[offset-1].Channel) {
				rt.Fatalf("%s at %d (rooms %v): got %d on %s, due is %d", m.who, m.at, m.rooms, offset, h.entries[offset-1].Channel, due)
			}
			if cut := h.removed[m.who]; cut != 0 && offset > cut {
				rt.Fatalf("%s was removed at %d, and got %d", m.who, cut, offset)
			}
			m.at = offset
		}
	}
}

// Whatever becomes of the hints, however clients come, go, lag and subscribe,
// and whatever is trimmed or away meanwhile: each session gets exactly the
// entries of its channels after its position, in order, once, or is told that
// it can't (resync, slow_consumer); and nothing above its revocation.
func TestEveryEntryOnceInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var panicked any
		synctest.Test(t, func(*testing.T) {
			defer func() { panicked = recover() }()
			simulate(rt)
		})
		if fmt.Sprintf("%T", panicked) == "rapid.invalidData" {
			panic(panicked) // on a line of its own: rapid tells failures apart by their traceback
		}
		if panicked != nil {
			panic(panicked)
		}
	})
}

func simulate(rt *rapid.T) {
	w := newWorld(rt, hub.Config{
		RingSize:   rapid.IntRange(1, 12).Draw(rt, "ring"),
		SafetyRead: time.Second, RevokeGrace: 10 * time.Second, MaxUserSessions: 1000, Linger: 3 * time.Second,
	})
	defer w.start()()
	h := &history{removed: map[string]int64{}}
	var clients []*model
	var hints []domain.Appended
	rooms := []string{"a", "b"}
	people := []string{"m", "n", "o"}

	pick := func(rt *rapid.T) *model {
		alive := slices.DeleteFunc(slices.Clone(clients), func(m *model) bool { return m.gone || len(m.codes()) > 0 })
		if len(alive) == 0 {
			rt.Skip("nobody there")
		}
		return rapid.SampledFrom(alive).Draw(rt, "client")
	}
	bites := func(rt *rapid.T, m *model, maxBytes int) bool {
		frames, err := m.Next(context.Background(), maxBytes)
		if err != nil {
			require.ErrorIs(rt, err, hub.ErrClosed)
			require.NotEmpty(rt, m.codes(), "only the hub closes sessions here")
		}
		h.take(rt, m, short(rt, frames))
		return len(frames) > 0
	}
	appendTo := func(rt *rapid.T, entries ...domain.Entry) {
		a := w.log.add(ws, entries...)
		h.entries = append(h.entries, a.Entries...)
		hints = append(hints, a)
	}
	connect := func(rt *rapid.T, who, position string, subscribed []string) {
		c, err := w.register(from(member(who), position, subscribed...))
		if h.removed[who] != 0 || err != nil {
			return
		}
		m := &model{client: c, who: who, rooms: map[string]int64{}, claimed: map[string]int64{}}
		for _, room := range subscribed {
			m.rooms[room] = 0
		}
		clients = append(clients, m)
	}

	rt.Repeat(map[string]func(*rapid.T){
		"append": func(rt *rapid.T) {
			channels := []domain.Channel{domain.WorkspaceChannel(ws), domain.RoomChannel("a"), domain.RoomChannel("b"), domain.MemberChannel("n")}
			var entries []domain.Entry
			for range rapid.IntRange(1, 5).Draw(rt, "n") {
				entries = append(entries, domain.Entry{Channel: rapid.SampledFrom(channels).Draw(rt, "channel")})
			}
			appendTo(rt, entries...)
		},
		"deliver": func(rt *rapid.T) { // in any order, any number of times, or never
			if len(hints) == 0 {
				rt.Skip("no hints")
			}
			i := rapid.IntRange(0, len(hints)-1).Draw(rt, "hint")
			w.hub.Deliver(hints[i])
			if rapid.Bool().Draw(rt, "once") {
				hints = slices.Delete(hints, i, i+1)
			}
		},
		"deliver all": func(*rapid.T) {
			for _, a := range hints {
				w.hub.Deliver(a)
			}
			hints = nil
		},
		"connect": func(rt *rapid.T) {
			position := ""
			if rapid.Bool().Draw(rt, "resume") {
				position = fmt.Sprint("e1-", rapid.IntRange(0, len(h.entries)+1).Draw(rt, "position"))
			}
			connect(rt, rapid.SampledFrom(people).Draw(rt, "who"), position, rapid.SliceOfDistinct(rapid.SampledFrom(rooms), rapid.ID[string]).Draw(rt, "rooms"))
		},
		"reconnect": func(rt *rapid.T) {
			m := pick(rt)
			position := m.Position().String()
			m.Close(false)
			m.gone = true
			connect(rt, m.who, position, rooms)
		},
		"read": func(rt *rapid.T) { bites(rt, pick(rt), rapid.IntRange(0, 300).Draw(rt, "bytes")) },
		"subscribe": func(rt *rapid.T) {
			m := pick(rt)
			if m.live {
				m.subscribe(rapid.SampledFrom(rooms).Draw(rt, "room"), "", nil)
			}
		},
		"subscribe with position": func(rt *rapid.T) {
			m := pick(rt)
			w.log.set(func(l *fakeLog) { l.down = false })
			time.Sleep(5 * time.Second) // nothing waits for the database
			for bites(rt, m, 1000) {
			}
			synctest.Wait()
			if room := rapid.SampledFrom(rooms).Draw(rt, "room"); m.live && len(m.codes()) == 0 {
				if _, already := m.rooms[room]; !already {
					m.claimed[room] = m.at
				}
				m.subscribe(room, fmt.Sprint("e1-", m.at), nil)
				for bites(rt, m, rapid.IntRange(0, 100).Draw(rt, "bytes")) {
				}
			}
		},
		"unsubscribe": func(rt *rapid.T) {
			m := pick(rt)
			room := rapid.SampledFrom(rooms).Draw(rt, "room")
			if m.live {
				require.NoError(rt, m.Unsubscribe(room, nil))
				// What the client was subscribed to ends when it asks, not when
				// it hears of it.
				delete(m.rooms, room)
				for bites(rt, m, 1000) {
				}
			}
		},
		"heartbeat": func(rt *rapid.T) { pick(rt).Heartbeat() },
		"trim": func(rt *rapid.T) {
			w.log.trim(ws, int64(rapid.IntRange(0, len(h.entries)).Draw(rt, "floor")))
		},
		"remove": func(rt *rapid.T) {
			if rapid.IntRange(0, 3).Draw(rt, "rarely") != 0 || h.removed["o"] != 0 {
				rt.Skip("not this time")
			}
			w.rights.set(func(r *fakeRights) { r.gone = map[string]bool{"o": true} })
			e := toAll
			e.Revoke = &domain.Revocation{MemberID: "o"}
			appendTo(rt, e)
			h.removed["o"] = int64(len(h.entries))
		},
		"outage": func(*rapid.T) { w.log.set(func(l *fakeLog) { l.down = !l.down }) },
		"wait": func(rt *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 1500).Draw(rt, "ms")) * time.Millisecond)
		},
		"": func(*rapid.T) { synctest.Wait() },
	})

	// In the end, with the database back and nobody's grace running, everybody
	// catches up by themselves, or has been told why not.
	w.log.set(func(l *fakeLog) { l.down = false })
	for range 5 {
		time.Sleep(4 * time.Second)
		synctest.Wait()
		for _, m := range clients {
			for !m.gone && bites(rt, m, 200) {
			}
		}
	}
	synctest.Wait()
	for _, m := range clients {
		codes := m.codes()
		switch due := h.next(m); {
		case m.gone:
		case h.removed[m.who] != 0:
			require.Len(rt, codes, 1)
			require.Contains(rt, []string{"revoked", "slow_consumer"}, codes[0])
		case len(codes) > 0:
			require.Equal(rt, list("slow_consumer"), codes)
		case due != 0:
			rt.Fatalf("%s at %d never got %d", m.who, m.at, due)
		case !m.live:
			rt.Fatalf("%s never went live", m.who)
		}
	}
}
