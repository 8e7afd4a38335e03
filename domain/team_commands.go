package domain

import "context"

// NewTeam is the input of CreateTeam.
type NewTeam struct {
	Name      string   `json:"name"`      // 1 to 80 characters, unique in the workspace
	MemberIDs []string `json:"memberIds"` // may be empty
}

// TeamPatch is the input of UpdateTeam: what is nil stays.
type TeamPatch struct {
	Name *string `json:"name"`
}

// CreateTeam makes a team. Needs teams.manage. Errors: CodeConflict (the name is taken).
func (c Commands) CreateTeam(ctx context.Context, by Actor, in NewTeam) (Team, string, error) {
	name, err := cleanName(in.Name)
	if err != nil {
		return Team{}, "", err
	}
	var team Team
	var eventID string
	err = c.writeLocked(ctx, by, func(s scope) (err error) {
		if err = s.need(PermTeamsManage); err != nil {
			return err
		}
		members, err := s.membersNamed(ctx, in.MemberIDs)
		if err != nil {
			return err
		}
		team = Team{ID: NewID("team"), Version: 1, WorkspaceID: s.workspace.ID, Name: name, MemberIDs: members}
		if err = s.InsertTeam(ctx, team); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventTeamCreated, team.ID, Changed{team.Version})
		return err
	})
	return team, eventID, err
}

// UpdateTeam renames a team. Needs teams.manage. Errors: CodeConflict (the name is taken).
func (c Commands) UpdateTeam(ctx context.Context, by Actor, id string, in TeamPatch) (Team, string, error) {
	name, err := optional(in.Name, cleanName)
	if err != nil {
		return Team{}, "", err
	}
	return c.changeTeam(ctx, by, id, func(s scope, team *Team) (change, error) {
		if name == nil || team.Name == *name {
			return change{}, nil
		}
		team.Name = *name
		return change{event: EventTeamUpdated}, nil
	})
}

// AddTeamMember puts a member into a team; one who is in it already stays.
// Needs teams.manage.
func (c Commands) AddTeamMember(ctx context.Context, by Actor, id, memberID string) (Team, string, error) {
	return c.changeTeam(ctx, by, id, func(s scope, team *Team) (change, error) {
		if _, err := find(ctx, "member", s.workspace.ID, memberID, s.Member); err != nil {
			return change{}, err
		}
		var changed bool
		if team.MemberIDs, changed = with(team.MemberIDs, memberID); !changed {
			return change{}, nil
		}
		return change{EventTeamMemberAdded, memberID}, nil
	})
}

// RemoveTeamMember takes a member out of a team. Needs teams.manage.
func (c Commands) RemoveTeamMember(ctx context.Context, by Actor, id, memberID string) (string, error) {
	_, eventID, err := c.changeTeam(ctx, by, id, func(s scope, team *Team) (change, error) {
		var changed bool
		if team.MemberIDs, changed = without(team.MemberIDs, memberID); !changed {
			return change{}, Errorf(CodeNotFound, "no such member in this team")
		}
		return change{EventTeamMemberRemoved, memberID}, nil
	})
	return eventID, err
}

// DeleteTeam deletes a team; its members stay in the workspace. Needs teams.manage.
func (c Commands) DeleteTeam(ctx context.Context, by Actor, id string) (string, error) {
	var eventID string
	err := c.writeLocked(ctx, by, func(s scope) (err error) {
		if err = s.need(PermTeamsManage); err != nil {
			return err
		}
		team, err := find(ctx, "team", s.workspace.ID, id, s.Team)
		if err != nil {
			return err
		}
		if err = s.DeleteTeam(ctx, s.workspace.ID, id); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventTeamDeleted, id, Changed{team.Version + 1})
		return err
	})
	return eventID, err
}

func (c Commands) changeTeam(ctx context.Context, by Actor, id string, alter func(scope, *Team) (change, error)) (Team, string, error) {
	var team Team
	var eventID string
	err := c.writeLocked(ctx, by, func(s scope) (err error) {
		if err = s.need(PermTeamsManage); err != nil {
			return err
		}
		if team, err = find(ctx, "team", s.workspace.ID, id, s.Team); err != nil {
			return err
		}
		ch, err := alter(s, &team)
		if err != nil {
			return err
		}
		eventID, err = s.saveTeam(ctx, &team, ch)
		return err
	})
	return team, eventID, err
}

// saveTeam writes a changed team, and publishes what changed about it.
func (s scope) saveTeam(ctx context.Context, team *Team, ch change) (string, error) {
	if ch.nothing() {
		return "", nil
	}
	team.Version++
	if err := s.UpdateTeam(ctx, *team); err != nil {
		return "", err
	}
	return s.publish(ctx, ch.event, team.ID, ch.payload(team.Version))
}

// leaveTeams takes a member, who is about to go, out of every team.
func (s scope) leaveTeams(ctx context.Context, memberID string) error {
	teams, err := s.Teams(ctx, s.workspace.ID)
	if err != nil {
		return err
	}
	for _, team := range teams {
		var changed bool
		if team.MemberIDs, changed = without(team.MemberIDs, memberID); !changed {
			continue
		}
		if _, err = s.saveTeam(ctx, &team, change{EventTeamMemberRemoved, memberID}); err != nil {
			return err
		}
	}
	return nil
}

// membersNamed checks that each id is a member's, and returns them sorted,
// each once.
func (s scope) membersNamed(ctx context.Context, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return []string{}, nil
	}
	members, err := s.Members(ctx, s.workspace.ID)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(members))
	for _, m := range members {
		known[m.ID] = true
	}
	for _, id := range ids {
		if !known[id] {
			return nil, &Error{Code: CodeNotFound, Field: "memberIds", Message: "no such member"}
		}
	}
	return sortedSet(ids), nil
}
