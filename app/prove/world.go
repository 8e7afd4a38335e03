package prove

import (
	"context"
	"fmt"
	"net/http"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/transport/auth"
)

// person is somebody who can sign in.
type person struct {
	userID, email string
	cookie        string // the Cookie header
	memberID      string // in the tenant; "" for a visitor who isn't one now
}

// tenant is a workspace and its people.
type tenant struct {
	id, slug     string
	owner        *person
	members      []*person // for the whole run, the owner apart
	visitors     []*person // who join and leave
	general, den string    // room ids: open, and private
	quiet        bool      // of the herd: few commands, and only the herd's clients
}

const visitorsEach = 2

// populate makes the tenants, straight in the database, before the server
// starts: there is no sign-up to go through. What happens from then on goes
// through the API.
func populate(ctx context.Context, s *store.Store, tenants, members int) ([]*tenant, error) {
	commands := domain.Commands{UoW: s}
	var all []*tenant
	for i := range tenants {
		t, err := newTenant(ctx, s, commands, fmt.Sprintf("prove-%d", i), members)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func newTenant(ctx context.Context, s *store.Store, commands domain.Commands, slug string, members int) (*tenant, error) {
	w, owner, err := commands.CreateWorkspace(ctx, domain.NewWorkspace{
		Slug: slug, Name: "Prove", Plan: "proof", Seats: 1000, OwnerEmail: "owner@" + slug + ".test", OwnerName: "Owner",
	})
	if err != nil {
		return nil, err
	}
	t := &tenant{id: w.ID, slug: slug}
	if t.owner, err = signIn(ctx, commands, owner); err != nil {
		return nil, err
	}
	by := domain.Actor{UserID: owner.UserID, Workspace: slug}
	invited := []string{}
	for i := range members {
		m, _, err := commands.AddMember(ctx, by, domain.NewMember{Email: fmt.Sprintf("member-%d@%s.test", i, slug)})
		if err != nil {
			return nil, err
		}
		p, err := signIn(ctx, commands, m)
		if err != nil {
			return nil, err
		}
		t.members = append(t.members, p)
		if i%2 == 0 {
			invited = append(invited, m.ID)
		}
	}
	// A visitor is a user already: the owner of a workspace that nobody visits.
	for i := range visitorsEach {
		_, m, err := commands.CreateWorkspace(ctx, domain.NewWorkspace{
			Slug: fmt.Sprintf("%s-home-%d", slug, i), Name: "Home", Plan: "proof", Seats: 1,
			OwnerEmail: fmt.Sprintf("visitor-%d@%s.test", i, slug), OwnerName: "Visitor",
		})
		if err != nil {
			return nil, err
		}
		p, err := signIn(ctx, commands, m)
		if err != nil {
			return nil, err
		}
		p.memberID = ""
		t.visitors = append(t.visitors, p)
	}
	general, _, err := commands.CreateRoom(ctx, by, domain.NewRoom{Name: "general"})
	if err != nil {
		return nil, err
	}
	den, _, err := commands.CreateRoom(ctx, by, domain.NewRoom{Name: "den", Private: true, MemberIDs: invited})
	if err != nil {
		return nil, err
	}
	t.general, t.den = general.ID, den.ID
	return t, nil
}

func signIn(ctx context.Context, commands domain.Commands, m domain.Member) (*person, error) {
	token, hash := auth.NewToken()
	if _, err := commands.SignIn(ctx, m.Email, hash); err != nil {
		return nil, err
	}
	cookie := http.Cookie{Name: auth.CookieName, Value: token}
	return &person{userID: m.UserID, email: m.Email, memberID: m.ID, cookie: cookie.String()}, nil
}
