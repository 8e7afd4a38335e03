package store

import (
	"context"

	"github.com/orbit/realtime/domain"
)

var teamColumns = `SELECT t.workspace_id, t.id, t.version, t.name, ` + teams.memberIDs("t") + ` FROM teams t`

func scanTeam(scan scanner) (t domain.Team, err error) {
	var members string
	err = scan(&t.WorkspaceID, &t.ID, &t.Version, &t.Name, &members)
	t.MemberIDs = splitIDs(members)
	return t, err
}

func (r reader) Team(ctx context.Context, workspaceID, id string) (domain.Team, error) {
	return one(ctx, r.conn, "team", scanTeam, teamColumns+` WHERE t.workspace_id = $1 AND t.id = $2`, workspaceID, id)
}

func (r reader) Teams(ctx context.Context, workspaceID string) ([]domain.Team, error) {
	return many(ctx, r.conn, scanTeam, teamColumns+` WHERE t.workspace_id = $1 ORDER BY t.id`, workspaceID)
}

func (t *unitOfWork) InsertTeam(ctx context.Context, team domain.Team) error {
	if _, err := t.exec(ctx, `INSERT INTO teams (workspace_id, id, version, name, name_key) VALUES ($1, $2, $3, $4, $5)`,
		team.WorkspaceID, team.ID, team.Version, team.Name, nameKey(team.Name)); err != nil {
		return err
	}
	return t.writeMembers(ctx, teams, team.WorkspaceID, team.ID, team.MemberIDs)
}

func (t *unitOfWork) UpdateTeam(ctx context.Context, team domain.Team) error {
	return t.updateGroup(ctx, teams, team.WorkspaceID, team.ID, team.Version, team.Name, team.MemberIDs)
}

func (t *unitOfWork) DeleteTeam(ctx context.Context, workspaceID, id string) error {
	return t.deleteGroup(ctx, teams, workspaceID, id)
}
