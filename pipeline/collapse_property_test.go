package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// chronicle is a history of commits: what each published, and what the database
// held after it.
type chronicle struct {
	events []domain.Event
	after  []map[string]int64 // team → version; one more than events
}

// drawChronicle draws what happens to some teams of two workspaces, with facts
// and removals of members between.
func drawChronicle(t *rapid.T) chronicle {
	c := chronicle{after: []map[string]int64{{}}}
	last := map[string]int64{} // the version that a team had, also when it is gone
	for range rapid.IntRange(0, 60).Draw(t, "commits") {
		w := rapid.SampledFrom([]string{"ws_1", "ws_2"}).Draw(t, "workspace")
		id := w + rapid.SampledFrom([]string{"_a", "_b"}).Draw(t, "team")
		now := maps.Clone(c.after[len(c.after)-1])
		_, there := now[id]
		what := rapid.SampledFrom([]string{"update", "update", "update", "update", "delete", "say", "remove"}).Draw(t, "what")
		var ev domain.Event
		switch {
		case what == "say":
			ev = domain.NewEvent(domain.EventMessagePosted, w, domain.NewID("msg"), nil)
		case what == "remove":
			ev = domain.NewEvent(domain.EventMemberRemoved, w, domain.NewID("mem"), nil)
		case there && what == "delete":
			last[id]++
			delete(now, id)
			ev = domain.NewEvent(domain.EventTeamDeleted, w, id, domain.Changed{Version: last[id]})
		default:
			last[id]++
			now[id] = last[id]
			typ := domain.EventTeamUpdated
			if !there {
				typ = domain.EventTeamCreated
			}
			ev = domain.NewEvent(typ, w, id, domain.Changed{Version: last[id]})
		}
		c.events, c.after = append(c.events, ev), append(c.after, now)
	}
	return c
}

func versionIn(ev domain.Event) int64 {
	var p domain.Changed
	_ = json.Unmarshal(ev.Payload, &p)
	return p.Version
}

// schedule says how a chronicle is worked off: which rows a batch holds, how far
// the database is when each event is handled, and which attempts fail.
type schedule struct {
	cuts []int // ends of batches
	now  []int // per event: how many commits its projector sees
	fail []bool
}

func drawSchedule(t *rapid.T, n int, failing bool) schedule {
	s := schedule{now: make([]int, n), fail: make([]bool, n)}
	for from := 0; from < n; {
		end := rapid.IntRange(from+1, n).Draw(t, "end of batch")
		seen := end // what is in a batch is committed before any of it is handled
		for i := from; i < end; i++ {
			if rapid.IntRange(0, 3).Draw(t, "others commit") == 0 {
				seen = rapid.IntRange(seen, n).Draw(t, "seen")
			}
			s.now[i] = seen
			s.fail[i] = failing && rapid.IntRange(0, 5).Draw(t, "fails") == 0
		}
		s.cuts, from = append(s.cuts, end), end
	}
	return s
}

// freeLane is a lane that nobody else wants.
type freeLane struct{ store.LaneLock }

func (freeLane) Epoch() int64 { return 1 }

// worked is what came of it.
type worked struct {
	entries  []domain.Entry
	marks    []store.Projection
	poisoned []string
	into     map[string]string
}

// work runs batches through the real batch and dispatcher; only the database is
// the chronicle's.
func (c chronicle) work(t *rapid.T, s schedule, each bool) worked {
	cfg := BusConfig{Logger: quiet}
	cfg.setDefaults()
	ctx := context.Background()
	lane := newConsumer(ctx, &Bus{cfg: cfg}, store.Topic, 0)
	w := worked{into: map[string]string{}}
	place := map[string]int{}
	for i, ev := range c.events {
		place[ev.ID] = i
	}
	d := dispatcher{observer: deaf{}, runner: newRunner(), each: each, projectors: map[domain.EventType]domain.Projector{}}
	for _, spec := range domain.EventTypes {
		d.projectors[spec.Type] = func(_ context.Context, _ domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			return c.project(ev, c.after[s.now[place[ev.ID]]], s.fail[place[ev.ID]])
		}
	}
	from := 0
	for _, end := range s.cuts {
		b := newBatchOf(lane, &w)
		var rows []store.OutboxRow
		for i := from; i < end; i++ {
			rows = append(rows, store.OutboxRow{Seq: int64(i + 1), Event: c.events[i]})
		}
		b.load(rows)
		for _, row := range rows {
			err := d.project(ctx, b, row.Event)
			if err == nil {
				continue
			}
			// As the middlewares attempt and poison do.
			require.ErrorIs(t, err, errBroken)
			require.NoError(t, b.stage(row.Event.ID, effect{}))
			require.NoError(t, b.flush(ctx, row.Event.ID))
			require.NoError(t, b.stage(row.Event.ID, effect{poison: &domain.Poison{Event: row.Event}}))
		}
		require.NoError(t, b.commitTo(ctx, len(rows)))
		from = end
	}
	return w
}

