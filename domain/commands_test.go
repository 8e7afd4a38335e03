package domain_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// ids are those of one workspace's things.
type ids struct{ member, role, team, openRoom, privateRoom, message string }

// everyUseCase calls each method of Commands that takes an actor, with input
// that the owner of the things named could succeed with.
var everyUseCase = map[string]func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error{
	"Snapshot": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return only(c.Snapshot(ctx, by, nobodyOnline))
	},
	"Messages": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return only(c.Messages(ctx, by, x.openRoom, "", 10))
	},
	"UpdateWorkspace": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.UpdateWorkspace(ctx, by, domain.WorkspacePatch{Name: ptr("Other")}))
	},
	"UpdateSubscription": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.UpdateSubscription(ctx, by, domain.SubscriptionPatch{Plan: ptr("other")}))
	},
	"AddMember": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.AddMember(ctx, by, domain.NewMember{Email: "nina@else.test", RoleID: &x.role}))
	},
	"UpdateMember": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.UpdateMember(ctx, by, x.member, domain.MemberPatch{Name: ptr("Other")}))
	},
	"RemoveMember": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return only(c.RemoveMember(ctx, by, x.member))
	},
	"Notify": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.Notify(ctx, by, x.member, domain.NewNotification{Title: "t", Body: "b"}))
	},
	"CreateRole": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.CreateRole(ctx, by, domain.NewRole{Name: "other"}))
	},
	"UpdateRole": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.UpdateRole(ctx, by, x.role, domain.RolePatch{Name: ptr("other")}))
	},
	"DeleteRole": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return only(c.DeleteRole(ctx, by, x.role))
	},
	"CreateTeam": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.CreateTeam(ctx, by, domain.NewTeam{Name: "Other", MemberIDs: []string{x.member}}))
	},
	"UpdateTeam": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.UpdateTeam(ctx, by, x.team, domain.TeamPatch{Name: ptr("Other")}))
	},
	"DeleteTeam": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return only(c.DeleteTeam(ctx, by, x.team))
	},
	"AddTeamMember": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.AddTeamMember(ctx, by, x.team, x.member))
	},
	"RemoveTeamMember": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return only(c.RemoveTeamMember(ctx, by, x.team, x.member))
	},
	"CreateRoom": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.CreateRoom(ctx, by, domain.NewRoom{Name: "other", Private: true, MemberIDs: []string{x.member}}))
	},
	"UpdateRoom": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.UpdateRoom(ctx, by, x.openRoom, domain.RoomPatch{Name: ptr("other")}))
	},
	"DeleteRoom": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return only(c.DeleteRoom(ctx, by, x.openRoom))
	},
	"AddRoomMember": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.AddRoomMember(ctx, by, x.privateRoom, x.member))
	},
	"RemoveRoomMember": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return only(c.RemoveRoomMember(ctx, by, x.privateRoom, x.member))
	},
	"PostMessage": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.PostMessage(ctx, by, x.openRoom, domain.MessageText{Body: "b"}))
	},
	"EditMessage": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return last(c.EditMessage(ctx, by, x.openRoom, x.message, domain.MessageText{Body: "b"}))
	},
	"DeleteMessage": func(ctx context.Context, c domain.Commands, by domain.Actor, x ids) error {
		return only(c.DeleteMessage(ctx, by, x.openRoom, x.message))
	},
}

func only[T any](_ T, err error) error           { return err }
func last[T any](_ T, _ string, err error) error { return err }

// namesNothing are the use cases that take no id: in a workspace of their own
// there is nothing they could be refused for.
var namesNothing = []string{"Snapshot", "UpdateWorkspace", "UpdateSubscription", "CreateRole"}

