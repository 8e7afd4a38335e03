package check_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/domain"
)

const (
	workspace domain.Channel = "workspace:ws"
	general   domain.Channel = "room:general"
	second                   = time.Second
)

// sound is a history in which every promise was kept: a workspace with four
// entries, and two members who saw them all, one of them over two connections.
func sound() check.History {
	entries := []check.Entry{
		{Offset: 11, Channel: workspace, Type: domain.ServerTeamCreated, Cause: "e1", Entity: "team:t", Version: 1, At: second},
		{Offset: 12, Channel: general, Type: domain.ServerMessagePosted, Cause: "e2", Entity: "message:m", Version: 1, At: 2 * second},
		{Offset: 13, Channel: "member:bob", Type: domain.ServerMemberNotification, Cause: "e3", Entity: "notification:n", At: 3 * second},
		{Offset: 14, Channel: workspace, Type: domain.ServerTeamUpdated, Cause: "e4", Entity: "team:t", Version: 2, At: 4 * second},
	}
	ops := []check.Op{
		{Writer: "w", Workspace: "ws", Kind: "create team", Sent: second, Outcome: check.OK, Event: "e1", Entity: "team:t", Version: 1},
		{Writer: "w", Workspace: "ws", Kind: "post", Sent: 2 * second, Outcome: check.OK, Event: "e2", Fact: true, Entity: "message:m", Version: 1, Body: "hello"},
		{Writer: "w", Workspace: "ws", Kind: "notify", Sent: 3 * second, Outcome: check.OK, Event: "e3", Fact: true, Entity: "notification:n"},
		{Writer: "w", Workspace: "ws", Kind: "rename team", Sent: 4 * second, Outcome: check.OK, Event: "e4", Entity: "team:t", Version: 2},
	}
	shown := map[string]int64{"team:t": 2}
	ann := check.Client{
		Name: "ann", Workspace: "ws", Member: "ann", Open: true, Model: shown, Database: shown, Online: []string{"ann", "bob"},
		Snapshots: []check.Snapshot{{At: 0, Epoch: "ep", Offset: 10}},
		Connections: []check.Connection{connection(10, "ann", hello(10, "ann", "bob"), live(),
			told(entries[0]), told(entries[1]), told(entries[3]), heartbeat(14))},
	}
	first := connection(10, "bob", hello(10, "ann", "bob"), live(), told(entries[0]), told(entries[1]))
	first.End = 2500 * time.Millisecond
	again := connection(12, "bob", hello(12, "ann", "bob"), told(entries[2]), told(entries[3]), live())
	again.Start = 2600 * time.Millisecond
	bob := ann
	bob.Name, bob.Member = "bob", "bob"
	bob.Connections = []check.Connection{first, again}
	return check.History{
		Bounds:     check.Bounds{Offline: 5 * second, Online: second},
		Workspaces: []check.Workspace{{ID: "ws", Slug: "acme", Epoch: "ep", Base: 10, Entries: entries, OpenRooms: []string{"general"}, Messages: map[string]string{"m": "hello"}}},
		Ops:        ops, Clients: []check.Client{ann, bob},
		Projected: map[string]bool{"e1": true, "e2": true, "e3": true, "e4": true},
	}
}

func connection(asked int64, _ string, frames ...check.Frame) check.Connection {
	for i := range frames {
		frames[i].At += time.Duration(i) * time.Millisecond
	}
	return check.Connection{Transport: "ws", Asked: asked, Epoch: "ep", Rooms: []string{"general"}, Frames: frames}
}

func hello(offset int64, online ...string) check.Frame {
	return check.Frame{Type: domain.ServerSystemHello, Offset: offset, More: &check.More{Resumed: true, Presence: online, Rooms: []string{"general"}}}
}

func live() check.Frame { return check.Frame{Type: domain.ServerSystemLive, Offset: -1} }

func heartbeat(offset int64) check.Frame {
	return check.Frame{Type: domain.ServerSystemHeartbeat, Offset: offset}
}

func told(e check.Entry) check.Frame {
	return check.Frame{At: e.At, Type: e.Type, Offset: e.Offset, Channel: e.Channel, Cause: e.Cause, Also: e.Also, Entity: e.Entity, Version: e.Version}
}

func flip(at time.Duration, member string, online bool) check.Frame {
	return check.Frame{At: at, Type: domain.ServerPresenceUpdate, Offset: -1, Channel: workspace, More: &check.More{Member: member, Online: online}}
}

func TestASoundHistoryHasNoViolations(t *testing.T) {
	require.Empty(t, check.Check(sound()))
}

