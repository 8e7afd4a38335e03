package domain

import (
	"context"
	"slices"
)

// NewRole is the input of CreateRole.
type NewRole struct {
	Name        string       `json:"name"`        // 1 to 80 characters, unique in the workspace
	Permissions []Permission `json:"permissions"` // may be empty
}

// RolePatch is the input of UpdateRole: what is nil stays.
type RolePatch struct {
	Name        *string       `json:"name"`
	Permissions *[]Permission `json:"permissions"`
}

// CreateRole makes a custom role. Needs roles.manage and every permission that
// the role shall have. Errors: CodeConflict (the name is taken).
func (c Commands) CreateRole(ctx context.Context, by Actor, in NewRole) (Role, string, error) {
	name, err := cleanName(in.Name)
	if err != nil {
		return Role{}, "", err
	}
	permissions, err := cleanPermissions(in.Permissions)
	if err != nil {
		return Role{}, "", err
	}
	var role Role
	var eventID string
	err = c.writeLocked(ctx, by, func(s scope) (err error) {
		if err = s.need(PermRolesManage); err != nil {
			return err
		}
		if err = s.needAll(permissions); err != nil {
			return err
		}
		role, eventID, err = s.addRole(ctx, RoleCustom, name, permissions)
		return err
	})
	return role, eventID, err
}

// UpdateRole changes a custom role. Needs roles.manage and every permission
// that it adds. Errors: CodeSystemRole, CodeConflict (the name is taken).
func (c Commands) UpdateRole(ctx context.Context, by Actor, id string, in RolePatch) (Role, string, error) {
	name, err := optional(in.Name, cleanName)
	if err != nil {
		return Role{}, "", err
	}
	permissions, err := optional(in.Permissions, cleanPermissions)
	if err != nil {
		return Role{}, "", err
	}
	var role Role
	var eventID string
	err = c.writeLocked(ctx, by, func(s scope) (err error) {
		if role, err = s.customRole(ctx, id); err != nil {
			return err
		}
		before := role
		if name != nil {
			role.Name = *name
		}
		if permissions != nil {
			role.Permissions = *permissions
			added := slices.DeleteFunc(slices.Clone(role.Permissions), before.Can)
			if err = s.needAll(added); err != nil {
				return err
			}
		}
		if role.Name == before.Name && slices.Equal(role.Permissions, before.Permissions) {
			eventID = ""
			return nil
		}
		role.Version++
		if err = s.UpdateRole(ctx, role); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventRoleUpdated, role.ID, Changed{role.Version})
		return err
	})
	return role, eventID, err
}

// DeleteRole deletes a custom role that nobody holds. Needs roles.manage.
// Errors: CodeSystemRole, CodeRoleInUse.
func (c Commands) DeleteRole(ctx context.Context, by Actor, id string) (string, error) {
	var eventID string
	err := c.writeLocked(ctx, by, func(s scope) (err error) {
		role, err := s.customRole(ctx, id)
		if err != nil {
			return err
		}
		members, err := s.Members(ctx, s.workspace.ID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(members, func(m Member) bool { return m.RoleID == id }) {
			return Errorf(CodeRoleInUse, "members still hold this role: give them another one first")
		}
		if err = s.DeleteRole(ctx, s.workspace.ID, id); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventRoleDeleted, id, Changed{role.Version + 1})
		return err
	})
	return eventID, err
}

// customRole finds a role that the actor may change.
func (s scope) customRole(ctx context.Context, id string) (Role, error) {
	if err := s.need(PermRolesManage); err != nil {
		return Role{}, err
	}
	role, err := find(ctx, "role", s.workspace.ID, id, s.Role)
	if err != nil {
		return Role{}, err
	}
	if role.System {
		return Role{}, Errorf(CodeSystemRole, "the built-in role %s can be given, but not changed or deleted", role.Name)
	}
	return role, nil
}

func (s scope) addRole(ctx context.Context, kind RoleKind, name string, permissions []Permission) (Role, string, error) {
	role := Role{
		ID: NewID("role"), Version: 1, WorkspaceID: s.workspace.ID,
		Kind: kind, Name: name, Permissions: permissions, System: kind != RoleCustom,
	}
	if err := s.InsertRole(ctx, role); err != nil {
		return Role{}, "", err
	}
	eventID, err := s.publish(ctx, EventRoleCreated, role.ID, Changed{role.Version})
	return role, eventID, err
}