// newBatchOf makes a batch that commits to w.
func newBatchOf(lane *consumer, w *worked) *batch {
	return &batch{lane: lane, claim: &claim{LaneLock: freeLane{}}, ended: make(chan struct{}), commit: func(_ context.Context, e store.Effects) ([]domain.Appended, error) {
		for _, p := range e.Projected {
			w.marks = append(w.marks, p)
			w.entries = append(w.entries, p.Entries...)
			if p.Into != "" {
				w.into[p.EventID] = p.Into
			}
		}
		for _, p := range e.Poisoned {
			w.poisoned = append(w.poisoned, p.Event.ID)
		}
		return nil, nil
	}}
}

// project is level-triggered, as those of package handlers are.
func (c chronicle) project(ev domain.Event, now map[string]int64, fail bool) ([]domain.ServerEvent, error) {
	if fail {
		return nil, errBroken
	}
	version, there := now[ev.AggregateID]
	out := domain.ServerEvent{Channel: domain.WorkspaceChannel(ev.WorkspaceID), Type: domain.ServerEventType(ev.Type)}
	switch ev.Type {
	case domain.EventTeamCreated, domain.EventTeamUpdated:
		if !there {
			return nil, nil
		}
		out.Payload = domain.Tombstone{ID: ev.AggregateID, Version: version}
	case domain.EventTeamDeleted:
		if there {
			return nil, nil
		}
		out.Payload = domain.Tombstone{ID: ev.AggregateID, Version: versionIn(ev)}
	default:
		out.Payload = domain.Tombstone{ID: ev.AggregateID, Version: 1}
	}
	return []domain.ServerEvent{out}, nil
}

// shown is what a client has after these entries: a switch over types that
// ignores versions it has.
func shown(t *rapid.T, entries []domain.Entry) map[string]int64 {
	state, versions := map[string]int64{}, map[string]int64{}
	for _, e := range entries {
		var got domain.Tombstone
		require.NoError(t, json.Unmarshal(e.Data, &got))
		if got.Version <= versions[got.ID] {
			continue
		}
		versions[got.ID] = got.Version
		switch domain.EventType(e.Type) {
		case domain.EventTeamCreated, domain.EventTeamUpdated:
			state[got.ID] = got.Version
		case domain.EventTeamDeleted:
			delete(state, got.ID)
		}
	}
	return state
}

// However a history is cut into batches, and whatever is committed meanwhile:
// the collapsed log is the uncollapsed one without the entries of the events
// that were collapsed; a client has the same from either, which is what the
// database says; and each event is named once, by an entry that shows what it did.
func TestCollapsingLeavesOutRepeatsAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawChronicle(t)
		s := drawSchedule(t, len(c.events), false)
		plain, collapsed := c.work(t, s, true), c.work(t, s, false)

		want := slices.DeleteFunc(slices.Clone(plain.entries), func(e domain.Entry) bool { return collapsed.into[e.EventID] != "" })
		require.Equal(t, causesAndData(t, want), causesAndData(t, collapsed.entries))

		end := c.after[len(c.after)-1]
		require.Equal(t, end, shown(t, plain.entries))
		require.Equal(t, end, shown(t, collapsed.entries))

		c.requireAccounted(t, collapsed)
	})
}

// The same while projectors fail now and then.
func TestCollapsingAmongFailuresAccountsForEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawChronicle(t)
		c.requireAccounted(t, c.work(t, drawSchedule(t, len(c.events), true), false))
	})
}

// requireAccounted: each event was marked or poisoned, once; those collapsed are
// named once by the entry of theirs, which shows what they did, and which no
// change of rights lies between.
func (c chronicle) requireAccounted(t *rapid.T, w worked) {
	times, place := map[string]int{}, map[string]int{}
	for _, p := range w.marks {
		times[p.EventID]++
	}
	for _, id := range w.poisoned {
		times[id]++
	}
	require.Len(t, times, len(c.events))
	for i, ev := range c.events {
		require.Equal(t, 1, times[ev.ID])
		place[ev.ID] = i
	}
	named := map[string]int{}
	for _, e := range w.entries {
		var got struct {
			Version int64
			Causes  []string
		}
		require.NoError(t, json.Unmarshal(e.Data, &got))
		first := place[e.EventID]
		named[e.EventID]++
		for _, cause := range got.Causes {
			named[cause]++
			last := place[cause]
			require.Equal(t, e.EventID, w.into[cause])
			require.Greater(t, last, first, "the first one answers for the others")
			require.GreaterOrEqual(t, got.Version, versionIn(c.events[last]))
			require.Equal(t, runKeyOf(&c.events[first]), runKeyOf(&c.events[last]))
			for _, between := range c.events[first:last] {
				require.False(t, between.WorkspaceID == c.events[first].WorkspaceID && domain.Parts(between.Type), "collapsed across %s", between.Type)
			}
		}
	}
	for cause, n := range named {
		require.Equal(t, 1, n, cause)
	}
	for cause, first := range w.into {
		require.Equal(t, named[first], named[cause], "silent together, or told together")
	}
}

// causesAndData renders entries without what collapsing adds.
func causesAndData(t *rapid.T, entries []domain.Entry) []string {
	var lines []string
	for _, e := range entries {
		var fields map[string]any
		require.NoError(t, json.Unmarshal(e.Data, &fields))
		delete(fields, "causes")
		lines = append(lines, fmt.Sprint(e.EventID, e.Channel, fields))
	}
	return lines
}
