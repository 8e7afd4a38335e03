package handlers

import "github.com/orbit/realtime/domain"

func roleChanged(t domain.ServerEventType) domain.Projector {
	return changed(domain.Reader.Role, func(r domain.Role) []domain.ServerEvent {
		return []domain.ServerEvent{{
			Type:    t,
			Channel: domain.WorkspaceChannel(r.WorkspaceID),
			Payload: domain.RolePayload{Role: r},
		}}
	})
}

var roleDeleted = deleted(domain.Reader.Role, func(ev domain.Event, p domain.Changed) domain.ServerEvent {
	return domain.ServerEvent{
		Type:    domain.ServerRoleDeleted,
		Channel: domain.WorkspaceChannel(ev.WorkspaceID),
		Payload: domain.RoleTombstone{Role: domain.Tombstone{ID: ev.AggregateID, Version: p.Version}},
	}
})
