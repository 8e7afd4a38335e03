package domain_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestAddMember(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		workspace := w.workspace()

		nina, eventID, err := w.AddMember(ctx, w.as("admin"), domain.NewMember{Email: " Nina@Else.TEST "})
		require.NoError(w, err)
		w.tells(eventID, 0, told{domain.EventMemberJoined, nina.ID, domain.Changed{Version: 1}})
		require.Equal(w, "nina@else.test", nina.Email)
		require.Equal(w, "nina", nina.Name)
		require.Equal(w, w.role("guest").ID, nina.RoleID)
		require.Equal(w, domain.At(w.clock), nina.JoinedAt)
		stored, err := w.store.Reader().Member(ctx, workspace.ID, nina.ID)
		require.NoError(w, err)
		require.Equal(w, nina, stored)

		// A user whom another workspace knows keeps their identity, and may be
		// shown by another name here.
		olga := must[domain.Member](w)(w.AddMember(ctx, w.in("globex", "owner"), domain.NewMember{Email: "olga@else.test"}))
		here := must[domain.Member](w)(w.AddMember(ctx, w.as("owner"), domain.NewMember{
			Email: "olga@else.test", Name: ptr("Olga of Acme"), RoleID: ptr(w.role("owner").ID)}))
		require.Equal(w, olga.UserID, here.UserID)
		require.NotEqual(w, olga.ID, here.ID)
		require.Equal(w, "Olga of Acme", here.Name)
		require.Equal(w, w.role("owner").ID, here.RoleID)

		_, _, err = w.AddMember(ctx, w.as("admin"), domain.NewMember{Email: "NINA@else.test"})
		w.refuses(err, domain.CodeConflict, "email")
	})
}

func TestSeats(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		_, _, err := w.UpdateSubscription(ctx, w.as("owner"), domain.SubscriptionPatch{Seats: ptr(2)})
		w.refuses(err, domain.CodeSeatsBelowMembers, "seats")

		must[domain.Subscription](w)(w.UpdateSubscription(ctx, w.as("owner"), domain.SubscriptionPatch{Seats: ptr(3)}))
		_, _, err = w.AddMember(ctx, w.as("admin"), domain.NewMember{Email: "nina@else.test"})
		w.refuses(err, domain.CodeSeatsExhausted, "")
		_, err = w.store.Reader().UserByEmail(ctx, "nina@else.test")
		require.ErrorIs(w, err, domain.ErrNotFound, "a refused command leaves nothing behind")

		_, err = w.RemoveMember(ctx, w.as("owner"), w.member("guest").ID)
		require.NoError(w, err)
		_, _, err = w.AddMember(ctx, w.as("admin"), domain.NewMember{Email: "nina@else.test"})
		require.NoError(w, err)
	})
}

func TestUpdateMember(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		guest := w.member("guest")

		after, eventID, err := w.UpdateMember(ctx, w.as("guest"), guest.ID, domain.MemberPatch{Name: ptr(" Augustus ")})
		require.NoError(w, err)
		require.Equal(w, "Augustus", after.Name)
		require.Equal(w, guest.Version+1, after.Version)
		w.tells(eventID, 0, told{domain.EventMemberUpdated, guest.ID, domain.Changed{Version: after.Version}})

		same, eventID, err := w.UpdateMember(ctx, w.as("admin"), guest.ID, domain.MemberPatch{Name: ptr("Augustus"), RoleID: &guest.RoleID})
		require.NoError(w, err)
		require.Equal(w, after, same, "nothing changed, so neither does the version")
		w.tells(eventID, 0)

		both, eventID, err := w.UpdateMember(ctx, w.as("admin"), guest.ID, domain.MemberPatch{Name: ptr("Gus"), RoleID: ptr(w.role("admin").ID)})
		require.NoError(w, err)
		require.Equal(w, after.Version+1, both.Version)
		w.tells(eventID, 0, told{domain.EventMemberRoleChanged, guest.ID, domain.Changed{Version: both.Version}})
		require.Equal(w, both, w.member("guest"))
	})
}

func TestRemoveMember(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		admin, owner, team, leads := w.member("admin"), w.member("owner"), w.team(), w.room("leads")
		attic := must[domain.Room](w)(w.CreateRoom(ctx, w.as("admin"), domain.NewRoom{Name: "attic", Private: true}))
		must[domain.Message](w)(w.PostMessage(ctx, w.as("admin"), attic.ID, domain.MessageText{Body: "mine alone"}))

		eventID, err := w.RemoveMember(ctx, w.as("owner"), admin.ID)
		require.NoError(w, err)

		fromLeads := []told{{domain.EventRoomMemberRemoved, leads.ID, domain.GroupChanged{Version: leads.Version + 1, MemberID: admin.ID}}}
		fromAttic := []told{
			{domain.EventRoomMemberRemoved, attic.ID, domain.GroupChanged{Version: 2, MemberID: admin.ID}},
			{domain.EventRoomDeleted, attic.ID, domain.RoomDeleted{Version: 3, Private: true, MemberIDs: []string{}}},
		}
		rooms := append(fromLeads, fromAttic...)
		if attic.ID < leads.ID {
			rooms = append(fromAttic, fromLeads...)
		}
		want := []told{{domain.EventTeamMemberRemoved, team.ID, domain.GroupChanged{Version: team.Version + 1, MemberID: admin.ID}}}
		want = append(want, rooms...)
		want = append(want, told{domain.EventMemberRemoved, admin.ID, domain.Changed{Version: admin.Version + 1}})
		w.tells(eventID, len(want)-1, want...)

		read := w.store.Reader()
		_, err = read.Member(ctx, admin.WorkspaceID, admin.ID)
		require.ErrorIs(w, err, domain.ErrNotFound)
		_, err = read.Room(ctx, admin.WorkspaceID, attic.ID)
		require.ErrorIs(w, err, domain.ErrNotFound)
		require.Equal(w, []string{owner.ID}, w.room("leads").MemberIDs)
		require.Equal(w, []string{w.member("guest").ID}, w.team().MemberIDs)
	})
}

