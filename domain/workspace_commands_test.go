package domain_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

func TestUpdateWorkspace(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		before := w.workspace()
		_, _, err := w.UpdateWorkspace(ctx, w.as("owner"), domain.WorkspacePatch{Slug: ptr("globex")})
		w.refuses(err, domain.CodeConflict, "slug")

		_, eventID, err := w.UpdateWorkspace(ctx, w.as("admin"), domain.WorkspacePatch{Slug: ptr("acme")})
		require.NoError(w, err)
		w.tells(eventID, 0)

		after, eventID, err := w.UpdateWorkspace(ctx, w.as("admin"), domain.WorkspacePatch{Name: ptr("Acme & Daughters")})
		require.NoError(w, err)
		require.Equal(w, before.Version+1, after.Version)
		w.tells(eventID, 0, told{domain.EventWorkspaceUpdated, before.ID, domain.Changed{Version: after.Version}})
		require.Equal(w, after, w.workspace())

		must[domain.Workspace](w)(w.UpdateWorkspace(ctx, w.as("admin"), domain.WorkspacePatch{Slug: ptr("acme-2")}))
		_, err = w.Snapshot(ctx, w.as("admin"), nobodyOnline)
		require.ErrorIs(w, err, domain.ErrNotFound, "the old slug leads nowhere")
		_, err = w.Snapshot(ctx, w.in("acme-2", "admin"), nobodyOnline)
		require.NoError(w, err)
	})
}

func TestUpdateSubscription(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		snap, err := w.Snapshot(ctx, w.as("owner"), nobodyOnline)
		require.NoError(w, err)
		before := snap.Subscription

		_, _, err = w.UpdateSubscription(ctx, w.as("admin"), domain.SubscriptionPatch{Plan: ptr("free")})
		w.refuses(err, domain.CodeForbidden, "")

		after, eventID, err := w.UpdateSubscription(ctx, w.as("owner"), domain.SubscriptionPatch{
			Plan: ptr(" enterprise "), Seats: ptr(3), Status: ptr(domain.SubscriptionPastDue)})
		require.NoError(w, err)
		require.Equal(w, "enterprise", after.Plan)
		require.Equal(w, 3, after.Seats)
		require.Equal(w, domain.SubscriptionPastDue, after.Status)
		require.Equal(w, before.RenewsAt, after.RenewsAt)
		w.tells(eventID, 0, told{domain.EventSubscriptionUpdated, before.ID, domain.Changed{Version: before.Version + 1}})

		_, eventID, err = w.UpdateSubscription(ctx, w.as("owner"), domain.SubscriptionPatch{Seats: ptr(3)})
		require.NoError(w, err)
		w.tells(eventID, 0)
	})
}

func TestNotify(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		sent, eventID, err := w.Notify(ctx, w.as("admin"), w.member("guest").ID, domain.NewNotification{Title: " Lunch ", Body: "It is ready."})
		require.NoError(w, err)
		require.Equal(w, "Lunch", sent.Title)
		w.tells(eventID, 0, told{domain.EventMemberNotified, sent.ID, domain.Changed{Version: 1}})
		stored, err := w.store.Reader().Notification(ctx, w.workspace().ID, sent.ID)
		require.NoError(w, err)
		require.Equal(w, sent, stored)
	})
}

func TestSessions(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		hash := sha256.Sum256([]byte("token"))
		session, err := w.DemoSignIn(ctx, "guest", hash[:])
		require.NoError(w, err)
		require.Equal(w, w.as("guest").UserID, session.UserID)
		require.Equal(w, 30*24*time.Hour, session.ExpiresAt.Sub(session.CreatedAt))
		stored, err := w.store.Reader().SessionByToken(ctx, hash[:])
		require.NoError(w, err)
		require.Equal(w, session.ID, stored.ID)

		require.NoError(w, w.SignOut(ctx, session.ID))
		require.NoError(w, w.SignOut(ctx, session.ID), "twice is once")
		_, err = w.store.Reader().SessionByToken(ctx, hash[:])
		require.ErrorIs(w, err, domain.ErrNotFound)

		_, err = w.SignIn(ctx, "nobody@else.test", hash[:])
		w.refuses(err, domain.CodeUnauthenticated, "")
		_, err = w.DemoSignIn(ctx, "root", hash[:])
		w.refuses(err, domain.CodeInvalid, "user")
	})
}

