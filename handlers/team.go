package handlers

import (
	"context"
	"slices"

	"github.com/orbit/realtime/domain"
)

func teamChanged(t domain.ServerEventType) domain.Projector {
	return changed(domain.Reader.Team, func(team domain.Team) []domain.ServerEvent {
		return []domain.ServerEvent{{
			Type:    t,
			Channel: domain.WorkspaceChannel(team.WorkspaceID),
			Payload: domain.TeamPayload{Team: team},
		}}
	})
}

var teamDeleted = deleted(domain.Reader.Team, func(ev domain.Event, p domain.Changed) domain.ServerEvent {
	return domain.ServerEvent{
		Type:    domain.ServerTeamDeleted,
		Channel: domain.WorkspaceChannel(ev.WorkspaceID),
		Payload: domain.TeamTombstone{Team: domain.Tombstone{ID: ev.AggregateID, Version: p.Version}},
	}
})

var (
	teamMemberAdded   = teamMembership(domain.ServerTeamMemberAdded, true)
	teamMemberRemoved = teamMembership(domain.ServerTeamMemberRemoved, false)
)

// teamMembership shows the team if the member's place in it is still what the
// event says. Otherwise the member has moved again since, and that later event
// tells.
func teamMembership(t domain.ServerEventType, in bool) domain.Projector {
	return func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		p, err := decode[domain.GroupChanged](ev)
		if err != nil {
			return nil, err
		}
		team, ok, err := look(ctx, domain.Reader.Team, read, ev)
		if err != nil || !ok || slices.Contains(team.MemberIDs, p.MemberID) != in {
			return nil, err
		}
		return []domain.ServerEvent{{
			Type:    t,
			Channel: domain.WorkspaceChannel(team.WorkspaceID),
			Payload: domain.TeamMemberPayload{Team: team, MemberID: p.MemberID},
		}}, nil
	}
}
