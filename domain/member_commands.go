package domain

import (
	"context"
	"errors"
	"strings"
)

// NewMember is the input of AddMember.
type NewMember struct {
	Email string `json:"email"` // up to 254 bytes; upper case is folded
	// Name is how the member is shown, 1 to 80 characters. Default: the
	// user's name, or the e-mail's local part for somebody new.
	Name *string `json:"name"`
	// RoleID defaults to the guest role.
	RoleID *string `json:"roleId"`
}

// MemberPatch is the input of UpdateMember: what is nil stays.
type MemberPatch struct {
	Name   *string `json:"name"`
	RoleID *string `json:"roleId"`
}

// errUserAppeared says that another transaction made the user first.
var errUserAppeared = errors.New("the user was created meanwhile")

// AddMember makes the user with that e-mail a member; a user nobody knows yet
// is created. Needs members.manage. Errors: CodeConflict (a member already),
// CodeSeatsExhausted.
func (c Commands) AddMember(ctx context.Context, by Actor, in NewMember) (Member, string, error) {
	email, err := cleanEmail(in.Email)
	if err != nil {
		return Member{}, "", err
	}
	displayName, err := optional(in.Name, cleanName)
	if err != nil {
		return Member{}, "", err
	}
	var member Member
	var eventID string
	add := func() error {
		return c.writeLocked(ctx, by, func(s scope) (err error) {
			if err = s.need(PermMembersManage); err != nil {
				return err
			}
			role, err := s.roleToGive(ctx, in.RoleID)
			if err != nil {
				return err
			}
			user, err := userFor(ctx, s, email, displayName)
			if err != nil {
				return err
			}
			if displayName != nil {
				user.Name = *displayName
			}
			member, eventID, err = s.join(ctx, user, role, c.now())
			return err
		})
	}
	if err = add(); errors.Is(err, errUserAppeared) {
		err = add() // a user belongs to no workspace, so no lock kept the other one out
	}
	return member, eventID, err
}

// UpdateMember changes a member's name or role. Needs members.manage, except
// for one's own name. Errors: CodeLastOwner.
func (c Commands) UpdateMember(ctx context.Context, by Actor, id string, in MemberPatch) (Member, string, error) {
	name, err := optional(in.Name, cleanName)
	if err != nil {
		return Member{}, "", err
	}
	var member Member
	var eventID string
	err = c.writeLocked(ctx, by, func(s scope) (err error) {
		if ownName := s.member.ID == id && in.RoleID == nil; !ownName {
			if err = s.need(PermMembersManage); err != nil {
				return err
			}
		}
		if member, err = find(ctx, "member", s.workspace.ID, id, s.Member); err != nil {
			return err
		}
		before := member
		if name != nil {
			member.Name = *name
		}
		if in.RoleID != nil && *in.RoleID != member.RoleID {
			role, err := s.roleToGive(ctx, in.RoleID)
			if err != nil {
				return err
			}
			if err = s.mayTakeRole(ctx, member); err != nil {
				return err
			}
			member.RoleID = role.ID
		}
		if member == before {
			eventID = ""
			return nil
		}
		member.Version++
		if err = s.UpdateMember(ctx, member); err != nil {
			return err
		}
		what := EventMemberUpdated
		if member.RoleID != before.RoleID {
			what = EventMemberRoleChanged
		}
		eventID, err = s.publish(ctx, what, member.ID, Changed{member.Version})
		return err
	})
	return member, eventID, err
}

// RemoveMember ends a membership, after taking the member out of their teams
// and private rooms; each of those changes has an event of its own. Needs
// members.manage, except for leaving oneself. Errors: CodeLastOwner.
func (c Commands) RemoveMember(ctx context.Context, by Actor, id string) (string, error) {
	var eventID string
	err := c.writeLocked(ctx, by, func(s scope) (err error) {
		if s.member.ID != id {
			if err = s.need(PermMembersManage); err != nil {
				return err
			}
		}
		member, err := find(ctx, "member", s.workspace.ID, id, s.Member)
		if err != nil {
			return err
		}
		if err = s.mayTakeRole(ctx, member); err != nil {
			return err
		}
		if err = s.leaveTeams(ctx, id); err != nil {
			return err
		}
		if err = s.leaveRooms(ctx, id); err != nil {
			return err
		}
		if err = s.DeleteMember(ctx, s.workspace.ID, id); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventMemberRemoved, id, Changed{member.Version + 1})
		return err
	})
	return eventID, err
}

