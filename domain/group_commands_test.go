package domain_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestRoles(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		role, eventID, err := w.CreateRole(ctx, w.as("admin"), domain.NewRole{
			Name:        "helper",
			Permissions: []domain.Permission{domain.PermTeamsManage, domain.PermMembersNotify, domain.PermTeamsManage},
		})
		require.NoError(w, err)
		require.Equal(w, []domain.Permission{domain.PermMembersNotify, domain.PermTeamsManage}, role.Permissions, "sorted, each once")
		require.False(w, role.System)
		w.tells(eventID, 0, told{domain.EventRoleCreated, role.ID, domain.Changed{Version: 1}})

		_, _, err = w.UpdateRole(ctx, w.as("guest"), role.ID, domain.RolePatch{Name: ptr("x")})
		w.refuses(err, domain.CodeForbidden, "")
		_, err = w.DeleteRole(ctx, w.as("guest"), role.ID)
		w.refuses(err, domain.CodeForbidden, "")

		same, eventID, err := w.UpdateRole(ctx, w.as("admin"), role.ID, domain.RolePatch{Name: ptr("helper"), Permissions: &role.Permissions})
		require.NoError(w, err)
		require.Equal(w, role, same)
		w.tells(eventID, 0)

		changed, eventID, err := w.UpdateRole(ctx, w.as("admin"), role.ID, domain.RolePatch{Permissions: &[]domain.Permission{}})
		require.NoError(w, err)
		require.Empty(w, changed.Permissions)
		w.tells(eventID, 0, told{domain.EventRoleUpdated, role.ID, domain.Changed{Version: 2}})
		require.Equal(w, changed, w.role("helper"))

		must[domain.Member](w)(w.UpdateMember(ctx, w.as("admin"), w.member("guest").ID, domain.MemberPatch{RoleID: &role.ID}))
		_, err = w.DeleteRole(ctx, w.as("admin"), role.ID)
		w.refuses(err, domain.CodeRoleInUse, "")
		must[domain.Member](w)(w.UpdateMember(ctx, w.as("admin"), w.member("guest").ID, domain.MemberPatch{RoleID: ptr(w.role("guest").ID)}))
		eventID, err = w.DeleteRole(ctx, w.as("admin"), role.ID)
		require.NoError(w, err)
		w.tells(eventID, 0, told{domain.EventRoleDeleted, role.ID, domain.Changed{Version: 3}})
	})
}

// A role that has more than the actor's own may be renamed or cut down by
// them, but nothing they lack may be added to it, and nobody gets it from them.
func TestNobodyGrantsWhatTheyLack(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		billing := []domain.Permission{domain.PermBillingManage, domain.PermTeamsManage}
		cashier := must[domain.Role](w)(w.CreateRole(ctx, w.as("owner"), domain.NewRole{Name: "cashier", Permissions: billing}))
		plain := must[domain.Role](w)(w.CreateRole(ctx, w.as("owner"), domain.NewRole{Name: "plain"}))

		_, _, err := w.CreateRole(ctx, w.as("admin"), domain.NewRole{Name: "mine", Permissions: billing})
		w.refuses(err, domain.CodeForbidden, "")
		_, _, err = w.UpdateRole(ctx, w.as("admin"), plain.ID, domain.RolePatch{Permissions: &billing})
		w.refuses(err, domain.CodeForbidden, "")
		_, _, err = w.UpdateMember(ctx, w.as("admin"), w.member("guest").ID, domain.MemberPatch{RoleID: &cashier.ID})
		w.refuses(err, domain.CodeForbidden, "")
		_, _, err = w.AddMember(ctx, w.as("admin"), domain.NewMember{Email: "nina@else.test", RoleID: &cashier.ID})
		w.refuses(err, domain.CodeForbidden, "")

		must[domain.Role](w)(w.UpdateRole(ctx, w.as("admin"), cashier.ID, domain.RolePatch{Name: ptr("till")}))
		must[domain.Role](w)(w.UpdateRole(ctx, w.as("admin"), cashier.ID, domain.RolePatch{Permissions: &[]domain.Permission{domain.PermBillingManage}}))
	})
}

