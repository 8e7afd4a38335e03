package domain

import (
	"context"
	"errors"
	"slices"
	"time"
)

// NewWorkspace is the input of CreateWorkspace.
type NewWorkspace struct {
	Slug       string // see ValidSlug; unique
	Name       string // 1 to 80 characters
	Plan       string // 1 to 40 characters
	Seats      int    // 1 to 10,000
	OwnerEmail string
	OwnerName  string // 1 to 80 characters; only used for a user nobody knows yet
}

// WorkspacePatch is the input of UpdateWorkspace: what is nil stays.
type WorkspacePatch struct {
	Name *string `json:"name"`
	Slug *string `json:"slug"`
}

// SubscriptionPatch is the input of UpdateSubscription: what is nil stays.
type SubscriptionPatch struct {
	Plan   *string             `json:"plan"`
	Seats  *int                `json:"seats"`
	Status *SubscriptionStatus `json:"status"`
}

// systemRoles are what every workspace starts with.
var systemRoles = []struct {
	kind        RoleKind
	permissions []Permission
}{
	{RoleOwner, Permissions},
	{RoleAdmin, slices.DeleteFunc(slices.Clone(Permissions), func(p Permission) bool { return p == PermBillingManage })},
	{RoleGuest, nil},
}

// CreateWorkspace makes a tenant with its built-in roles, a subscription and
// its first owner. It is for operators: no permission is asked for. Errors:
// CodeConflict (the slug is taken).
func (c Commands) CreateWorkspace(ctx context.Context, in NewWorkspace) (Workspace, Member, error) {
	slug, err := cleanSlug(in.Slug)
	if err != nil {
		return Workspace{}, Member{}, err
	}
	name, err := cleanName(in.Name)
	if err != nil {
		return Workspace{}, Member{}, err
	}
	plan, err := cleanPlan(in.Plan)
	if err != nil {
		return Workspace{}, Member{}, err
	}
	seats, err := cleanSeats(in.Seats)
	if err != nil {
		return Workspace{}, Member{}, err
	}
	email, err := cleanEmail(in.OwnerEmail)
	if err != nil {
		return Workspace{}, Member{}, err
	}
	ownerName, err := cleanName(in.OwnerName)
	if err != nil {
		return Workspace{}, Member{}, err
	}
	var workspace Workspace
	var owner Member
	create := func(tx Tx) error {
		workspace = Workspace{ID: NewID("ws"), Version: 1, Slug: slug, Name: name}
		if err := tx.InsertWorkspace(ctx, workspace); err != nil {
			return err
		}
		user, err := userFor(ctx, tx, email, &ownerName)
		if err != nil {
			return err
		}
		s := scope{tx, standing{workspace: workspace}}
		owner, err = s.furnish(ctx, user, plan, seats, c.now())
		return err
	}
	if err = c.UoW.Write(ctx, create); errors.Is(err, errUserAppeared) {
		err = c.UoW.Write(ctx, create)
	}
	return workspace, owner, err
}

// furnish gives a workspace just inserted all that one needs.
func (s scope) furnish(ctx context.Context, owner User, plan string, seats int, now Time) (Member, error) {
	if _, err := s.publish(ctx, EventWorkspaceUpdated, s.workspace.ID, Changed{s.workspace.Version}); err != nil {
		return Member{}, err
	}
	var ownerRole Role
	for _, r := range systemRoles {
		role, _, err := s.addRole(ctx, r.kind, string(r.kind), sortedSet(r.permissions))
		if err != nil {
			return Member{}, err
		}
		if r.kind == RoleOwner {
			ownerRole = role
		}
	}
	subscription := Subscription{
		ID: NewID("sub"), Version: 1, WorkspaceID: s.workspace.ID,
		Plan: plan, Seats: seats, Status: SubscriptionActive, RenewsAt: At(now.Add(30 * 24 * time.Hour)),
	}
	if err := s.InsertSubscription(ctx, subscription); err != nil {
		return Member{}, err
	}
	if _, err := s.publish(ctx, EventSubscriptionUpdated, subscription.ID, Changed{subscription.Version}); err != nil {
		return Member{}, err
	}
	member, _, err := s.join(ctx, owner, ownerRole, now)
	return member, err
}

// UpdateWorkspace changes name or slug. Needs workspace.manage. Errors:
// CodeConflict (the slug is taken).
func (c Commands) UpdateWorkspace(ctx context.Context, by Actor, in WorkspacePatch) (Workspace, string, error) {
	name, err := optional(in.Name, cleanName)
	if err != nil {
		return Workspace{}, "", err
	}
	slug, err := optional(in.Slug, cleanSlug)
	if err != nil {
		return Workspace{}, "", err
	}
	var workspace Workspace
	var eventID string
	err = c.writeLocked(ctx, by, func(s scope) (err error) {
		if err = s.need(PermWorkspaceManage); err != nil {
			return err
		}
		workspace = s.workspace
		if name != nil {
			workspace.Name = *name
		}
		if slug != nil {
			workspace.Slug = *slug
		}
		if workspace == s.workspace {
			eventID = ""
			return nil
		}
		workspace.Version++
		if err = s.UpdateWorkspace(ctx, workspace); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventWorkspaceUpdated, workspace.ID, Changed{workspace.Version})
		return err
	})
	return workspace, eventID, err
}

// UpdateSubscription changes what the workspace pays for. Needs
// billing.manage. Errors: CodeSeatsBelowMembers.
func (c Commands) UpdateSubscription(ctx context.Context, by Actor, in SubscriptionPatch) (Subscription, string, error) {
	plan, err := optional(in.Plan, cleanPlan)
	if err != nil {
		return Subscription{}, "", err
	}
	seats, err := optional(in.Seats, cleanSeats)
	if err != nil {
		return Subscription{}, "", err
	}
	status, err := optional(in.Status, cleanStatus)
	if err != nil {
		return Subscription{}, "", err
	}
	var subscription Subscription
	var eventID string
	err = c.writeLocked(ctx, by, func(s scope) (err error) {
		if err = s.need(PermBillingManage); err != nil {
			return err
		}
		if subscription, err = s.Subscription(ctx, s.workspace.ID); err != nil {
			return err
		}
		before := subscription
		if plan != nil {
			subscription.Plan = *plan
		}
		if status != nil {
			subscription.Status = *status
		}
		if seats != nil {
			subscription.Seats = *seats
		}
		if subscription == before {
			eventID = ""
			return nil
		}
		if subscription.Seats < before.Seats {
			if err = s.seatsSuffice(ctx, subscription.Seats); err != nil {
				return err
			}
		}
		subscription.Version++
		if err = s.UpdateSubscription(ctx, subscription); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventSubscriptionUpdated, subscription.ID, Changed{subscription.Version})
		return err
	})
	return subscription, eventID, err
}

func (s scope) seatsSuffice(ctx context.Context, seats int) error {
	members, err := s.Members(ctx, s.workspace.ID)
	if err != nil {
		return err
	}
	if len(members) > seats {
		return &Error{Code: CodeSeatsBelowMembers, Field: "seats",
			Message: "more members than that are here: remove some first"}
	}
	return nil
}
