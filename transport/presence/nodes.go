package presence

import "github.com/orbit/realtime/domain"

// Apply takes what other nodes say of their sets. Of two changes about the same
// member of the same node the higher version counts; one that comes late, after
// the member has left that node, is put right by the next look at the record.
func (t *Tracker) Apply(changes []domain.NodePresence) {
	for _, c := range changes {
		s := t.lock(c.WorkspaceID)
		if c.Online {
			t.arrive(s, c)
		} else if m := s.member(c.WorkspaceID, c.MemberID); m != nil && m.elsewhere[c.Node] <= c.Version {
			t.depart(s, c.WorkspaceID, c.MemberID, c.Node, m)
		}
		s.Unlock()
	}
}

func (t *Tracker) arrive(s *shard, c domain.NodePresence) {
	m := t.enter(s, c.WorkspaceID, c.MemberID)
	if m.elsewhere == nil {
		m.elsewhere = map[string]int64{}
	}
	m.elsewhere[c.Node] = max(m.elsewhere[c.Node], c.Version)
}

func (t *Tracker) depart(s *shard, workspaceID, memberID, node string, m *member) {
	if _, was := m.elsewhere[node]; was {
		delete(m.elsewhere, node)
		t.exit(s, workspaceID, memberID, m)
	}
}

// Replace makes a node's set what is given, the changes that are online. An
// empty one is that of a node that is gone: its members who are on no other node
// go offline.
func (t *Tracker) Replace(node string, set []domain.NodePresence) {
	keep := map[key]bool{}
	for _, c := range set {
		if c.Online {
			keep[key{c.WorkspaceID, c.MemberID}] = true
		}
	}
	t.Apply(set)
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		for workspaceID, w := range s.workspaces {
			for memberID, m := range w.members {
				if !keep[key{workspaceID, memberID}] {
					t.depart(s, workspaceID, memberID, node, m)
				}
			}
		}
		s.Unlock()
	}
}

// Here calls fn with every member of this node's set. fn must not call the tracker.
func (t *Tracker) Here(fn func(domain.Presence)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		for workspaceID, w := range s.workspaces {
			for memberID, m := range w.members {
				if m.here() {
					fn(domain.Presence{WorkspaceID: workspaceID, MemberID: memberID, Online: true})
				}
			}
		}
		s.Unlock()
	}
}

// Members counts who is online, on whatever node.
func (t *Tracker) Members() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		for _, w := range s.workspaces {
			n += len(w.members)
		}
		s.Unlock()
	}
	return n
}
