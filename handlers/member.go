package handlers

import "github.com/orbit/realtime/domain"

func memberChanged(t domain.ServerEventType) domain.Projector {
	return changed(domain.Reader.Member, func(m domain.Member) []domain.ServerEvent {
		return []domain.ServerEvent{{
			Type:    t,
			Channel: domain.WorkspaceChannel(m.WorkspaceID),
			Payload: domain.MemberPayload{Member: m},
		}}
	})
}

// memberRemoved also ends the member's right to the whole workspace: their own
// removal is the last event they see.
var memberRemoved = deleted(domain.Reader.Member, func(ev domain.Event, p domain.Changed) domain.ServerEvent {
	return domain.ServerEvent{
		Type:    domain.ServerMemberRemoved,
		Channel: domain.WorkspaceChannel(ev.WorkspaceID),
		Payload: domain.MemberTombstone{Member: domain.Tombstone{ID: ev.AggregateID, Version: p.Version}},
		Revoke:  &domain.Revocation{MemberID: ev.AggregateID},
	}
})
