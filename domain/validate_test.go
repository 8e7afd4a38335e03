package domain_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// untouchable fails the test when a command goes to the database.
type untouchable struct{ t *testing.T }

func (u untouchable) Read(context.Context, func(domain.Reader) error) error {
	u.t.Error("went to the database")
	return nil
}

func (u untouchable) Write(context.Context, func(domain.Tx) error) error {
	u.t.Error("went to the database")
	return nil
}

// Bad input is refused at the edge, with the field to blame.
func TestBadInput(t *testing.T) {
	var by domain.Actor
	ctx := t.Context()
	long := strings.Repeat("ü", 81)
	for name, test := range map[string]struct {
		field string
		do    func(c domain.Commands) error
	}{
		"no e-mail":        {"email", func(c domain.Commands) error { return last(c.AddMember(ctx, by, domain.NewMember{})) }},
		"e-mail without @": {"email", func(c domain.Commands) error { return last(c.AddMember(ctx, by, domain.NewMember{Email: "nina"})) }},
		"e-mail with a name": {"email", func(c domain.Commands) error {
			return last(c.AddMember(ctx, by, domain.NewMember{Email: "Nina <nina@else.test>"}))
		}},
		"e-mail of two": {"email", func(c domain.Commands) error {
			return last(c.AddMember(ctx, by, domain.NewMember{Email: "a@else.test, b@else.test"}))
		}},
		"e-mail with a line break": {"email", func(c domain.Commands) error {
			return last(c.AddMember(ctx, by, domain.NewMember{Email: "a@else.test\nBcc: b@else.test"}))
		}},
		"e-mail too long": {"email", func(c domain.Commands) error {
			return last(c.AddMember(ctx, by, domain.NewMember{Email: strings.Repeat("a", 245) + "@else.test"}))
		}},
		"e-mail too long in bytes": {"email", func(c domain.Commands) error {
			return last(c.AddMember(ctx, by, domain.NewMember{Email: strings.Repeat("ü", 130) + "@else.test"}))
		}},
		"empty name": {"name", func(c domain.Commands) error {
			return last(c.AddMember(ctx, by, domain.NewMember{Email: "a@else.test", Name: ptr("")}))
		}},
		"blank name":     {"name", func(c domain.Commands) error { return last(c.CreateTeam(ctx, by, domain.NewTeam{Name: " \t "})) }},
		"long name":      {"name", func(c domain.Commands) error { return last(c.CreateRoom(ctx, by, domain.NewRoom{Name: long})) }},
		"NUL in a name":  {"name", func(c domain.Commands) error { return last(c.CreateRoom(ctx, by, domain.NewRoom{Name: "a\x00b"})) }},
		"name not UTF-8": {"name", func(c domain.Commands) error { return last(c.CreateRoom(ctx, by, domain.NewRoom{Name: "a\xffb"})) }},
		"member's name": {"name", func(c domain.Commands) error {
			return last(c.UpdateMember(ctx, by, "mem_1", domain.MemberPatch{Name: &long}))
		}},
		"team's name": {"name", func(c domain.Commands) error {
			return last(c.UpdateTeam(ctx, by, "team_1", domain.TeamPatch{Name: &long}))
		}},
		"room's name": {"name", func(c domain.Commands) error {
			return last(c.UpdateRoom(ctx, by, "room_1", domain.RoomPatch{Name: &long}))
		}},
		"role's name": {"name", func(c domain.Commands) error {
			return last(c.UpdateRole(ctx, by, "role_1", domain.RolePatch{Name: &long}))
		}},
		"new role's name": {"name", func(c domain.Commands) error { return last(c.CreateRole(ctx, by, domain.NewRole{Name: long})) }},
		"unknown permission": {"permissions", func(c domain.Commands) error {
			return last(c.CreateRole(ctx, by, domain.NewRole{Name: "x", Permissions: []domain.Permission{"all"}}))
		}},
		"unknown permission later": {"permissions", func(c domain.Commands) error {
			return last(c.UpdateRole(ctx, by, "role_1", domain.RolePatch{Permissions: &[]domain.Permission{""}}))
		}},
		"slug with capitals": {"slug", func(c domain.Commands) error {
			return last(c.UpdateWorkspace(ctx, by, domain.WorkspacePatch{Slug: ptr("Acme")}))
		}},
		"slug ends in a dash": {"slug", func(c domain.Commands) error {
			return last(c.UpdateWorkspace(ctx, by, domain.WorkspacePatch{Slug: ptr("acme-")}))
		}},
		"slug with a line break": {"slug", func(c domain.Commands) error {
			return last(c.UpdateWorkspace(ctx, by, domain.WorkspacePatch{Slug: ptr("acme\n")}))
		}},
		"slug too long": {"slug", func(c domain.Commands) error {
			return last(c.UpdateWorkspace(ctx, by, domain.WorkspacePatch{Slug: ptr(strings.Repeat("a", 41))}))
		}},
		"workspace's name": {"name", func(c domain.Commands) error {
			return last(c.UpdateWorkspace(ctx, by, domain.WorkspacePatch{Name: &long}))
		}},
		"no seats": {"seats", func(c domain.Commands) error {
			return last(c.UpdateSubscription(ctx, by, domain.SubscriptionPatch{Seats: ptr(0)}))
		}},
		"many seats": {"seats", func(c domain.Commands) error {
			return last(c.UpdateSubscription(ctx, by, domain.SubscriptionPatch{Seats: ptr(10_001)}))
		}},
		"unknown status": {"status", func(c domain.Commands) error {
			return last(c.UpdateSubscription(ctx, by, domain.SubscriptionPatch{Status: ptr(domain.SubscriptionStatus("gone"))}))
		}},
		"long plan": {"plan", func(c domain.Commands) error {
			return last(c.UpdateSubscription(ctx, by, domain.SubscriptionPatch{Plan: ptr(strings.Repeat("p", 41))}))
		}},
		"empty body": {"body", func(c domain.Commands) error { return last(c.PostMessage(ctx, by, "room_1", domain.MessageText{})) }},
		"blank body": {"body", func(c domain.Commands) error {
			return last(c.PostMessage(ctx, by, "room_1", domain.MessageText{Body: "\n "}))
		}},
		"long body": {"body", func(c domain.Commands) error {
			return last(c.EditMessage(ctx, by, "room_1", "msg_1", domain.MessageText{Body: strings.Repeat("ü", 4001)}))
		}},
		"NUL in a body": {"body", func(c domain.Commands) error {
			return last(c.PostMessage(ctx, by, "room_1", domain.MessageText{Body: "a\x00"}))
		}},
		"body not UTF-8": {"body", func(c domain.Commands) error {
			return last(c.PostMessage(ctx, by, "room_1", domain.MessageText{Body: "a\xff"}))
		}},
		"no title": {"title", func(c domain.Commands) error {
			return last(c.Notify(ctx, by, "mem_1", domain.NewNotification{Body: "b"}))
		}},
		"long title": {"title", func(c domain.Commands) error {
			return last(c.Notify(ctx, by, "mem_1", domain.NewNotification{Title: strings.Repeat("t", 121), Body: "b"}))
		}},
		"title of two lines": {"title", func(c domain.Commands) error {
			return last(c.Notify(ctx, by, "mem_1", domain.NewNotification{Title: "a\nb", Body: "b"}))
		}},
		"page of nothing":   {"limit", func(c domain.Commands) error { return only(c.Messages(ctx, by, "room_1", "", 0)) }},
		"page of too much":  {"limit", func(c domain.Commands) error { return only(c.Messages(ctx, by, "room_1", "", 201)) }},
		"malformed page id": {"before", func(c domain.Commands) error { return only(c.Messages(ctx, by, "room_1", "a b", 1)) }},
		"sign in as nobody": {"email", func(c domain.Commands) error { return only(c.SignIn(ctx, "", nil)) }},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.do(domain.Commands{UoW: untouchable{t}})
			var coded *domain.Error
			require.ErrorAs(t, err, &coded)
			require.Equal(t, domain.CodeInvalid, coded.Code)
			require.Equal(t, test.field, coded.Field)
		})
	}
}