// A badge tells that something is there: it is for those who may know.
func TestSnapshotTellsWhatIsStale(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		snap, err := w.Snapshot(ctx, w.as("owner"), nobodyOnline)
		require.NoError(t, err)
		require.Equal(t, []domain.Stale{}, snap.Stale, "a list, never null")
		den, _, err := w.CreateRoom(ctx, w.as("admin"), domain.NewRoom{Name: "Den", Private: true})
		require.NoError(t, err)
		guest, err := w.Snapshot(ctx, w.as("guest"), nobodyOnline)
		require.NoError(t, err)

		id := snap.Workspace.ID
		causes := map[string]string{}
		var failed []domain.Poison
		for what, told := range map[string]domain.Channel{
			"all": domain.WorkspaceChannel(id), "guest": domain.MemberChannel(guest.Me.MemberID), "den": domain.RoomChannel(den.ID), "gone": "room:gone",
		} {
			ev := domain.NewEvent(domain.EventMemberUpdated, id, what, domain.Changed{Version: 1})
			causes[what] = ev.ID
			failed = append(failed, domain.Poison{ID: domain.NewID("psn"), Event: ev, Told: []domain.Channel{told}})
		}
		_, err = w.store.CommitEffects(ctx, store.Effects{Topic: store.Topic, Poisoned: failed})
		require.NoError(t, err)
		for who, want := range map[string][]string{"owner": {"all"}, "admin": {"all", "den"}, "guest": {"all", "guest"}} {
			snap, err := w.Snapshot(ctx, w.as(who), nobodyOnline)
			require.NoError(t, err)
			got := map[string]string{}
			for _, s := range snap.Stale {
				require.Equal(t, "member", s.Kind)
				got[s.Aggregate] = s.Cause
			}
			require.Len(t, got, len(want), who)
			for _, what := range want {
				require.Equal(t, causes[what], got[what], who)
			}
		}
		elsewhere, err := w.Snapshot(ctx, w.in("globex", "owner"), nobodyOnline)
		require.NoError(t, err)
		require.Empty(t, elsewhere.Stale)
	})
}

func TestSnapshot(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		online := func(id string) []string {
			require.Equal(w, w.workspace().ID, id)
			return []string{w.member("owner").ID}
		}
		snap, err := w.Snapshot(ctx, w.as("guest"), online)
		require.NoError(w, err)
		require.Equal(w, w.workspace(), snap.Workspace)
		require.Equal(w, w.member("guest").ID, snap.Me.MemberID)
		require.Len(w, snap.Members, 3)
		require.Len(w, snap.Roles, 3)
		require.Len(w, snap.Teams, 1)
		require.Equal(w, 25, snap.Subscription.Seats)
		require.Equal(w, []string{w.member("owner").ID}, snap.Presence)
		_, err = domain.ParsePosition(snap.Position)
		require.NoError(w, err)

		names := func(rooms []domain.Room) (out []string) {
			for _, r := range rooms {
				out = append(out, r.Name)
			}
			return out
		}
		require.ElementsMatch(w, []string{"general", "random"}, names(snap.Rooms), "a private room isn't the guest's to know")
		snap, err = w.Snapshot(ctx, w.as("admin"), nobodyOnline)
		require.NoError(w, err)
		require.ElementsMatch(w, []string{"general", "random", "leads"}, names(snap.Rooms))
	})
}

func TestSeedDemo(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		before, err := w.Snapshot(ctx, w.as("owner"), nobodyOnline)
		require.NoError(w, err)
		require.NoError(w, w.SeedDemo(ctx))
		after, err := w.Snapshot(ctx, w.as("owner"), nobodyOnline)
		require.NoError(w, err)
		require.Equal(w, before, after)
		require.Empty(w, w.news(), "seeding twice changes nothing")

		for _, u := range domain.DemoUsers {
			member := w.member(u.Short)
			require.Equal(w, u.Name, member.Name)
			require.Equal(w, w.role(u.Short).ID, member.RoleID)
			require.True(w, w.role(u.Short).System)
		}
		snap, err := w.Snapshot(ctx, w.in("globex", "owner"), nobodyOnline)
		require.NoError(w, err)
		require.Len(w, snap.Members, 1)
		for _, short := range []string{"admin", "guest"} {
			_, err = w.Snapshot(ctx, w.in("globex", short), nobodyOnline)
			require.ErrorIs(w, err, domain.ErrNotFound)
		}
		page, err := w.Messages(ctx, w.as("guest"), w.room("general").ID, "", 10)
		require.NoError(w, err)
		require.Len(w, page, 3)
		require.Contains(w, page[0].Body, "Welcome", "in the order they were said")
	})
}

// Nodes of a cluster may start, and seed, at the same moment.
func TestSeedDemoAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		// The world has been seeded: make room for another seeding.
		for _, slug := range []string{"acme", "globex"} {
			must[domain.Workspace](w)(w.UpdateWorkspace(w.Context(), w.in(slug, "owner"), domain.WorkspacePatch{Slug: ptr("old-" + slug)}))
		}
		for _, err := range atOnce(3, func(int) error { return w.SeedDemo(w.Context()) }) {
			require.NoError(w, err)
		}
		require.Equal(w, "Acme", w.workspace().Name)
	})
}