// collapsed is a sound history in which a second and a third change of the team
// were told of by the entry of the first.
func collapsed() check.History {
	h := sound()
	also := []string{"e5", "e6"}
	h.Workspaces[0].Entries[3].Also, h.Workspaces[0].Entries[3].Version = also, 4
	for i, e := range also {
		h.Ops = append(h.Ops, check.Op{Writer: "w", Workspace: "ws", Kind: "rename team", Outcome: check.OK, Event: e, Entity: "team:t", Version: int64(3 + i)})
		h.Projected[e] = true
	}
	shown := map[string]int64{"team:t": 4}
	for i := range h.Clients {
		h.Clients[i].Model, h.Clients[i].Database = shown, shown
		for _, c := range h.Clients[i].Connections {
			for k := range c.Frames {
				if c.Frames[k].Cause == "e4" {
					c.Frames[k].Also, c.Frames[k].Version = also, 4
				}
			}
		}
	}
	return h
}

// Collapsing excuses nothing: each event is named once, to everybody, by an
// entry that shows what it did.
func TestWhatIsCollapsedIsAccountedFor(t *testing.T) {
	require.Empty(t, check.Check(collapsed()))
	entry := func(h *check.History) *check.Entry { return &h.Workspaces[0].Entries[3] }
	for name, tc := range map[string]struct {
		break_ func(h *check.History)
		want   string
	}{
		"an event is left out": {func(h *check.History) {
			for i := range h.Clients {
				for _, c := range h.Clients[i].Connections {
					for k := range c.Frames {
						if c.Frames[k].Also != nil {
							c.Frames[k].Also = []string{"e5"}
						}
					}
				}
			}
			entry(h).Also = []string{"e5"}
		}, check.Complete},
		"the entry shows less than it answers for": {func(h *check.History) { h.Ops[5].Version = 5 }, check.Complete},
		"the entry is about something else":        {func(h *check.History) { h.Ops[5].Entity = "team:u" }, check.Complete},
		"an event without a mark":                  {func(h *check.History) { delete(h.Projected, "e5") }, check.Accounted},
		"an event is named twice": {func(h *check.History) {
			entry(h).Also = []string{"e5", "e6", "e5"}
		}, check.Once},
		"a tab is told less than the log says": {func(h *check.History) {
			h.Clients[0].Connections[0].Frames[4].Also = nil
		}, check.Phantom},
	} {
		t.Run(name, func(t *testing.T) {
			h := collapsed()
			tc.break_(&h)
			var found []string
			for _, v := range check.Check(h) {
				found = append(found, v.Invariant)
			}
			require.Contains(t, found, tc.want)
		})
	}
}