// A custom role with every permission is still not an owner's.
func TestOnlyOwnersMakeAndUnmakeOwners(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		all := must[domain.Role](w)(w.CreateRole(ctx, w.as("owner"), domain.NewRole{Name: "deputy", Permissions: domain.Permissions}))
		must[domain.Member](w)(w.UpdateMember(ctx, w.as("owner"), w.member("admin").ID, domain.MemberPatch{RoleID: &all.ID}))

		owner := w.role("owner").ID
		_, _, err := w.UpdateMember(ctx, w.as("admin"), w.member("admin").ID, domain.MemberPatch{RoleID: &owner})
		w.refuses(err, domain.CodeForbidden, "")
		_, _, err = w.AddMember(ctx, w.as("admin"), domain.NewMember{Email: "nina@else.test", RoleID: &owner})
		w.refuses(err, domain.CodeForbidden, "")
		_, _, err = w.UpdateMember(ctx, w.as("admin"), w.member("owner").ID, domain.MemberPatch{RoleID: ptr(w.role("guest").ID)})
		w.refuses(err, domain.CodeForbidden, "")
		_, err = w.RemoveMember(ctx, w.as("admin"), w.member("owner").ID)
		w.refuses(err, domain.CodeForbidden, "")
	})
}

func TestTeams(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		guest, admin := w.member("guest").ID, w.member("admin").ID
		team, eventID, err := w.CreateTeam(ctx, w.as("admin"), domain.NewTeam{Name: "Ops", MemberIDs: []string{guest, guest}})
		require.NoError(w, err)
		require.Equal(w, []string{guest}, team.MemberIDs)
		w.tells(eventID, 0, told{domain.EventTeamCreated, team.ID, domain.Changed{Version: 1}})

		team, eventID, err = w.AddTeamMember(ctx, w.as("admin"), team.ID, admin)
		require.NoError(w, err)
		require.True(w, slices.IsSorted(team.MemberIDs))
		require.ElementsMatch(w, []string{admin, guest}, team.MemberIDs)
		w.tells(eventID, 0, told{domain.EventTeamMemberAdded, team.ID, domain.GroupChanged{Version: 2, MemberID: admin}})

		again, eventID, err := w.AddTeamMember(ctx, w.as("admin"), team.ID, admin)
		require.NoError(w, err)
		require.Equal(w, team, again)
		w.tells(eventID, 0)

		eventID, err = w.RemoveTeamMember(ctx, w.as("admin"), team.ID, guest)
		require.NoError(w, err)
		w.tells(eventID, 0, told{domain.EventTeamMemberRemoved, team.ID, domain.GroupChanged{Version: 3, MemberID: guest}})
		_, err = w.RemoveTeamMember(ctx, w.as("admin"), team.ID, guest)
		w.refuses(err, domain.CodeNotFound, "")

		team, eventID, err = w.UpdateTeam(ctx, w.as("admin"), team.ID, domain.TeamPatch{Name: ptr("Operations")})
		require.NoError(w, err)
		require.Equal(w, []string{admin}, team.MemberIDs)
		w.tells(eventID, 0, told{domain.EventTeamUpdated, team.ID, domain.Changed{Version: 4}})
		_, eventID, err = w.UpdateTeam(ctx, w.as("admin"), team.ID, domain.TeamPatch{})
		require.NoError(w, err)
		w.tells(eventID, 0)

		eventID, err = w.DeleteTeam(ctx, w.as("admin"), team.ID)
		require.NoError(w, err)
		w.tells(eventID, 0, told{domain.EventTeamDeleted, team.ID, domain.Changed{Version: 5}})
	})
}