// join makes the user a member, shown by the user's name.
func (s scope) join(ctx context.Context, user User, role Role, now Time) (Member, string, error) {
	_, err := s.MemberByUser(ctx, s.workspace.ID, user.ID)
	if err == nil {
		return Member{}, "", &Error{Code: CodeConflict, Field: "email", Message: "they are a member already"}
	}
	if !errors.Is(err, ErrNotFound) {
		return Member{}, "", err
	}
	subscription, err := s.Subscription(ctx, s.workspace.ID)
	if err != nil {
		return Member{}, "", err
	}
	members, err := s.Members(ctx, s.workspace.ID)
	if err != nil {
		return Member{}, "", err
	}
	if len(members) >= subscription.Seats {
		return Member{}, "", Errorf(CodeSeatsExhausted, "all %d seats are taken", subscription.Seats)
	}
	log, err := s.LogState(ctx, s.workspace.ID)
	if err != nil {
		return Member{}, "", err
	}
	member := Member{
		ID: NewID("mem"), Version: 1, WorkspaceID: s.workspace.ID, UserID: user.ID,
		Name: user.Name, Email: user.Email, RoleID: role.ID, JoinedAt: now, JoinedOffset: log.Head,
	}
	if err = s.InsertMember(ctx, member); err != nil {
		return Member{}, "", err
	}
	eventID, err := s.publish(ctx, EventMemberJoined, member.ID, Changed{member.Version})
	return member, eventID, err
}

// roleToGive finds the role (nil: guest), and checks that the actor may give it.
func (s scope) roleToGive(ctx context.Context, id *string) (role Role, err error) {
	if id == nil {
		role, err = s.systemRole(ctx, RoleGuest)
	} else {
		role, err = find(ctx, "role", s.workspace.ID, *id, s.Role)
	}
	if err != nil {
		return Role{}, blame(err, "roleId")
	}
	if role.Kind == RoleOwner && s.role.Kind != RoleOwner {
		return Role{}, Errorf(CodeForbidden, "only an owner can make somebody an owner")
	}
	return role, s.needAll(role.Permissions)
}

// mayTakeRole checks that the member can lose their role: it takes an owner to
// unmake one, and the last owner stays.
func (s scope) mayTakeRole(ctx context.Context, member Member) error {
	owner, err := s.systemRole(ctx, RoleOwner)
	if err != nil || member.RoleID != owner.ID {
		return err
	}
	if s.role.Kind != RoleOwner {
		return Errorf(CodeForbidden, "only an owner can remove or demote an owner")
	}
	members, err := s.Members(ctx, s.workspace.ID)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.RoleID == owner.ID && m.ID != member.ID {
			return nil
		}
	}
	return Errorf(CodeLastOwner, "the workspace needs an owner: make somebody else one first")
}

func (s scope) systemRole(ctx context.Context, kind RoleKind) (Role, error) {
	roles, err := s.Roles(ctx, s.workspace.ID)
	if err != nil {
		return Role{}, err
	}
	for _, r := range roles {
		if r.Kind == kind {
			return r, nil
		}
	}
	return Role{}, Errorf(CodeInternal, "the workspace has no %s role", kind)
}

// userFor finds the user with that e-mail, or creates one.
func userFor(ctx context.Context, tx Tx, email string, name *string) (User, error) {
	user, err := tx.UserByEmail(ctx, email)
	if !errors.Is(err, ErrNotFound) {
		return user, err
	}
	user = User{ID: NewID("usr"), Email: email}
	if name != nil {
		user.Name = *name
	} else if user.Name, err = cleanName(email[:strings.LastIndexByte(email, '@')]); err != nil {
		return User{}, InvalidField("name", "give a name of 1 to %d characters", MaxNameLength)
	}
	err = tx.InsertUser(ctx, user)
	if CodeOf(err) == CodeConflict {
		return User{}, errUserAppeared
	}
	return user, err
}