func TestEveryUseCaseIsInTheTable(t *testing.T) {
	actor := reflect.TypeFor[domain.Actor]()
	commands := reflect.TypeFor[domain.Commands]()
	for i := range commands.NumMethod() {
		m := commands.Method(i)
		if m.Type.NumIn() > 2 && m.Type.In(2) == actor {
			covered := everyUseCase[m.Name] != nil
			require.True(t, covered, "everyUseCase, in domain/commands_test.go, has no row for Commands.%s: add one with input that "+
				"succeeds for an owner, and its name to namesNothing if it takes no id", m.Name)
		}
	}
	for _, name := range namesNothing {
		covered := everyUseCase[name] != nil
		require.True(t, covered, "namesNothing has %s, which everyUseCase has not: there is no such use case", name)
	}
}

func (w *world) ids() ids {
	w.Helper()
	page, err := w.Messages(w.Context(), w.as("owner"), w.room("general").ID, "", 10)
	require.NoError(w, err)
	return ids{
		member: w.member("guest").ID, role: w.role("guest").ID, team: w.team().ID,
		openRoom: w.room("general").ID, privateRoom: w.room("leads").ID, message: page[0].ID,
	}
}

// An outsider can't tell an unknown workspace from a foreign one: whatever
// they try, and whatever ids they know, the answer is the same.
func TestOutsiders(t *testing.T) {
	eachWorld(t, func(w *world) {
		x, stranger := w.ids(), w.stranger()
		for name, do := range everyUseCase {
			for _, slug := range []string{"acme", "globex", "unknown", "Not A Slug", "", "\x00", strings.Repeat("a", 500)} {
				err := do(w.Context(), w.Commands, domain.Actor{UserID: stranger.UserID, Workspace: slug}, x)
				w.refuses(err, domain.CodeNotFound, "")
				require.EqualError(w, err, "not_found: no such workspace", "%s in %q", name, slug)
			}
		}
	})
}

// The owner of both workspaces reaches nothing of acme's by way of globex.
func TestIDsOfAnotherTenant(t *testing.T) {
	eachWorld(t, func(w *world) {
		x := w.ids()
		before, err := w.Snapshot(w.Context(), w.as("owner"), nobodyOnline)
		require.NoError(w, err)
		for name, do := range everyUseCase {
			err := do(w.Context(), w.Commands, w.in("globex", "owner"), x)
			if slices.Contains(namesNothing, name) {
				require.NoError(w, err, name)
				continue
			}
			require.ErrorIs(w, err, domain.ErrNotFound, "%s reached another tenant's thing, or takes no id: then add it to namesNothing", name)
		}
		after, err := w.Snapshot(w.Context(), w.as("owner"), nobodyOnline)
		require.NoError(w, err)
		require.Equal(w, before, after)
	})
}

// A malformed id is nobody's: an answer like any other, not a database error.
func TestMalformedIDs(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, bad := range []string{"", " ", "\x00", "\xff", "'; drop table members; --", "../x", strings.Repeat("x", 100_000)} {
			for name, do := range everyUseCase {
				if slices.Contains(namesNothing, name) {
					continue
				}
				err := do(w.Context(), w.Commands, w.as("owner"), ids{bad, bad, bad, bad, bad, bad})
				require.ErrorIs(w, err, domain.ErrNotFound, "%s %q; if it takes no id, add it to namesNothing", name, bad)
			}
		}
		require.Empty(w, w.news())
	})
}