func TestOpenRooms(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		room, eventID, err := w.CreateRoom(ctx, w.as("guest"), domain.NewRoom{Name: "lunch"})
		require.NoError(w, err)
		require.Equal(w, []string{}, room.MemberIDs)
		w.tells(eventID, 0, told{domain.EventRoomCreated, room.ID, domain.Changed{Version: 1}})

		_, _, err = w.UpdateRoom(ctx, w.as("guest"), room.ID, domain.RoomPatch{Name: ptr("dinner")})
		w.refuses(err, domain.CodeForbidden, "")
		_, err = w.DeleteRoom(ctx, w.as("guest"), room.ID)
		w.refuses(err, domain.CodeForbidden, "")

		room, eventID, err = w.UpdateRoom(ctx, w.as("admin"), room.ID, domain.RoomPatch{Name: ptr("dinner"), Private: ptr(false)})
		require.NoError(w, err)
		w.tells(eventID, 0, told{domain.EventRoomUpdated, room.ID, domain.Changed{Version: 2}})
		same, eventID, err := w.UpdateRoom(ctx, w.as("admin"), room.ID, domain.RoomPatch{Name: ptr("dinner")})
		require.NoError(w, err)
		require.Equal(w, room, same)
		w.tells(eventID, 0)

		_, _, err = w.UpdateRoom(ctx, w.as("admin"), room.ID, domain.RoomPatch{Private: ptr(true)})
		w.refuses(err, domain.CodeUnprocessable, "private")
		_, _, err = w.CreateRoom(ctx, w.as("guest"), domain.NewRoom{Name: "x", MemberIDs: []string{w.member("admin").ID}})
		w.refuses(err, domain.CodeUnprocessable, "memberIds")
		_, _, err = w.AddRoomMember(ctx, w.as("admin"), room.ID, w.member("guest").ID)
		w.refuses(err, domain.CodeUnprocessable, "")
		_, err = w.RemoveRoomMember(ctx, w.as("admin"), room.ID, w.member("guest").ID)
		w.refuses(err, domain.CodeUnprocessable, "")

		eventID, err = w.DeleteRoom(ctx, w.as("admin"), room.ID)
		require.NoError(w, err)
		w.tells(eventID, 0, told{domain.EventRoomDeleted, room.ID, domain.RoomDeleted{Version: 3, MemberIDs: []string{}}})
	})
}

func TestPrivateRooms(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		owner, admin, guest := w.member("owner").ID, w.member("admin").ID, w.member("guest").ID
		room, eventID, err := w.CreateRoom(ctx, w.as("guest"), domain.NewRoom{Name: "plot", Private: true})
		require.NoError(w, err)
		require.Equal(w, []string{guest}, room.MemberIDs, "whoever makes it is in it")
		w.tells(eventID, 0, told{domain.EventRoomCreated, room.ID, domain.Changed{Version: 1}})

		// The owner has every permission, and still there is no such room.
		for name, do := range map[string]func(by domain.Actor) error{
			"rename": func(by domain.Actor) error {
				_, _, err := w.UpdateRoom(ctx, by, room.ID, domain.RoomPatch{Name: ptr("x")})
				return err
			},
			"delete": func(by domain.Actor) error { _, err := w.DeleteRoom(ctx, by, room.ID); return err },
			"invite": func(by domain.Actor) error { _, _, err := w.AddRoomMember(ctx, by, room.ID, owner); return err },
			"expel":  func(by domain.Actor) error { _, err := w.RemoveRoomMember(ctx, by, room.ID, guest); return err },
			"read":   func(by domain.Actor) error { _, err := w.Messages(ctx, by, room.ID, "", 10); return err },
			"post": func(by domain.Actor) error {
				_, _, err := w.PostMessage(ctx, by, room.ID, domain.MessageText{Body: "x"})
				return err
			},
		} {
			w.refuses(do(w.as("owner")), domain.CodeNotFound, "")
			require.EqualError(w, do(w.as("owner")), "not_found: no such room", name)
		}

		room, eventID, err = w.AddRoomMember(ctx, w.as("guest"), room.ID, admin)
		require.NoError(w, err)
		w.tells(eventID, 0, told{domain.EventRoomMemberAdded, room.ID, domain.GroupChanged{Version: 2, MemberID: admin}})
		again, eventID, err := w.AddRoomMember(ctx, w.as("guest"), room.ID, admin)
		require.NoError(w, err)
		require.Equal(w, room, again)
		w.tells(eventID, 0)
		must[domain.Room](w)(w.UpdateRoom(ctx, w.as("guest"), room.ID, domain.RoomPatch{Name: ptr("plan")}))

		eventID, err = w.RemoveRoomMember(ctx, w.as("guest"), room.ID, guest)
		require.NoError(w, err)
		w.tells(eventID, 0, told{domain.EventRoomMemberRemoved, room.ID, domain.GroupChanged{Version: 4, MemberID: guest}})
		_, err = w.RemoveRoomMember(ctx, w.as("admin"), room.ID, guest)
		w.refuses(err, domain.CodeNotFound, "")

		eventID, err = w.RemoveRoomMember(ctx, w.as("admin"), room.ID, admin)
		require.NoError(w, err)
		w.tells(eventID, 0,
			told{domain.EventRoomMemberRemoved, room.ID, domain.GroupChanged{Version: 5, MemberID: admin}},
			told{domain.EventRoomDeleted, room.ID, domain.RoomDeleted{Version: 6, Private: true, MemberIDs: []string{}}})

		leads := w.room("leads")
		eventID, err = w.DeleteRoom(ctx, w.as("admin"), leads.ID)
		require.NoError(w, err)
		w.tells(eventID, 0, told{domain.EventRoomDeleted, leads.ID,
			domain.RoomDeleted{Version: leads.Version + 1, Private: true, MemberIDs: leads.MemberIDs}})
	})
}

