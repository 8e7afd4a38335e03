package prove

import (
	"maps"

	"github.com/orbit/realtime/domain"
)

// model is what a tab shows: each entity's version, as the client's rule wants
// it: newer wins, and what is gone stays gone until something newer comes.
type model struct {
	versions map[string]int64
	gone     map[string]int64
}

// ends are the events after which an entity is no longer shown.
var ends = map[domain.ServerEventType]bool{
	domain.ServerMemberRemoved: true, domain.ServerRoleDeleted: true, domain.ServerTeamDeleted: true, domain.ServerRoomDeleted: true,
}

func newModel(s domain.Snapshot) *model { return &model{versionsOf(s), map[string]int64{}} }

// versionsOf lists what a snapshot shows.
func versionsOf(s domain.Snapshot) map[string]int64 {
	v := map[string]int64{
		"workspace:" + s.Workspace.ID:       s.Workspace.Version,
		"subscription:" + s.Subscription.ID: s.Subscription.Version,
	}
	for _, m := range s.Members {
		v["member:"+m.ID] = m.Version
	}
	for _, r := range s.Roles {
		v["role:"+r.ID] = r.Version
	}
	for _, t := range s.Teams {
		v["team:"+t.ID] = t.Version
	}
	for _, r := range s.Rooms {
		v["room:"+r.ID] = r.Version
	}
	return v
}

// apply takes an event. Messages and notifications are not kept: a snapshot has
// none to compare with.
func (m *model) apply(w *wire) {
	entity, version := w.entity()
	if entity == "" || version == 0 || len(w.Message) > 0 || w.Notification != nil {
		return
	}
	if version <= m.gone[entity] {
		return
	}
	if ends[w.Type] {
		delete(m.versions, entity)
		m.gone[entity] = version
		return
	}
	if version > m.versions[entity] {
		m.versions[entity] = version
	}
}

func (m *model) copy() map[string]int64 { return maps.Clone(m.versions) }
