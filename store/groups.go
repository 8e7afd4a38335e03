package store

import (
	"context"
	"fmt"
	"strings"
)

// group is what teams and rooms have in common: a name that is unique without
// regard to case, and members, in a table of their own.
type group struct{ what, table, members, column string }

var (
	teams = group{"team", "teams", "team_members", "team_id"}
	rooms = group{"room", "rooms", "room_members", "room_id"}
)

// memberIDs is the column expression of a group's members, sorted, as splitIDs
// takes it. Ids have no commas (domain.ValidID).
func (g group) memberIDs(alias string) string {
	return fmt.Sprintf(`COALESCE((SELECT string_agg(g.member_id, ',' ORDER BY g.member_id)
		FROM %s g WHERE g.workspace_id = %s.workspace_id AND g.%s = %s.id), '')`, g.members, alias, g.column, alias)
}

func splitIDs(list string) []string {
	if list == "" {
		return []string{}
	}
	return strings.Split(list, ",")
}

// updateGroup writes name and members.
func (t *unitOfWork) updateGroup(ctx context.Context, g group, workspaceID, id string, version int64, name string, memberIDs []string) error {
	if err := t.update(ctx, g.table, g.what, `UPDATE `+g.table+` SET version = $1, name = $4, name_key = $5
		WHERE workspace_id = $2 AND id = $3 AND version < $1`,
		version, workspaceID, id, name, nameKey(name)); err != nil {
		return err
	}
	return t.writeMembers(ctx, g, workspaceID, id, memberIDs)
}

// writeMembers makes ids the members of a group.
func (t *unitOfWork) writeMembers(ctx context.Context, g group, workspaceID, id string, ids []string) error {
	if _, err := t.exec(ctx, `DELETE FROM `+g.members+` WHERE workspace_id = $1 AND `+g.column+` = $2 AND NOT (`+t.d.in("member_id", 3)+`)`,
		workspaceID, id, t.d.list(nonNil(ids))); err != nil {
		return err
	}
	if len(ids) == 0 {
		return nil
	}
	rows := make([][]string, len(ids))
	for i, member := range ids {
		rows[i] = []string{workspaceID, id, member}
	}
	_, err := t.exec(ctx, `INSERT INTO `+g.members+` (workspace_id, `+g.column+`, member_id)
		SELECT value->>0, value->>1, value->>2 FROM `+t.d.rows+` WHERE true
		ON CONFLICT DO NOTHING`, toJSON(rows))
	return err
}

func (t *unitOfWork) deleteGroup(ctx context.Context, g group, workspaceID, id string) error {
	return t.remove(ctx, g.what, `DELETE FROM `+g.table+` WHERE workspace_id = $1 AND id = $2`, workspaceID, id)
}
