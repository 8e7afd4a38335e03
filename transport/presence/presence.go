// Package presence says who is online: a member is, while they have a session.
//
// Invariants:
//
//   - A member flips online with their first session and offline with the end of
//     their last; sessions in between broadcast nothing.
//   - A session that dropped leaves a grace behind: until it ends, or a new
//     session of that member takes it over, the member counts as online. The
//     member goes offline when neither a session nor a grace is left.
//   - On many nodes a member is online while they are on any. A tracker alone says
//     who is online on its node, and knows of the others what they say of theirs;
//     each tells its own tabs when the union flips. So nobody has to announce
//     anything for others, and no tab hears a flip twice.
//   - Broadcasts of one workspace go out in the order of the flips, and none can
//     come between View's set and the end of its function.
package presence

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
)

// Broadcaster carries presence.update to the workspace. Package hub implements
// it. Broadcast is called under the tracker's lock: it must not block, nor call
// the tracker.
type Broadcaster interface {
	Broadcast(workspaceID string, ev domain.ServerEvent, key string)
}

// Tracker implements hub.Presence. It is safe for concurrent use.
type Tracker struct {
	broadcaster Broadcaster
	grace       time.Duration
	onFlip      func(domain.Presence) // of this node's set: see Recorder; called under the lock
	seed        maphash.Seed
	shards      [shards]shard
}

// shards is into how many locks the workspaces are dealt.
const shards = 64

type shard struct {
	sync.Mutex
	workspaces map[string]*workspace
	stopped    bool
}

type workspace struct {
	members map[string]*member
	online  []string // sorted member ids
	lent    bool     // online was given to View: change a copy
}

type member struct {
	sessions  []string
	graces    []*grace         // oldest first
	elsewhere map[string]int64 // version by node: other nodes that have the member in their set
}

// here tells whether the member is in this node's set.
func (m *member) here() bool { return len(m.sessions) > 0 || len(m.graces) > 0 }

// grace is the time in which a dropped session may come back.
type grace struct{ timer *time.Timer }

// New makes a tracker. grace is how long an abnormal drop waits before the
// member goes offline; zero means at once.
func New(b Broadcaster, grace time.Duration) *Tracker {
	t := &Tracker{broadcaster: b, grace: grace, onFlip: func(domain.Presence) {}, seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].workspaces = map[string]*workspace{}
	}
	return t
}

// Join adds a session. The member's first one broadcasts presence.update with
// online true; one that comes back within a grace takes it over and broadcasts
// nothing. Joining twice is joining once.
func (t *Tracker) Join(workspaceID, memberID, sessionID string) {
	s := t.lock(workspaceID)
	defer s.Unlock()
	m := t.enter(s, workspaceID, memberID)
	if slices.Contains(m.sessions, sessionID) {
		return
	}
	if !m.here() {
		t.onFlip(domain.Presence{WorkspaceID: workspaceID, MemberID: memberID, Online: true})
	}
	m.sessions = append(m.sessions, sessionID)
	if len(m.graces) > 0 {
		m.graces[0].timer.Stop()
		m.graces = slices.Delete(m.graces, 0, 1)
	}
}

// enter finds a member, or flips them online.
func (t *Tracker) enter(s *shard, workspaceID, memberID string) *member {
	w := s.workspace(workspaceID)
	m := w.members[memberID]
	if m == nil {
		m = &member{}
		w.members[memberID] = m
		w.flip(memberID, true)
		t.broadcast(workspaceID, memberID, true)
	}
	return m
}

// Leave removes a session. clean: it ended on purpose, and counts no more;
// otherwise it counts until the grace is over. The member's last one broadcasts
// presence.update with online false. Leaving twice is leaving once.
func (t *Tracker) Leave(workspaceID, memberID, sessionID string, clean bool) {
	s := t.lock(workspaceID)
	defer s.Unlock()
	m := s.member(workspaceID, memberID)
	if m == nil {
		return
	}
	i := slices.Index(m.sessions, sessionID)
	if i < 0 {
		return
	}
	m.sessions = slices.Delete(m.sessions, i, i+1)
	if !clean && s.stopped {
		return // nobody will be there to end the grace
	}
	if !clean && t.grace > 0 {
		t.lend(m, workspaceID, memberID)
	}
	t.settle(s, workspaceID, memberID, m)
}

