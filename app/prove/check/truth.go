package check

import (
	"fmt"
	"strings"

	"github.com/orbit/realtime/domain"
)

// truth is a workspace's committed log, indexed.
type truth struct {
	*Workspace
	byCause  map[string][]int // indexes into Entries, of what events led to
	removed  map[string]int64 // member → offset of the entry that removed them
	joined   map[string]int64 // member → offset of the entry that told of them
	revoked  map[domain.Channel][]Entry
	admitted map[domain.Channel][]Entry
	newest   map[string]int64 // entity → version of its last entry
	buried   map[string]int64 // entity → version of its tombstone
	open     map[string]bool
}

func newTruth(w *Workspace) *truth {
	t := &truth{
		Workspace: w, byCause: map[string][]int{}, removed: map[string]int64{}, joined: map[string]int64{},
		revoked: map[domain.Channel][]Entry{}, admitted: map[domain.Channel][]Entry{}, newest: map[string]int64{}, buried: map[string]int64{}, open: set(w.OpenRooms),
	}
	for i, e := range w.Entries {
		if !about(e.Type) {
			for _, cause := range e.Causes() {
				t.byCause[cause] = append(t.byCause[cause], i)
			}
		}
		t.newest[e.Entity] = max(t.newest[e.Entity], e.Version)
		if tombstones[e.Type] {
			t.buried[e.Entity] = max(t.buried[e.Entity], e.Version)
		}
		kind, id, _ := strings.Cut(e.Entity, ":")
		switch {
		case e.Revoke != nil && e.Revoke.Channel == "":
			t.removed[e.Revoke.MemberID] = e.Offset
		case e.Revoke != nil:
			t.revoked[e.Revoke.Channel] = append(t.revoked[e.Revoke.Channel], e)
		case e.Type == domain.ServerMemberJoined:
			t.joined[id] = e.Offset
		case kind == "room" && e.Channel.Kind() == domain.KindMember:
			t.admitted[domain.RoomChannel(id)] = append(t.admitted[domain.RoomChannel(id)], e)
		}
	}
	return t
}

// tombstones are what is told of an entity that is gone.
var tombstones = map[domain.ServerEventType]bool{
	domain.ServerMemberRemoved: true, domain.ServerRoleDeleted: true, domain.ServerTeamDeleted: true,
	domain.ServerRoomDeleted: true, domain.ServerMessageDeleted: true,
}

// at returns the entry at an offset, or nil if there is none.
func (t *truth) at(offset int64) *Entry {
	i := offset - t.Base - 1
	if i < 0 || i >= int64(len(t.Entries)) {
		return nil
	}
	return &t.Entries[i]
}

func (t *truth) head() int64 { return t.Base + int64(len(t.Entries)) }

// owners tells which workspaces an event's entries are in.
func owners(truths map[string]*truth) map[string]string {
	all := map[string]string{}
	for id, t := range truths {
		for _, e := range t.Entries {
			for _, cause := range e.Causes() {
				all[cause] = id
			}
		}
	}
	return all
}

// isLogged tells an entry of the log from what is addressed to one session.
func isLogged(f *Frame) bool { return f.Offset >= 0 && f.Channel != "" }

// about tells of an entry that it speaks of another one's fate: it shares the
// cause, and may come again.
func about(t domain.ServerEventType) bool { return strings.HasPrefix(string(t), "system.") }

// checkLogs looks at each log by itself: no gap, no event twice, and no entity
// whose versions go back.
func checkLogs(r *result, truths map[string]*truth) {
	type told struct {
		cause   string
		typ     domain.ServerEventType
		channel domain.Channel
	}
	for _, t := range truths {
		complain := func(e Entry, invariant, format string, args ...any) {
			r.add(Violation{Invariant: invariant, Workspace: t.Slug, At: e.At, Detail: fmt.Sprintf("log offset %d, %s: ", e.Offset, e.Type) + fmt.Sprintf(format, args...)})
		}
		seen := map[told]int64{}
		versions := map[string]int64{}
		for i, e := range t.Entries {
			if want := t.Base + int64(i) + 1; e.Offset != want {
				complain(e, Complete, "the log has a gap: offset %d is missing", want)
				break // every index after it is wrong
			}
			if about(e.Type) {
				continue
			}
			for _, cause := range e.Causes() {
				key := told{cause, e.Type, e.Channel}
				if first, again := seen[key]; again {
					complain(e, Once, "event %s is in the log twice, first at %d", cause, first)
				}
				seen[key] = e.Offset
			}
			if e.Version < versions[e.Entity] {
				complain(e, Ordered, "%s goes back from version %d to %d", e.Entity, versions[e.Entity], e.Version)
			}
			if e.Entity != "" {
				versions[e.Entity] = max(e.Version, versions[e.Entity])
			}
		}
	}
}

