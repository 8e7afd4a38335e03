package domain

import (
	"context"
	"errors"
	"slices"
)

// The demo: workspace acme with an owner, an admin and a guest, and workspace
// globex, where only the owner is a member.

// DemoUser is somebody to sign in as, by their short name.
type DemoUser struct {
	Short string // also their role in acme
	Email string
	Name  string
}

// DemoUsers lists who is there.
var DemoUsers = []DemoUser{
	{"owner", "owner@acme.test", "Olivia Owner"},
	{"admin", "admin@acme.test", "Adam Admin"},
	{"guest", "guest@acme.test", "Gus Guest"},
}

// DemoSignIn is SignIn by short name. Errors: CodeInvalid (no such name),
// CodeUnauthenticated (the demo wasn't seeded).
func (c Commands) DemoSignIn(ctx context.Context, short string, tokenHash []byte) (Session, error) {
	for _, u := range DemoUsers {
		if u.Short == short {
			return c.SignIn(ctx, u.Email, tokenHash)
		}
	}
	return Session{}, InvalidField("user", "user is one of owner, admin, guest")
}

// SeedDemo makes the demo workspaces, all in one transaction, by the commands
// that anybody else would use. A workspace that is there already is left alone.
func (c Commands) SeedDemo(ctx context.Context) error {
	seed := func(tx Tx) error {
		inside := Commands{UoW: joined{tx}, Now: c.Now}
		for _, one := range []struct {
			slug string
			make func(context.Context, Commands) error
		}{{"acme", seedAcme}, {"globex", seedGlobex}} {
			_, err := tx.WorkspaceBySlug(ctx, one.slug)
			if errors.Is(err, ErrNotFound) {
				err = one.make(ctx, inside)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	err := c.UoW.Write(ctx, seed)
	if CodeOf(err) == CodeConflict {
		err = c.UoW.Write(ctx, seed) // another node seeds at the same time: now its rows are there
	}
	return err
}

func seedAcme(ctx context.Context, c Commands) error {
	cast := map[string]Member{}
	workspace, owner, err := c.CreateWorkspace(ctx, demoWorkspace("acme", "Acme", "team", 25))
	if err != nil {
		return err
	}
	cast["owner"] = owner
	as := func(short string) Actor { return Actor{cast[short].UserID, workspace.Slug} }

	var roles []Role
	if err = c.UoW.Read(ctx, func(r Reader) (err error) {
		roles, err = r.Roles(ctx, workspace.ID)
		return err
	}); err != nil {
		return err
	}
	for _, u := range DemoUsers[1:] {
		role := roles[slices.IndexFunc(roles, func(r Role) bool { return string(r.Kind) == u.Short })]
		cast[u.Short], _, err = c.AddMember(ctx, as("owner"), NewMember{Email: u.Email, Name: &u.Name, RoleID: &role.ID})
		if err != nil {
			return err
		}
	}
	if _, _, err = c.CreateTeam(ctx, as("owner"), NewTeam{
		Name: "Product", MemberIDs: []string{cast["admin"].ID, cast["guest"].ID},
	}); err != nil {
		return err
	}
	for _, room := range []struct {
		NewRoom
		said [][2]string // who, what
	}{
		{NewRoom{Name: "general"}, [][2]string{
			{"owner", "Welcome to Acme! Open this page in a second tab and watch both."},
			{"admin", "Change somebody's role: it shows everywhere at once."},
			{"guest", "Hello, everybody."},
		}},
		{NewRoom{Name: "random"}, nil},
		{NewRoom{Name: "leads", Private: true, MemberIDs: []string{cast["admin"].ID}}, [][2]string{
			{"owner", "Only the two of us can read this."},
		}},
	} {
		opened, _, err := c.CreateRoom(ctx, as("owner"), room.NewRoom)
		if err != nil {
			return err
		}
		for _, line := range room.said {
			if _, _, err = c.PostMessage(ctx, as(line[0]), opened.ID, MessageText{line[1]}); err != nil {
				return err
			}
		}
	}
	return nil
}

func seedGlobex(ctx context.Context, c Commands) error {
	_, _, err := c.CreateWorkspace(ctx, demoWorkspace("globex", "Globex", "free", 5))
	return err
}

func demoWorkspace(slug, name, plan string, seats int) NewWorkspace {
	owner := DemoUsers[0]
	return NewWorkspace{Slug: slug, Name: name, Plan: plan, Seats: seats, OwnerEmail: owner.Email, OwnerName: owner.Name}
}

// joined is a unit of work inside a transaction that is open already, so that
// several commands commit as one.
type joined struct{ tx Tx }

func (j joined) Read(_ context.Context, fn func(Reader) error) error { return fn(j.tx) }
func (j joined) Write(_ context.Context, fn func(Tx) error) error    { return fn(j.tx) }
