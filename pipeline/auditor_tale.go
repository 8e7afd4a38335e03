package pipeline

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// tale is what a workspace's tabs were told: the log folded as a client folds
// it. What the log no longer reaches is taken as the auditor found it first.
type tale struct {
	epoch    string
	offset   int64                      // the log is folded up to here
	begun    bool                       // the first view was judged
	told     map[string]json.RawMessage // "kind:id" → entity
	suspects map[string]*suspect
}

// suspect is an aggregate that differs from what was told.
type suspect struct {
	row     json.RawMessage // as committed; nil: gone
	since   time.Time
	repairs int
}

func newTale(log domain.LogState) *tale {
	return &tale{epoch: log.Epoch, offset: log.Floor, told: map[string]json.RawMessage{}, suspects: map[string]*suspect{}}
}

// continues reports whether the view's log is the one this tale is of, with
// nothing missing between.
func (t *tale) continues(log domain.LogState) bool {
	return t.epoch == log.Epoch && t.offset >= log.Floor && t.offset <= log.Head
}

// fold takes entries in order.
func (t *tale) fold(entries []domain.Entry) {
	for _, e := range entries {
		t.offset = e.Offset
		// Who left a room is told that it is gone; the others see it still.
		if e.Type == domain.ServerRoomDeleted && e.Revoke != nil && e.Revoke.MemberID != "" {
			continue
		}
		kind := auditedKind(e.Type)
		if kind == "" {
			continue
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(e.Data, &fields) != nil || fields[kind] == nil {
			continue
		}
		entity := fields[kind]
		key := kind + ":" + headOf(entity).ID
		if old, ok := t.told[key]; ok && headOf(entity).Version < headOf(old).Version {
			continue
		}
		if tombstones[e.Type] {
			delete(t.told, key)
		} else {
			t.told[key] = entity
		}
	}
}

// auditedKind is the kind of aggregate that an entry tells of; "" for messages and
// notifications, which are not audited, and for what the system says.
func auditedKind(t domain.ServerEventType) string {
	for _, spec := range domain.Catalog {
		if spec.Type == t && len(spec.Causes) > 0 {
			switch kind := domain.AggregateOf(spec.Causes[0]); kind {
			case "message", "notification":
			default:
				return kind
			}
		}
	}
	return ""
}

// tombstones are what is told of an entity that is gone.
var tombstones = map[domain.ServerEventType]bool{
	domain.ServerMemberRemoved: true, domain.ServerRoleDeleted: true, domain.ServerTeamDeleted: true, domain.ServerRoomDeleted: true,
}

// head is what every entity has.
type head struct {
	ID        string   `json:"id"`
	Version   int64    `json:"version"`
	Private   bool     `json:"private"`
	MemberIDs []string `json:"memberIds"`
}

func headOf(entity json.RawMessage) (h head) {
	_ = json.Unmarshal(entity, &h) // nil, or of our own making
	return h
}

// judge compares what is committed with what was told, and returns the keys that
// have differed for at least patience, sorted. An event that waits, or poison,
// explains a difference. The first view decides what was told of aggregates that
// the log doesn't reach.
func (t *tale) judge(v store.AuditView, now time.Time, patience time.Duration) (overdue []string) {
	if !t.begun {
		for key, row := range v.Rows {
			if t.told[key] == nil && !v.Untold[key] {
				t.told[key] = row
			}
		}
		t.begun = true
	}
	keys := maps.Clone(v.Rows)
	for key := range t.told {
		keys[key] = v.Rows[key]
	}
	for key := range t.suspects {
		keys[key] = v.Rows[key]
	}
	for key, row := range keys {
		if v.Untold[key] {
			if s := t.suspects[key]; s != nil {
				s.since = now // judged anew once that is told
			}
			continue
		}
		if sameEntity(t.told[key], row) {
			delete(t.suspects, key)
			continue
		}
		s := t.suspects[key]
		if s == nil || !bytes.Equal(s.row, row) {
			s = &suspect{row: row, since: now}
			t.suspects[key] = s
		}
		if now.Sub(s.since) >= patience {
			overdue = append(overdue, key)
		}
	}
	slices.Sort(overdue)
	return overdue
}

// sameEntity reports whether all that was told is still so. Fields that were not
// told are those of a newer build.
func sameEntity(told, row json.RawMessage) bool {
	if told == nil || row == nil {
		return told == nil && row == nil
	}
	if bytes.Equal(told, row) {
		return true
	}
	var was, is map[string]json.RawMessage
	if json.Unmarshal(told, &was) != nil || json.Unmarshal(row, &is) != nil {
		return false
	}
	for field, value := range was {
		if !bytes.Equal(value, is[field]) {
			return false
		}
	}
	return true
}