// Each mistake is found, and called by its name, and by nothing else.
func TestEachMistakeIsFound(t *testing.T) {
	frames := func(h *check.History) *[]check.Frame { return &h.Clients[0].Connections[0].Frames }
	log := func(h *check.History) *[]check.Entry { return &h.Workspaces[0].Entries }
	for name, tc := range map[string]struct {
		break_ func(h *check.History)
		want   []string
	}{
		"an event in the middle is missing":      {func(h *check.History) { drop(frames(h), 3) }, []string{check.Complete}},
		"a heartbeat claims what never came":     {func(h *check.History) { drop(frames(h), 4) }, []string{check.Complete}},
		"the last event is missing at the end":   {func(h *check.History) { *frames(h) = (*frames(h))[:4] }, []string{check.Complete}},
		"an event is missing over a reconnect":   {func(h *check.History) { drop(&h.Clients[1].Connections[1].Frames, 1) }, []string{check.Complete}},
		"hello claims more than it replays":      {func(h *check.History) { h.Clients[1].Connections[1].Frames[0].Offset = 13 }, []string{check.Complete, check.Ordered}},
		"an event comes twice":                   {func(h *check.History) { repeat(frames(h), 3) }, []string{check.Once}},
		"an event comes twice, over a reconnect": {func(h *check.History) { insert(&h.Clients[1].Connections[1].Frames, 1, told((*log(h))[1])) }, []string{check.Once}},
		"two events change places":               {func(h *check.History) { swap(frames(h), 2, 3) }, []string{check.Complete, check.Ordered}},
		"two events change contents":             {func(h *check.History) { f := *frames(h); f[2].Cause, f[4].Cause = f[4].Cause, f[2].Cause }, []string{check.Ordered}},
		"a heartbeat goes back":                  {func(h *check.History) { *frames(h) = append(*frames(h), heartbeat(12)) }, []string{check.Ordered}},
		"another epoch":                          {func(h *check.History) { (*frames(h))[2].More = &check.More{Epoch: "other"} }, []string{check.Complete, check.Ordered}},
		"another tenant's event":                 {foreign, []string{check.Isolated}},
		"a channel of another member":            {func(h *check.History) { insert(frames(h), 4, told((*log(h))[2])) }, []string{check.Isolated}},
		"an event from before joining":           {func(h *check.History) { h.Clients[0].Before = 11 }, []string{check.Isolated}},
		"an event after the removal":             {func(h *check.History) { removal(h, 0) }, []string{check.Isolated}},
		"still connected after the removal":      {func(h *check.History) { removal(h, 14) }, []string{check.Isolated}},
		"a room without the right to it":         {func(h *check.History) { (*frames(h))[0].More.Rooms = nil; h.Clients[0].Connections[0].Rooms = nil }, []string{check.Isolated}},
		"an open room is refused":                {func(h *check.History) { (*frames(h))[0].More.Rooms = nil; drop(frames(h), 3) }, []string{check.Complete}},
		"an event that never was":                {func(h *check.History) { (*frames(h))[2].Cause = "made up" }, []string{check.Phantom}},
		"another version than was committed":     {func(h *check.History) { (*frames(h))[2].Version = 7 }, []string{check.Phantom}},
		"an event that was rolled back":          {func(h *check.History) { h.RolledBack = []string{"e3"} }, []string{check.Phantom}},
		"a refused message is in the database": {func(h *check.History) {
			h.Ops = append(h.Ops, check.Op{Workspace: "ws", Outcome: check.Refused, Body: "hello"})
		}, []string{check.Phantom}},
		"a message is told of and not there":  {func(h *check.History) { delete(h.Workspaces[0].Messages, "m") }, []string{check.Phantom}},
		"a committed event is not in the log": {func(h *check.History) { h.Ops[1].Event = "e9"; h.Projected["e9"] = true }, []string{check.Complete}},
		"a committed change is not in the log, and a newer one is": {func(h *check.History) {
			h.Ops = append(h.Ops, check.Op{Writer: "v", Workspace: "ws", Outcome: check.OK, Event: "e9", Entity: "team:t", Version: 1})
			h.Projected["e9"] = true
		}, []string{check.Complete}},
		"a committed message is not in the log": {func(h *check.History) { h.Workspaces[0].Messages["lost"] = "?" }, []string{check.Complete}},
		"a committed event is nowhere":          {func(h *check.History) { h.Ops[1].Event = "e9" }, []string{check.Complete, check.Accounted}},
		"an event is left in the outbox":        {func(h *check.History) { h.Pending = []string{"e9"} }, []string{check.Accounted}},
		"an entry has no mark":                  {func(h *check.History) { delete(h.Projected, "e3"); h.Ops[2].Event = "" }, []string{check.Accounted}},
		"an event is in the log twice": {func(h *check.History) {
			e := (*log(h))[3]
			e.Offset = 15
			*log(h) = append(*log(h), e)
			everybody(h, e)
		}, []string{check.Once}},
		"versions go back": {func(h *check.History) {
			(*log(h))[0].Version = 3
			(*frames(h))[2].Version = 3
			h.Clients[1].Connections[0].Frames[2].Version = 3
		}, []string{check.Ordered}},
		"a writer's commands change places":        {func(h *check.History) { h.Ops[0].Event, h.Ops[3].Event = "e4", "e1" }, []string{check.Ordered}},
		"a resync though the log has it all":       {func(h *check.History) { resync(h, 14, domain.ResyncPositionExpired) }, []string{check.Complete}},
		"a resync to a new epoch that there isn't": {func(h *check.History) { resync(h, 14, domain.ResyncEpochChanged) }, []string{check.Complete}},
		"not resumed, nor told to resync": {func(h *check.History) {
			h.Clients[1].Connections[1].Frames[0].More.Resumed = false
		}, []string{check.Complete}},
		"a resync whose snapshot is too old": {func(h *check.History) {
			h.Workspaces[0].Floor = 13
			resync(h, 14, domain.ResyncPositionExpired)
			h.Clients[1].Snapshots[1].Offset = 13
		}, []string{check.Complete}},
		"the tab shows an old version":     {func(h *check.History) { h.Clients[0].Model = map[string]int64{"team:t": 1} }, []string{check.Complete}},
		"the tab shows what is gone":       {func(h *check.History) { h.Clients[0].Database = map[string]int64{} }, []string{check.Complete}},
		"the tab doesn't show what is":     {func(h *check.History) { h.Clients[0].Model = map[string]int64{} }, []string{check.Complete}},
		"no connection at the end":         {func(h *check.History) { h.Clients[1].Connections[1].End = 9 * second }, []string{check.Complete, check.Presence}},
		"a flip of somebody who stayed":    {func(h *check.History) { stay(h, flip(20*second, "bob", false), flip(21*second, "bob", true)) }, []string{check.Presence}},
		"an offline that is not told":      {func(h *check.History) { away(h) }, []string{check.Presence}},
		"an offline that is told twice":    {func(h *check.History) { away(h, flip(12*second, "bob", false), flip(13*second, "bob", false)) }, []string{check.Presence}},
		"the snapshot's presence is wrong": {func(h *check.History) { h.Clients[0].Online = []string{"ann"} }, []string{check.Presence}},
		"files are leaked":                 {func(h *check.History) { h.Vitals = []check.Vitals{{PID: 1, Files: 40}, {PID: 1, Files: 400}} }, []string{check.Recovered}},
		"goroutines are leaked":            {func(h *check.History) { h.Vitals = []check.Vitals{{PID: 1, Goroutines: 90}, {PID: 1, Goroutines: 900}} }, []string{check.Recovered}},
	} {
		t.Run(name, func(t *testing.T) {
			h := sound()
			tc.break_(&h)
			found := check.Check(h)
			var got []string
			for _, v := range found {
				if !slices.Contains(got, v.Invariant) {
					got = append(got, v.Invariant)
				}
			}
			require.ElementsMatch(t, tc.want, got, "%v", found)
		})
	}
}