func TestLeaving(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		_, err := w.RemoveMember(ctx, w.as("owner"), w.member("owner").ID)
		w.refuses(err, domain.CodeLastOwner, "")

		guest := w.as("guest")
		_, err = w.RemoveMember(ctx, guest, w.member("guest").ID)
		require.NoError(w, err)
		w.news()
		_, err = w.Snapshot(ctx, guest, nobodyOnline)
		w.refuses(err, domain.CodeNotFound, "")

		must[domain.Member](w)(w.UpdateMember(ctx, w.as("owner"), w.member("admin").ID, domain.MemberPatch{RoleID: ptr(w.role("owner").ID)}))
		_, err = w.RemoveMember(ctx, w.as("owner"), w.member("owner").ID)
		require.NoError(w, err, "another owner is there now")
	})
}

// Two owners who demote each other at the same moment both see the other one
// still there. Only a lock on the workspace keeps the last owner.
func TestOwnersWhoDemoteEachOther(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		must[domain.Member](w)(w.UpdateMember(ctx, w.as("owner"), w.member("admin").ID, domain.MemberPatch{RoleID: ptr(w.role("owner").ID)}))
		owner, admin := w.as("owner"), w.as("admin")
		ownerID, adminID, guestRole := w.member("owner").ID, w.member("admin").ID, w.role("guest").ID

		errs := atOnce(2, func(i int) error {
			by, whom := owner, adminID
			if i == 1 {
				by, whom = admin, ownerID
			}
			_, _, err := w.UpdateMember(ctx, by, whom, domain.MemberPatch{RoleID: &guestRole})
			return err
		})
		// The loser isn't an owner anymore when their turn comes.
		codes := map[domain.Code]int{}
		for _, err := range errs {
			if err == nil {
				codes[""]++
			} else {
				codes[domain.CodeOf(err)]++
			}
		}
		require.Equal(w, map[domain.Code]int{"": 1, domain.CodeForbidden: 1}, codes)
		require.Len(w, w.news(), 1)
	})
}

// Owners who all leave at once: the last one must stay.
func TestOwnersWhoLeaveAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		for _, short := range []string{"admin", "guest"} {
			must[domain.Member](w)(w.UpdateMember(ctx, w.as("owner"), w.member(short).ID, domain.MemberPatch{RoleID: ptr(w.role("owner").ID)}))
		}
		shorts := []string{"owner", "admin", "guest"}
		actors, ids := make([]domain.Actor, 3), make([]string, 3)
		for i, short := range shorts {
			actors[i], ids[i] = w.as(short), w.member(short).ID
		}
		errs := atOnce(3, func(i int) error {
			_, err := w.RemoveMember(ctx, actors[i], ids[i])
			return err
		})
		refused := 0
		for _, err := range errs {
			if err != nil {
				require.Equal(w, domain.CodeLastOwner, domain.CodeOf(err), err)
				refused++
			}
		}
		require.Equal(w, 1, refused)
	})
}

func TestSeatGrab(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		must[domain.Subscription](w)(w.UpdateSubscription(ctx, w.as("owner"), domain.SubscriptionPatch{Seats: ptr(5)}))
		admin := w.as("admin")
		errs := atOnce(8, func(i int) error {
			_, _, err := w.AddMember(ctx, admin, domain.NewMember{Email: string(rune('a'+i)) + "@else.test"})
			return err
		})
		joined := 0
		for _, err := range errs {
			if err == nil {
				joined++
				continue
			}
			require.Equal(w, domain.CodeSeatsExhausted, domain.CodeOf(err), err)
		}
		require.Equal(w, 2, joined)
		members, err := w.store.Reader().Members(ctx, w.workspace().ID)
		require.NoError(w, err)
		require.Len(w, members, 5)
		require.Len(w, w.news(), 2)
	})
}

// Two workspaces may invite somebody nobody knows yet at the same moment: no
// workspace's lock covers the user, and neither invitation may fail for it.
func TestSameNewUserInTwoWorkspaces(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		actors := []domain.Actor{w.as("owner"), w.in("globex", "owner")}
		members := make([]domain.Member, 2)
		for _, err := range atOnce(2, func(i int) (err error) {
			members[i], _, err = w.AddMember(ctx, actors[i], domain.NewMember{Email: "nina@else.test"})
			return err
		}) {
			require.NoError(w, err)
		}
		require.Equal(w, members[0].UserID, members[1].UserID)
	})
}

// atOnce runs fn n times side by side and returns what each said.
func atOnce(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			errs[i] = fn(i)
		})
	}
	done.Wait()
	return errs
}

func nobodyOnline(string) []string { return []string{} }