func TestLimitsAreInclusive(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx, admin := w.Context(), w.as("admin")
		room := must[domain.Room](w)(w.CreateRoom(ctx, admin, domain.NewRoom{Name: "  " + strings.Repeat("ü", 80) + "  "}))
		require.Equal(w, strings.Repeat("ü", 80), room.Name)
		body := strings.Repeat("😀", 4000)
		message := must[domain.Message](w)(w.PostMessage(ctx, admin, room.ID, domain.MessageText{Body: body}))
		require.Equal(w, body, message.Body)
		must[domain.Notification](w)(w.Notify(ctx, admin, w.member("guest").ID,
			domain.NewNotification{Title: strings.Repeat("t", 120), Body: body}))
		must[domain.Member](w)(w.AddMember(ctx, admin,
			domain.NewMember{Email: strings.Repeat("a", 240) + "@else.test", Name: ptr("A")}))
		must[domain.Subscription](w)(w.UpdateSubscription(ctx, w.as("owner"),
			domain.SubscriptionPatch{Plan: ptr(strings.Repeat("p", 40)), Seats: ptr(10_000)}))
		must[domain.Workspace](w)(w.UpdateWorkspace(ctx, admin, domain.WorkspacePatch{Slug: ptr(strings.Repeat("a", 40))}))
	})
}