// checkOps compares what writers were told with what was committed.
func checkOps(r *result, h *History, truths map[string]*truth) {
	newest := map[string]int64{} // writer → the highest offset of what it knew committed
	for i := range h.Ops {
		op := &h.Ops[i]
		t := truths[op.Workspace]
		if t == nil {
			continue
		}
		complain := func(invariant, format string, args ...any) {
			r.add(Violation{Invariant: invariant, Workspace: t.Slug, At: op.Sent, Detail: fmt.Sprintf("%s of %s: ", op.Kind, op.Writer) + fmt.Sprintf(format, args...)})
		}
		entries := t.byCause[op.Event]
		if op.Event == "" {
			entries = nil
		}
		if op.Outcome == OK && op.Event != "" && len(entries) == 0 && !accountedSilence(h, t, op) {
			complain(Complete, "event %s was committed, and is not in the log", op.Event)
		}
		if op.Outcome == Refused && op.Body != "" {
			for id, body := range t.Messages {
				if body == op.Body {
					complain(Phantom, "it was refused, and message %s is in the database", id)
				}
			}
		}
		if _, poisoned := h.Poison[op.Event]; poisoned || len(entries) == 0 {
			continue // a requeue comes out of turn
		}
		if e := &t.Entries[entries[0]]; e.Cause != op.Event {
			// Collapsed: the entry of an earlier event speaks for it, which is in
			// turn if it shows what this one did.
			if e.Entity != op.Entity || e.Version < op.Version {
				complain(Complete, "event %s was collapsed into the entry at %d, which shows version %d of %s, not %d of %s",
					op.Event, e.Offset, e.Version, e.Entity, op.Version, op.Entity)
			}
			continue
		}
		offset := t.Entries[entries[0]].Offset
		if offset < newest[op.Writer] {
			complain(Ordered, "it is at offset %d, before %d of an earlier command", offset, newest[op.Writer])
		}
		if op.Outcome == OK {
			newest[op.Writer] = max(offset, newest[op.Writer])
		}
	}
	for _, id := range h.RolledBack {
		if h.Projected[id] {
			r.add(Violation{Invariant: Phantom, Detail: fmt.Sprintf("event %s was rolled back, and projected", id)})
		}
		for _, t := range truths {
			if len(t.byCause[id]) > 0 {
				r.add(Violation{Invariant: Phantom, Workspace: t.Slug, Detail: fmt.Sprintf("event %s was rolled back, and is in the log", id)})
			}
		}
	}
}

// accountedSilence says whether an event without an entry is rightly silent: it
// is poisoned, or its entity was gone by the time it was projected. That
// something newer was told of doesn't excuse it, but for who is in a room: there
// the later of two opposite events speaks for both.
func accountedSilence(h *History, t *truth, op *Op) bool {
	if p, poisoned := h.Poison[op.Event]; poisoned && p.State != domain.PoisonHealed {
		return true
	}
	if op.Entity == "" || !accounted(h, op.Event) {
		return false
	}
	// A fact is never silent for another one's sake, only when its row is gone.
	if kind, id, _ := strings.Cut(op.Entity, ":"); kind == "message" {
		if _, there := t.Messages[id]; there {
			return false
		}
	}
	return t.buried[op.Entity] > op.Version || op.Moot && t.newest[op.Entity] > op.Version
}

func accounted(h *History, event string) bool {
	_, poisoned := h.Poison[event]
	return poisoned || h.Projected[event]
}

// checkAccounts adds up: committed = projected + poisoned, nothing left over,
// and nothing in the log that the database doesn't know.
func checkAccounts(r *result, h *History, truths map[string]*truth) {
	pending := set(h.Pending)
	for _, id := range h.Pending {
		r.add(Violation{Invariant: Accounted, Detail: fmt.Sprintf("event %s is still in the outbox", id)})
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.Outcome != OK || op.Event == "" || accounted(h, op.Event) || pending[op.Event] {
			continue
		}
		r.add(Violation{Invariant: Accounted, At: op.Sent, Detail: fmt.Sprintf("event %s (%s of %s) was committed; it was neither projected nor poisoned", op.Event, op.Kind, op.Writer)})
	}
	for _, t := range truths {
		for _, e := range t.Entries {
			if about(e.Type) || h.Projected == nil {
				continue
			}
			for _, cause := range e.Causes() {
				if !h.Projected[cause] {
					r.add(Violation{Invariant: Accounted, Workspace: t.Slug, At: e.At, Detail: fmt.Sprintf("log offset %d is of event %s, which has no mark", e.Offset, cause)})
				}
			}
		}
		for id, body := range t.Messages {
			if t.newest["message:"+id] > 0 || poisonedMessage(h, id) {
				continue
			}
			r.add(Violation{Invariant: Complete, Workspace: t.Slug, Detail: fmt.Sprintf("message %s (%q) is in the database, and not in the log", id, body)})
		}
		checkPostings(r, t)
	}
}

// checkPostings looks for messages that were told of and never committed.
func checkPostings(r *result, t *truth) {
	deleted := map[string]bool{}
	for _, e := range t.Entries {
		if e.Type == domain.ServerMessageDeleted {
			deleted[e.Entity] = true
		}
	}
	for _, e := range t.Entries {
		if e.Type != domain.ServerMessagePosted || deleted[e.Entity] {
			continue
		}
		if _, there := t.Messages[strings.TrimPrefix(e.Entity, "message:")]; !there {
			r.add(Violation{Invariant: Phantom, Workspace: t.Slug, At: e.At, Detail: fmt.Sprintf("log offset %d tells of %s, which is not in the database", e.Offset, e.Entity)})
		}
	}
}

// poisonedMessage tells whether an event about the message was poisoned.
func poisonedMessage(h *History, id string) bool {
	for _, p := range h.Poison {
		if p.Aggregate == id {
			return true
		}
	}
	return false
}
