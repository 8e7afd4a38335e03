package store

import (
	"context"

	"github.com/orbit/realtime/domain"
)

const roleColumns = `SELECT workspace_id, id, version, kind, name, permissions, system FROM roles`

func scanRole(scan scanner) (r domain.Role, err error) {
	var permissions string
	if err = scan(&r.WorkspaceID, &r.ID, &r.Version, &r.Kind, &r.Name, &permissions, &r.System); err != nil {
		return r, err
	}
	r.Permissions = []domain.Permission{}
	return r, fromJSON(permissions, &r.Permissions)
}

func (r reader) Role(ctx context.Context, workspaceID, id string) (domain.Role, error) {
	return one(ctx, r.conn, "role", scanRole, roleColumns+` WHERE workspace_id = $1 AND id = $2`, workspaceID, id)
}

func (r reader) Roles(ctx context.Context, workspaceID string) ([]domain.Role, error) {
	return many(ctx, r.conn, scanRole, roleColumns+` WHERE workspace_id = $1 ORDER BY id`, workspaceID)
}

func permissionsColumn(p []domain.Permission) string {
	if p == nil {
		p = []domain.Permission{}
	}
	return toJSON(p)
}

func (t *unitOfWork) InsertRole(ctx context.Context, r domain.Role) error {
	_, err := t.exec(ctx, `INSERT INTO roles (workspace_id, id, version, kind, name, name_key, permissions, system)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		r.WorkspaceID, r.ID, r.Version, r.Kind, r.Name, nameKey(r.Name), permissionsColumn(r.Permissions), r.System)
	return err
}

// UpdateRole writes name and permissions; a role's kind is fixed.
func (t *unitOfWork) UpdateRole(ctx context.Context, r domain.Role) error {
	return t.update(ctx, "roles", "role", `UPDATE roles SET version = $1, name = $4, name_key = $5, permissions = $6
		WHERE workspace_id = $2 AND id = $3 AND version < $1`,
		r.Version, r.WorkspaceID, r.ID, r.Name, nameKey(r.Name), permissionsColumn(r.Permissions))
}

// DeleteRole fails with CodeRoleInUse while members hold the role.
func (t *unitOfWork) DeleteRole(ctx context.Context, workspaceID, id string) error {
	err := t.remove(ctx, "role", `DELETE FROM roles WHERE workspace_id = $1 AND id = $2`, workspaceID, id)
	if err != nil && classify(err) == failReference {
		return domain.Wrap(err, domain.CodeRoleInUse, "members still hold this role")
	}
	return err
}