// lend gives a member time in which a session may come back.
func (t *Tracker) lend(m *member, workspaceID, memberID string) {
	g := &grace{}
	g.timer = time.AfterFunc(t.grace, func() { t.expire(workspaceID, memberID, g) })
	m.graces = append(m.graces, g)
}

// expire ends a grace, unless a session took it over just before.
func (t *Tracker) expire(workspaceID, memberID string, g *grace) {
	s := t.lock(workspaceID)
	defer s.Unlock()
	m := s.member(workspaceID, memberID)
	if m == nil || s.stopped {
		return
	}
	if i := slices.Index(m.graces, g); i >= 0 {
		m.graces = slices.Delete(m.graces, i, i+1)
		t.settle(s, workspaceID, memberID, m)
	}
}

// settle takes the member out of this node's set if nothing keeps them in it.
func (t *Tracker) settle(s *shard, workspaceID, memberID string, m *member) {
	if m.here() {
		return
	}
	t.onFlip(domain.Presence{WorkspaceID: workspaceID, MemberID: memberID})
	t.exit(s, workspaceID, memberID, m)
}

// exit flips the member offline if they are on no node.
func (t *Tracker) exit(s *shard, workspaceID, memberID string, m *member) {
	if m.here() || len(m.elsewhere) > 0 {
		return
	}
	w := s.workspaces[workspaceID]
	delete(w.members, memberID)
	w.flip(memberID, false)
	if len(w.members) == 0 {
		delete(s.workspaces, workspaceID)
	}
	t.broadcast(workspaceID, memberID, false)
}

func (t *Tracker) broadcast(workspaceID, memberID string, online bool) {
	t.broadcaster.Broadcast(workspaceID, domain.ServerEvent{
		Type:    domain.ServerPresenceUpdate,
		Channel: domain.WorkspaceChannel(workspaceID),
		Payload: domain.PresencePayload{MemberID: memberID, Online: online},
	}, "presence:"+memberID)
}

// View calls fn with the sorted ids of members online, while no flip of that
// workspace can happen. fn may keep the slice, but not change it; it must not
// call the tracker.
func (t *Tracker) View(workspaceID string, fn func(online []string)) {
	s := t.lock(workspaceID)
	defer s.Unlock()
	var online []string
	if w := s.workspaces[workspaceID]; w != nil {
		online, w.lent = w.online, true
	}
	fn(online)
}

// Online returns the sorted ids of members online.
func (t *Tracker) Online(workspaceID string) []string {
	online := []string{}
	t.View(workspaceID, func(ids []string) { online = append(online, ids...) })
	return online
}

// Stop cancels pending graces without flipping anybody: a node that goes down
// doesn't know who comes back elsewhere. Idempotent.
func (t *Tracker) Stop() {
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		s.stopped = true
		for _, w := range s.workspaces {
			for _, m := range w.members {
				for _, g := range m.graces {
					g.timer.Stop()
				}
			}
		}
		s.Unlock()
	}
}

func (t *Tracker) lock(workspaceID string) *shard {
	s := &t.shards[maphash.String(t.seed, workspaceID)%shards]
	s.Lock()
	return s
}

// workspace finds a workspace, or begins one.
func (s *shard) workspace(id string) *workspace {
	w := s.workspaces[id]
	if w == nil {
		w = &workspace{members: map[string]*member{}}
		s.workspaces[id] = w
	}
	return w
}

func (s *shard) member(workspaceID, memberID string) *member {
	if w := s.workspaces[workspaceID]; w != nil {
		return w.members[memberID]
	}
	return nil
}

// flip keeps the set of members online sorted, so that it needn't be sorted for
// every system.hello.
func (w *workspace) flip(memberID string, online bool) {
	if w.lent {
		w.online, w.lent = slices.Clone(w.online), false
	}
	i, found := slices.BinarySearch(w.online, memberID)
	switch {
	case online && !found:
		w.online = slices.Insert(w.online, i, memberID)
	case !online && found:
		w.online = slices.Delete(w.online, i, i+1)
	}
}