// What is no mistake is none: each of these was taken for one at some time.
func TestWhatIsAllowed(t *testing.T) {
	for name, change := range map[string]func(h *check.History){
		"a resync from below the floor, and a snapshot": func(h *check.History) {
			h.Workspaces[0].Floor = 13
			resync(h, 14, domain.ResyncPositionExpired)
		},
		"a poisoned event is not in the log": func(h *check.History) {
			h.Ops = append(h.Ops, check.Op{Writer: "w", Workspace: "ws", Outcome: check.OK, Event: "e9", Fact: true, Entity: "notification:x"})
			h.Poison = map[string]check.Poisoned{"e9": {State: domain.PoisonOpen}}
		},
		"a requeued event is out of turn": func(h *check.History) {
			h.Ops[0].Event, h.Ops = "e4", h.Ops[:3]
			h.Poison = map[string]check.Poisoned{"e4": {State: domain.PoisonHealed}}
		},
		"letting in, moot by putting out": func(h *check.History) {
			h.Ops = append(h.Ops, check.Op{Writer: "v", Workspace: "ws", Outcome: check.OK, Event: "e9", Entity: "team:t", Version: 1, Moot: true})
			h.Projected["e9"] = true
		},
		"a change of what is gone by then": func(h *check.History) {
			e := check.Entry{Offset: 15, Channel: workspace, Type: domain.ServerTeamDeleted, Cause: "e5", Entity: "team:t", Version: 4}
			h.Workspaces[0].Entries = append(h.Workspaces[0].Entries, e)
			everybody(h, e)
			h.Projected["e5"], h.Projected["e9"] = true, true
			h.Ops = append(h.Ops, check.Op{Writer: "v", Workspace: "ws", Outcome: check.OK, Event: "e9", Entity: "team:t", Version: 3})
		},
		"an unknown command that was carried out later than the next": func(h *check.History) {
			h.Ops[0].Event, h.Ops = "e4", h.Ops[:3]
			h.Ops[0].Outcome = check.Unknown
		},
		"an offline told within the bound":    func(h *check.History) { away(h, flip(12*second, "bob", false)) },
		"an offline not told while it storms": func(h *check.History) { away(h); h.Faults = []check.Fault{{Start: 11 * second, End: 12 * second}} },
		"a forged position is refused": func(h *check.History) {
			c := connection(1, "ann", hello(14, "ann", "bob"), check.Frame{Type: domain.ServerSystemResync, Offset: 14, More: &check.More{Reason: string(domain.ResyncPositionInvalid)}})
			c.Forged, c.End, c.Frames[0].More.Resumed = true, second, false
			h.Clients[0].Connections = append([]check.Connection{c}, h.Clients[0].Connections...)
		},
		"a connection that broke between hello and the resync": func(h *check.History) {
			h.Workspaces[0].Floor = 13
			resync(h, 14, domain.ResyncPositionExpired)
			broken := h.Clients[1].Connections[1]
			broken.End, broken.Frames = 2700*time.Millisecond, broken.Frames[:1]
			h.Clients[1].Connections = slices.Insert(h.Clients[1].Connections, 1, broken)
		},
		"backfill after a subscribe": func(h *check.History) {
			c := &h.Clients[0].Connections[0]
			c.Rooms, c.Frames[0].More.Rooms = nil, nil
			f := c.Frames
			subscribed := check.Frame{Type: domain.ServerSystemSubscribed, Offset: -1, More: &check.More{Room: "general", After: 11}}
			c.Frames = []check.Frame{f[0], f[1], f[2], f[4], subscribed, f[3], f[5]}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := sound()
			change(&h)
			require.Empty(t, check.Check(h))
		})
	}
}