func TestMessages(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		room, guest := w.room("random"), w.member("guest")
		said, eventID, err := w.PostMessage(ctx, w.as("guest"), room.ID, domain.MessageText{Body: "  two\n\tlines "})
		require.NoError(w, err)
		require.Equal(w, "  two\n\tlines ", said.Body, "kept as typed")
		require.Equal(w, guest.ID, said.AuthorID)
		require.Nil(w, said.EditedAt)
		w.tells(eventID, 0, told{domain.EventMessagePosted, said.ID, domain.MessageChanged{Version: 1, RoomID: room.ID}})

		_, _, err = w.EditMessage(ctx, w.as("owner"), room.ID, said.ID, domain.MessageText{Body: "not mine"})
		w.refuses(err, domain.CodeForbidden, "")
		same, eventID, err := w.EditMessage(ctx, w.as("guest"), room.ID, said.ID, domain.MessageText{Body: said.Body})
		require.NoError(w, err)
		require.Equal(w, said, same)
		w.tells(eventID, 0)

		w.clock = w.clock.Add(time.Minute)
		edited, eventID, err := w.EditMessage(ctx, w.as("guest"), room.ID, said.ID, domain.MessageText{Body: "one line"})
		require.NoError(w, err)
		require.Equal(w, domain.At(w.clock), *edited.EditedAt)
		require.Equal(w, said.PostedAt, edited.PostedAt)
		w.tells(eventID, 0, told{domain.EventMessageEdited, said.ID, domain.MessageChanged{Version: 2, RoomID: room.ID}})

		page, err := w.Messages(ctx, w.as("admin"), room.ID, "", 10)
		require.NoError(w, err)
		require.Equal(w, []domain.Message{edited}, page)

		// A message is found in its own room alone.
		_, err = w.DeleteMessage(ctx, w.as("guest"), w.room("general").ID, said.ID)
		w.refuses(err, domain.CodeNotFound, "")
		eventID, err = w.DeleteMessage(ctx, w.as("admin"), room.ID, said.ID)
		require.NoError(w, err, "rooms.manage deletes what others said")
		w.tells(eventID, 0, told{domain.EventMessageDeleted, said.ID, domain.MessageChanged{Version: 3, RoomID: room.ID}})

		others := must[domain.Message](w)(w.PostMessage(ctx, w.as("admin"), room.ID, domain.MessageText{Body: "hi"}))
		_, err = w.DeleteMessage(ctx, w.as("guest"), room.ID, others.ID)
		w.refuses(err, domain.CodeForbidden, "")
	})
}

// Who has left a private room can't touch what they said there, or reach a
// message in it by way of a room they can read.
func TestMessagesOfARoomLeft(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		leads := w.room("leads")
		said := must[domain.Message](w)(w.PostMessage(ctx, w.as("admin"), leads.ID, domain.MessageText{Body: "secret"}))
		_, err := w.RemoveRoomMember(ctx, w.as("admin"), leads.ID, w.member("admin").ID)
		require.NoError(w, err)
		w.news()
		for _, room := range []string{leads.ID, w.room("general").ID} {
			_, _, err = w.EditMessage(ctx, w.as("admin"), room, said.ID, domain.MessageText{Body: "x"})
			w.refuses(err, domain.CodeNotFound, "")
			_, err = w.DeleteMessage(ctx, w.as("admin"), room, said.ID)
			w.refuses(err, domain.CodeNotFound, "")
		}
	})
}
