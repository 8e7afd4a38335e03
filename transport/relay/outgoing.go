package relay

import (
	"maps"
	"slices"
	"sync"

	"github.com/orbit/realtime/domain"
)

// outgoing collects what is to be sent. It is bounded without dropping: of each
// workspace's log there are entries up to the size of one message, or else the
// position; of each member the last state.
type outgoing struct {
	limit int
	some  chan struct{} // holds one token while there is something

	mu       sync.Mutex
	logs     map[string]*growth
	members  map[string]map[string]domain.NodePresence // by workspace and member
	commands bool
}

// growth is what was appended to one log.
type growth struct {
	epoch   string
	head    int64
	entries []domain.Entry // none: the position alone
	bytes   int
}

// entryOverhead is about what an entry takes in a message beside its data.
const entryOverhead = 256

func newOutgoing(limit int) *outgoing {
	o := &outgoing{limit: limit, some: make(chan struct{}, 1)}
	o.reset()
	return o
}

func (o *outgoing) reset() {
	o.logs, o.members, o.commands = map[string]*growth{}, map[string]map[string]domain.NodePresence{}, false
}

func (o *outgoing) signal() {
	select {
	case o.some <- struct{}{}:
	default:
	}
}

func (o *outgoing) appended(all []domain.Appended) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range all {
		if len(a.Entries) == 0 {
			continue
		}
		g := o.logs[a.WorkspaceID]
		if g == nil {
			g = &growth{epoch: a.Epoch, head: a.Entries[0].Offset - 1, entries: []domain.Entry{}}
			o.logs[a.WorkspaceID] = g
		}
		g.add(a, o.limit)
	}
	o.signal()
}

// add takes more entries, as long as they follow and fit.
func (g *growth) add(a domain.Appended, limit int) {
	for _, e := range a.Entries {
		g.bytes += len(e.Data) + entryOverhead
	}
	follows := g.epoch == a.Epoch && g.head+1 == a.Entries[0].Offset
	if g.entries != nil && follows && g.bytes <= limit {
		g.entries = append(g.entries, a.Entries...)
	} else {
		g.entries = nil
	}
	// Commits of one workspace come in order; a new epoch starts a new count.
	g.epoch, g.head = a.Epoch, a.Entries[len(a.Entries)-1].Offset
}

func (o *outgoing) presence(changes []domain.NodePresence) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range changes {
		of := o.members[c.WorkspaceID]
		if of == nil {
			of = map[string]domain.NodePresence{}
			o.members[c.WorkspaceID] = of
		}
		if before, ok := of[c.MemberID]; !ok || before.Version < c.Version {
			of[c.MemberID] = c
		}
	}
	o.signal()
}

func (o *outgoing) command() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.commands = true
	o.signal()
}

// take encodes what there is, and forgets it.
func (o *outgoing) take(node string) []Parcel {
	o.mu.Lock()
	logs, members, commands := o.logs, o.members, o.commands
	o.reset()
	o.mu.Unlock()

	var parcels []Parcel
	add := func(m message) {
		m.From = node
		parcels = append(parcels, Parcel{m.WorkspaceID, encode(m)})
	}
	if commands {
		add(message{Command: true})
	}
	for workspaceID, g := range logs {
		m := message{WorkspaceID: workspaceID, Log: &log{Epoch: g.epoch, Head: g.head, Entries: wireEntries(g.entries)}}
		m.From = node
		data := encode(m)
		if len(data) > o.limit {
			m.Log.Entries = nil
			data = encode(m)
		}
		parcels = append(parcels, Parcel{workspaceID, data})
	}
	for workspaceID, of := range members {
		for some := range slices.Chunk(slices.Collect(maps.Values(of)), presenceChunk) {
			add(message{WorkspaceID: workspaceID, Presence: wirePresence(some)})
		}
	}
	return parcels
}

// presenceChunk changes are below any carrier's limit: an id has 64 bytes at
// most, and there are two in each, and a number.
const presenceChunk = 32
