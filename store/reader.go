package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orbit/realtime/domain"
)

// reader implements domain.Reader. Its methods stand in the files of their
// aggregates, each next to what writes the same columns.
type reader struct{ conn }

var (
	_ domain.Reader     = reader{}
	_ domain.Tx         = (*unitOfWork)(nil)
	_ domain.UnitOfWork = (*Store)(nil)
)

// nameKey is a name as uniqueness sees it: case doesn't count. Both engines'
// lower() fall short (SQLite's is ASCII, PostgreSQL's depends on the locale).
func nameKey(name string) string { return strings.ToLower(name) }

// idList is the column expression of the ids of a group's members, sorted, as
// splitIDs takes it. Ids have no commas (domain.ValidID).
func idList(table, groupColumn, group string) string {
	return fmt.Sprintf(`COALESCE((SELECT string_agg(g.member_id, ',' ORDER BY g.member_id)
		FROM %s g WHERE g.workspace_id = %s.workspace_id AND g.%s = %s.id), '')`, table, group, groupColumn, group)
}

func splitIDs(list string) []string {
	if list == "" {
		return []string{}
	}
	return strings.Split(list, ",")
}

// writeGroup makes ids the members of a team or room.
func (t *unitOfWork) writeGroup(ctx context.Context, table, groupColumn, workspaceID, groupID string, ids []string) error {
	if ids == nil {
		ids = []string{}
	}
	if _, err := t.exec(ctx, `DELETE FROM `+table+` WHERE workspace_id = $1 AND `+groupColumn+` = $2 AND NOT (`+t.d.in("member_id", 3)+`)`,
		workspaceID, groupID, t.d.list(ids)); err != nil {
		return err
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := t.exec(ctx, `INSERT INTO `+table+` (workspace_id, `+groupColumn+`, member_id)
		SELECT value->>0, value->>1, value->>2 FROM `+t.d.rows+` WHERE true
		ON CONFLICT DO NOTHING`, toJSON(groupRows(workspaceID, groupID, ids)))
	return err
}

func groupRows(workspaceID, groupID string, ids []string) [][]string {
	rows := make([][]string, len(ids))
	for i, id := range ids {
		rows[i] = []string{workspaceID, groupID, id}
	}
	return rows
}

// fromJSON reads a JSON column. An empty one leaves v as it is.
func fromJSON(column string, v any) error {
	if column == "" {
		return nil
	}
	return json.Unmarshal([]byte(column), v)
}

func sortedKeys[V any](m map[int]V) []int { return slices.Sorted(maps.Keys(m)) }