func TestPermissions(t *testing.T) {
	// Who of owner, admin and guest may, where the target isn't their own.
	permitted := map[string]string{
		"Snapshot": "owner admin guest", "Messages": "owner admin guest",
		"CreateRoom": "owner admin guest", "PostMessage": "owner admin guest",
		"UpdateSubscription": "owner",
		"UpdateWorkspace":    "owner admin", "AddMember": "owner admin", "Notify": "owner admin",
		"CreateRole": "owner admin", "CreateTeam": "owner admin", "UpdateTeam": "owner admin",
		"AddTeamMember": "owner admin", "RemoveTeamMember": "owner admin", "DeleteTeam": "owner admin",
		"UpdateRoom": "owner admin", "DeleteRoom": "owner admin",
		"UpdateMember": "owner admin", "RemoveMember": "owner admin",
	}
	eachWorld(t, func(w *world) {
		x := w.ids()
		for name, who := range permitted {
			target := x
			if strings.HasSuffix(name, "Member") {
				target.member = must[domain.Member](w)(w.AddMember(w.Context(), w.as("owner"), domain.NewMember{Email: strings.ToLower(name) + "@else.test"})).ID
				if name == "RemoveTeamMember" {
					must[domain.Team](w)(w.AddTeamMember(w.Context(), w.as("owner"), x.team, target.member))
				}
			}
			for _, short := range []string{"guest", "admin", "owner"} {
				err := rolledBack(w, func(c domain.Commands) error {
					return everyUseCase[name](w.Context(), c, w.as(short), target)
				})
				if strings.Contains(who, short) {
					require.NoError(w, err, "%s by %s", name, short)
				} else {
					require.Equal(w, domain.CodeForbidden, domain.CodeOf(err), "%s by %s: %v", name, short, err)
				}
			}
		}
	})
}

// rolledBack runs commands in one transaction that comes to nothing.
func rolledBack(w *world, fn func(domain.Commands) error) error {
	w.Helper()
	var result error
	_ = w.store.Write(w.Context(), func(tx domain.Tx) error {
		result = fn(domain.Commands{UoW: inside{tx}, Now: w.Now})
		return errRollBack
	})
	return result
}

type inside struct{ tx domain.Tx }

func (i inside) Read(_ context.Context, fn func(domain.Reader) error) error { return fn(i.tx) }
func (i inside) Write(_ context.Context, fn func(domain.Tx) error) error    { return fn(i.tx) }

func TestSystemRolesAreFixed(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, name := range []string{"owner", "admin", "guest"} {
			_, _, err := w.UpdateRole(w.Context(), w.as("owner"), w.role(name).ID, domain.RolePatch{Name: ptr("x")})
			w.refuses(err, domain.CodeSystemRole, "")
			_, err = w.DeleteRole(w.Context(), w.as("owner"), w.role(name).ID)
			w.refuses(err, domain.CodeSystemRole, "")
		}
		_, _, err := w.CreateRole(w.Context(), w.as("owner"), domain.NewRole{Name: "admin"})
		w.refuses(err, domain.CodeConflict, "name")
		_, _, err = w.UpdateMember(w.Context(), w.as("owner"), w.member("guest").ID, domain.MemberPatch{RoleID: ptr("role_unknown")})
		w.refuses(err, domain.CodeNotFound, "roleId")
		_, _, err = w.CreateTeam(w.Context(), w.as("owner"), domain.NewTeam{Name: "x", MemberIDs: []string{"mem_unknown"}})
		w.refuses(err, domain.CodeNotFound, "memberIds")
	})
}

func TestCorrelation(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := domain.WithCorrelation(w.Context(), "req_1")
		_, _, err := w.CreateRoom(ctx, w.as("guest"), domain.NewRoom{Name: "x"})
		require.NoError(w, err)
		require.Equal(w, map[string]string{domain.MetaCorrelationID: "req_1"}, w.news()[0].Metadata)
	})
}

func TestTraceparentTravelsWithTheEvent(t *testing.T) {
	eachWorld(t, func(w *world) {
		const span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		ctx := domain.WithTraceparent(domain.WithCorrelation(w.Context(), "req_1"), span)
		_, _, err := w.CreateRoom(ctx, w.as("guest"), domain.NewRoom{Name: "x"})
		require.NoError(w, err)
		require.Equal(w, map[string]string{domain.MetaCorrelationID: "req_1", domain.MetaTraceparent: span}, w.news()[0].Metadata)
		require.Equal(w, "0af7651916cd43dd8448eb211c80319c", domain.TraceID(span))
		require.Empty(w, domain.TraceID("nonsense"))
	})
}