// A stream that is broken for good doesn't fill the report.
func TestManyViolationsAreSummedUp(t *testing.T) {
	h := sound()
	for i := range 100 {
		h.Pending = append(h.Pending, fmt.Sprint("p", i))
	}
	found := check.Check(h)
	require.Len(t, found, 6)
	require.Contains(t, found[5].Detail, "95 more")
}

func drop(frames *[]check.Frame, i int)   { *frames = slices.Delete(*frames, i, i+1) }
func repeat(frames *[]check.Frame, i int) { *frames = slices.Insert(*frames, i+1, (*frames)[i]) }
func insert(frames *[]check.Frame, i int, f check.Frame) {
	*frames = slices.Insert(*frames, i, f)
}
func swap(frames *[]check.Frame, i, j int) { (*frames)[i], (*frames)[j] = (*frames)[j], (*frames)[i] }

// foreign shows ann an event of another workspace in place of her own.
func foreign(h *check.History) {
	h.Workspaces = append(h.Workspaces, check.Workspace{ID: "other", Slug: "globex", Epoch: "oe", Entries: []check.Entry{
		{Offset: 1, Channel: "workspace:other", Type: domain.ServerTeamCreated, Cause: "o1", Entity: "team:o", Version: 1},
	}})
	h.Projected["o1"] = true
	f := &h.Clients[0].Connections[0].Frames[2]
	f.Cause, f.Entity = "o1", "team:o"
}

// removal has ann's membership end right after the entries she saw, or before.
func removal(h *check.History, offset int64) {
	w := &h.Workspaces[0]
	e := check.Entry{Offset: 15, Channel: workspace, Type: domain.ServerMemberRemoved, Cause: "e5", Entity: "member:ann", Version: 2, Revoke: &domain.Revocation{MemberID: "ann"}}
	h.Projected["e5"] = true
	w.Entries = append(w.Entries, e)
	everybody(h, e)
	h.Clients[0].Open = false
	h.Clients[1].Online = []string{"bob"}
	h.Clients[1].Connections[1].Frames = append(h.Clients[1].Connections[1].Frames, flip(second, "ann", false))
	h.Faults = []check.Fault{{End: time.Hour}}
	if offset == 0 { // something comes after it
		h.Clients[0].Connections[0].End = 9 * second
		after := check.Entry{Offset: 16, Channel: workspace, Type: domain.ServerTeamUpdated, Cause: "e6", Entity: "team:t", Version: 2}
		h.Projected["e6"] = true
		w.Entries = append(w.Entries, after)
		everybody(h, after)
	}
}

// everybody is told of an entry.
func everybody(h *check.History, e check.Entry) {
	for i := range h.Clients {
		last := &h.Clients[i].Connections[len(h.Clients[i].Connections)-1]
		last.Frames = append(last.Frames, told(e))
	}
}

// resync has bob resync on his second connection, and fetch a snapshot.
func resync(h *check.History, offset int64, reason domain.ResyncReason) {
	c := &h.Clients[1].Connections[1]
	first := hello(offset, "ann", "bob")
	first.More.Resumed = false
	c.Frames = []check.Frame{first, {At: second, Type: domain.ServerSystemResync, Offset: offset, More: &check.More{Reason: string(reason)}}, live()}
	h.Clients[1].Snapshots = append(slices.Clone(h.Clients[1].Snapshots), check.Snapshot{At: 2 * second, Epoch: "ep", Offset: offset})
}

// stay has ann told of bob's flips while he is connected all the time.
func stay(h *check.History, flips ...check.Frame) {
	h.Clients[1].Connections[1].Start = h.Clients[1].Connections[0].End // no gap
	f := &h.Clients[0].Connections[0].Frames
	*f = append(*f, flips...)
}

// away has bob leave at 10 s, for good, and ann told of the flips given.
func away(h *check.History, flips ...check.Frame) {
	h.Clients[1].Connections[1].End = 10 * second
	h.Clients[1].Open = false
	f := &h.Clients[0].Connections[0].Frames
	*f = append(*f, flips...)
	h.Clients[0].Database = nil // the end is not what this is about
}
