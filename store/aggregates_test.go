package store_test

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestUsersAndSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, read := t.Context(), s.Reader()
		u := domain.User{ID: domain.NewID("usr"), Email: "ada@example.com", Name: "Ada"}
		hash := sha256.Sum256([]byte("token"))
		now := time.Now().UTC().Truncate(time.Microsecond)
		session := domain.Session{ID: domain.NewID("ses"), UserID: u.ID, TokenHash: hash[:], CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		expired := domain.Session{ID: domain.NewID("ses"), UserID: u.ID, TokenHash: []byte("old"), CreatedAt: now, ExpiresAt: now.Add(-time.Second)}
		write(t, s, func(ctx context.Context, tx domain.Tx) error {
			for _, err := range []error{tx.InsertUser(ctx, u), tx.InsertSession(ctx, session), tx.InsertSession(ctx, expired)} {
				if err != nil {
					return err
				}
			}
			return nil
		})

		got, err := read.User(ctx, u.ID)
		require.NoError(t, err)
		require.Equal(t, u, got)
		got, err = read.UserByEmail(ctx, "ADA@example.com")
		require.NoError(t, err)
		require.Equal(t, u, got)
		byToken, err := read.SessionByToken(ctx, hash[:])
		require.NoError(t, err)
		require.Equal(t, session, byToken)
		byID, err := read.Session(ctx, expired.ID)
		require.NoError(t, err, "expired sessions are found, too")
		require.Equal(t, expired, byID)

		requireConflict(t, "email", tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error {
			return tx.InsertUser(ctx, domain.User{ID: domain.NewID("usr"), Email: "Ada@Example.com"})
		}))
		requireCode(t, domain.CodeNotFound, tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error {
			return tx.InsertSession(ctx, domain.Session{ID: domain.NewID("ses"), UserID: "usr_nobody", TokenHash: []byte("x")})
		}))

		n, err := s.PruneSessions(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		_, err = read.Session(ctx, expired.ID)
		require.ErrorIs(t, err, domain.ErrNotFound)
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.DeleteSession(ctx, session.ID) })
		require.ErrorIs(t, tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.DeleteSession(ctx, session.ID) }), domain.ErrNotFound)
	})
}

func TestWorkspaceAndSubscription(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, read := t.Context(), s.Reader()
		w, _, _ := storetest.SeedWorkspace(t, s)
		other, _, _ := storetest.SeedWorkspace(t, s)

		state, err := read.LogState(ctx, w.ID)
		require.NoError(t, err)
		require.NotEmpty(t, state.Epoch, "a workspace starts with a log")
		require.Zero(t, state.Head)

		w.Version, w.Name, w.Slug = 2, "Renamed", "renamed"
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateWorkspace(ctx, w) })
		got, err := read.WorkspaceBySlug(ctx, "renamed")
		require.NoError(t, err)
		require.Equal(t, w, got)

		other.Version, other.Slug = 2, w.Slug
		requireConflict(t, "slug", tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateWorkspace(ctx, other) }))

		sub, err := read.Subscription(ctx, w.ID)
		require.NoError(t, err)
		sub.Version, sub.Plan, sub.Seats, sub.Status = 2, "pro", 7, domain.SubscriptionPastDue
		sub.RenewsAt = domain.At(time.Now().AddDate(1, 0, 0))
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateSubscription(ctx, sub) })
		gotSub, err := read.Subscription(ctx, w.ID)
		require.NoError(t, err)
		require.Equal(t, sub, gotSub)
		requireConflict(t, "workspaceId", tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error {
			return tx.InsertSubscription(ctx, domain.Subscription{ID: domain.NewID("sub"), Version: 1, WorkspaceID: w.ID, Seats: 1})
		}))
	})
}

func TestMembers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, read := t.Context(), s.Reader()
		w, owner, roles := storetest.SeedWorkspace(t, s)
		commit(t, s, w.ID, 3)
		guest := addMember(t, s, w.ID, roles[domain.RoleGuest].ID, "Guest")
		guest.JoinedOffset = 3 // the store's own doing: the log's head then

		got, err := read.Member(ctx, w.ID, guest.ID)
		require.NoError(t, err)
		require.Equal(t, guest, got)
		got, err = read.MemberByUser(ctx, w.ID, guest.UserID)
		require.NoError(t, err)
		require.Equal(t, guest, got)
		all, err := read.Members(ctx, w.ID)
		require.NoError(t, err)
		require.ElementsMatch(t, []domain.Member{owner, guest}, all)
		require.True(t, slices.IsSortedFunc(all, func(a, b domain.Member) int { return strings.Compare(a.ID, b.ID) }))

		requireConflict(t, "userId", tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error {
			twin := guest
			twin.ID = domain.NewID("mem")
			return tx.InsertMember(ctx, twin)
		}))
		requireCode(t, domain.CodeNotFound, tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error {
			m := guest
			m.Version, m.RoleID = 2, "rol_unknown"
			return tx.UpdateMember(ctx, m)
		}))

		guest.Version, guest.Name, guest.RoleID = 2, "Promoted", roles[domain.RoleAdmin].ID
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateMember(ctx, guest) })
		got, err = read.Member(ctx, w.ID, guest.ID)
		require.NoError(t, err)
		require.Equal(t, guest, got)

		note := domain.Notification{ID: domain.NewID("ntf"), WorkspaceID: w.ID, MemberID: guest.ID, Title: "Hi", Body: "there", At: domain.At(time.Now())}
		second, _, _ := storetest.SeedWorkspace(t, s)
		workspaces, err := s.WorkspacesOfUser(ctx, guest.UserID)
		require.NoError(t, err)
		require.Equal(t, []domain.Workspace{w}, workspaces)
		workspaces, err = s.WorkspacesOfUser(ctx, "usr_nobody")
		require.NoError(t, err)
		require.NotContains(t, workspaces, second)
		require.Empty(t, workspaces)

		team := domain.Team{ID: domain.NewID("team"), Version: 1, WorkspaceID: w.ID, Name: "All", MemberIDs: []string{owner.ID, guest.ID}}
		write(t, s, func(ctx context.Context, tx domain.Tx) error {
			if err := tx.InsertNotification(ctx, note); err != nil {
				return err
			}
			return tx.InsertTeam(ctx, team)
		})
		gotNote, err := read.Notification(ctx, w.ID, note.ID)
		require.NoError(t, err)
		require.Equal(t, note, gotNote)
		room := addRoom(t, s, w.ID, "Private", owner.ID, guest.ID)
		said := domain.Message{ID: domain.NewID("msg"), Version: 1, WorkspaceID: w.ID, RoomID: room.ID, AuthorID: guest.ID, Body: "bye", PostedAt: domain.At(time.Now())}
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.InsertMessage(ctx, said) })

		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.DeleteMember(ctx, w.ID, guest.ID) })
		_, err = read.Member(ctx, w.ID, guest.ID)
		require.ErrorIs(t, err, domain.ErrNotFound)
		gotTeam, err := read.Team(ctx, w.ID, team.ID)
		require.NoError(t, err)
		require.Equal(t, []string{owner.ID}, gotTeam.MemberIDs)
		gotRoom, err := read.Room(ctx, w.ID, room.ID)
		require.NoError(t, err)
		require.Equal(t, []string{owner.ID}, gotRoom.MemberIDs)
		gotMessage, err := read.Message(ctx, w.ID, said.ID)
		require.NoError(t, err, "what somebody said outlives their membership")
		require.Equal(t, said, gotMessage)
	})
}

func TestRoles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, read := t.Context(), s.Reader()
		w, _, roles := storetest.SeedWorkspace(t, s)
		other, _, _ := storetest.SeedWorkspace(t, s)
		for kind, want := range roles {
			got, err := read.Role(ctx, w.ID, want.ID)
			require.NoError(t, err)
			require.Equal(t, want, got, kind)
		}
		insert := func(workspaceID, name string) (domain.Role, error) {
			r := domain.Role{ID: domain.NewID("rol"), Version: 1, WorkspaceID: workspaceID, Kind: domain.RoleCustom, Name: name, Permissions: []domain.Permission{}}
			return r, tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.InsertRole(ctx, r) })
		}
		editor, err := insert(w.ID, "Éditeur")
		require.NoError(t, err)
		_, err = insert(w.ID, "éDITEUR") // beyond ASCII, too, on both engines
		requireConflict(t, "name", err)
		_, err = insert(other.ID, "Éditeur")
		require.NoError(t, err, "another workspace's names don't count")

		editor.Version, editor.Name = 2, "Writer"
		editor.Permissions = []domain.Permission{domain.PermTeamsManage, domain.PermMembersNotify}
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateRole(ctx, editor) })
		got, err := read.Role(ctx, w.ID, editor.ID)
		require.NoError(t, err)
		require.Equal(t, editor, got)
		editor.Version, editor.Name = 3, "GUEST"
		requireConflict(t, "name", tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateRole(ctx, editor) }))

		addMember(t, s, w.ID, editor.ID, "Writer")
		requireCode(t, domain.CodeRoleInUse, tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.DeleteRole(ctx, w.ID, editor.ID) }))
		write(t, s, func(ctx context.Context, tx domain.Tx) error {
			return tx.DeleteRole(ctx, w.ID, roles[domain.RoleGuest].ID)
		})
		all, err := read.Roles(ctx, w.ID)
		require.NoError(t, err)
		require.Len(t, all, 3)
	})
}

func TestTeams(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, read := t.Context(), s.Reader()
		w, owner, roles := storetest.SeedWorkspace(t, s)
		guest := addMember(t, s, w.ID, roles[domain.RoleGuest].ID, "Guest")
		_, stranger, _ := storetest.SeedWorkspace(t, s)
		sorted := slices.Sorted(slices.Values([]string{owner.ID, guest.ID}))

		team := domain.Team{ID: domain.NewID("team"), Version: 1, WorkspaceID: w.ID, Name: "Team", MemberIDs: []string{sorted[1], sorted[0]}}
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.InsertTeam(ctx, team) })
		got, err := read.Team(ctx, w.ID, team.ID)
		require.NoError(t, err)
		require.Equal(t, sorted, got.MemberIDs)

		for i, members := range [][]string{{guest.ID}, {}, sorted, nil} {
			team.Version, team.MemberIDs = int64(i+2), members
			write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateTeam(ctx, team) })
			got, err := read.Team(ctx, w.ID, team.ID)
			require.NoError(t, err)
			require.NotNil(t, got.MemberIDs)
			require.ElementsMatch(t, members, got.MemberIDs)
		}

		team.Version, team.MemberIDs = 9, []string{stranger.ID}
		requireCode(t, domain.CodeNotFound, tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateTeam(ctx, team) }))
		requireConflict(t, "name", tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error {
			return tx.InsertTeam(ctx, domain.Team{ID: domain.NewID("team"), Version: 1, WorkspaceID: w.ID, Name: "TEAM"})
		}))
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.DeleteTeam(ctx, w.ID, team.ID) })
		all, err := read.Teams(ctx, w.ID)
		require.NoError(t, err)
		require.Equal(t, []domain.Team{}, all)
	})
}

func TestRooms(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, read := t.Context(), s.Reader()
		w, owner, _ := storetest.SeedWorkspace(t, s)
		open := addRoom(t, s, w.ID, "Lobby")
		secret := addRoom(t, s, w.ID, "Board", owner.ID)
		for _, want := range []domain.Room{open, secret} {
			got, err := read.Room(ctx, w.ID, want.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		requireConflict(t, "name", tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error {
			return tx.InsertRoom(ctx, domain.Room{ID: domain.NewID("room"), Version: 1, WorkspaceID: w.ID, Name: "LOBBY"})
		}))
		// If an open room named like a private one were refused, anybody could
		// find out which private rooms there are.
		addRoom(t, s, w.ID, "Board")

		secret.Version, secret.Name, secret.MemberIDs = 2, "Council", []string{}
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateRoom(ctx, secret) })
		got, err := read.Room(ctx, w.ID, secret.ID)
		require.NoError(t, err)
		require.Equal(t, secret, got)

		m := domain.Message{ID: domain.NewID("msg"), Version: 1, WorkspaceID: w.ID, RoomID: open.ID, AuthorID: owner.ID, Body: "x"}
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.InsertMessage(ctx, m) })
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.DeleteRoom(ctx, w.ID, open.ID) })
		_, err = read.Message(ctx, w.ID, m.ID)
		require.ErrorIs(t, err, domain.ErrNotFound, "a room goes with its messages")
		all, err := read.Rooms(ctx, w.ID)
		require.NoError(t, err)
		require.Len(t, all, 2)
	})
}

func TestMessages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, read := t.Context(), s.Reader()
		w, owner, _ := storetest.SeedWorkspace(t, s)
		room := addRoom(t, s, w.ID, "Lobby")
		start := time.Now()
		var want []string
		for i := range 7 {
			m := domain.Message{
				ID: domain.NewID("msg"), Version: 1, WorkspaceID: w.ID, RoomID: room.ID, AuthorID: owner.ID,
				Body: "m", PostedAt: domain.At(start.Add(time.Duration(i) * time.Second)),
			}
			want = append(want, m.ID)
			write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.InsertMessage(ctx, m) })
		}
		page := func(before string, limit int) []string {
			list, err := read.Messages(ctx, w.ID, room.ID, before, limit)
			require.NoError(t, err)
			got := []string{}
			for _, m := range list {
				got = append(got, m.ID)
			}
			return got
		}
		require.Equal(t, want[4:], page("", 3), "the newest, oldest first")
		require.Equal(t, want[1:4], page(want[4], 3))
		require.Equal(t, want[:1], page(want[1], 3))
		require.Empty(t, page(want[0], 3))
		require.Empty(t, page("msg_unknown", 3))
		require.Len(t, page("", 0), 1, "a limit below 1 counts as 1")

		m, err := read.Message(ctx, w.ID, want[0])
		require.NoError(t, err)
		require.Nil(t, m.EditedAt)
		edited := domain.At(time.Now())
		m.Version, m.Body, m.EditedAt = 2, "edited", &edited
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.UpdateMessage(ctx, m) })
		got, err := read.Message(ctx, w.ID, m.ID)
		require.NoError(t, err)
		require.Equal(t, m, got)
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.DeleteMessage(ctx, w.ID, m.ID) })
		require.ErrorIs(t, tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.DeleteMessage(ctx, w.ID, m.ID) }), domain.ErrNotFound)
	})
}

// Versions only grow: clients ignore a version that isn't newer, so one that
// stood still or fell would hide a change from every tab.
func TestVersionsOnlyGrow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w, owner, roles := storetest.SeedWorkspace(t, s)
		guest := roles[domain.RoleGuest]
		room := addRoom(t, s, w.ID, "Lobby")
		team := domain.Team{ID: domain.NewID("team"), Version: 1, WorkspaceID: w.ID, Name: "Team", MemberIDs: []string{}}
		m := domain.Message{ID: domain.NewID("msg"), Version: 1, WorkspaceID: w.ID, RoomID: room.ID, AuthorID: owner.ID, Body: "x"}
		write(t, s, func(ctx context.Context, tx domain.Tx) error {
			if err := tx.InsertTeam(ctx, team); err != nil {
				return err
			}
			return tx.InsertMessage(ctx, m)
		})
		sub, err := s.Reader().Subscription(t.Context(), w.ID)
		require.NoError(t, err)

		updates := map[string]func(ctx context.Context, tx domain.Tx, id string, version int64) error{
			"workspace": func(ctx context.Context, tx domain.Tx, id string, version int64) error {
				w := w
				w.ID, w.Version = w.ID+id, version
				return tx.UpdateWorkspace(ctx, w)
			},
			"member": func(ctx context.Context, tx domain.Tx, id string, version int64) error {
				owner := owner
				owner.ID, owner.Version = owner.ID+id, version
				return tx.UpdateMember(ctx, owner)
			},
			"role": func(ctx context.Context, tx domain.Tx, id string, version int64) error {
				guest := guest
				guest.ID, guest.Version = guest.ID+id, version
				return tx.UpdateRole(ctx, guest)
			},
			"team": func(ctx context.Context, tx domain.Tx, id string, version int64) error {
				team := team
				team.ID, team.Version = team.ID+id, version
				return tx.UpdateTeam(ctx, team)
			},
			"subscription": func(ctx context.Context, tx domain.Tx, id string, version int64) error {
				sub := sub
				sub.ID, sub.Version = sub.ID+id, version
				return tx.UpdateSubscription(ctx, sub)
			},
			"room": func(ctx context.Context, tx domain.Tx, id string, version int64) error {
				room := room
				room.ID, room.Version = room.ID+id, version
				return tx.UpdateRoom(ctx, room)
			},
			"message": func(ctx context.Context, tx domain.Tx, id string, version int64) error {
				m := m
				m.ID, m.Version = m.ID+id, version
				return tx.UpdateMessage(ctx, m)
			},
		}
		for name, update := range updates {
			try := func(id string, version int64) error {
				return tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error { return update(ctx, tx, id, version) })
			}
			require.NoError(t, try("", 5), name)
			requireCode(t, domain.CodeConflict, try("", 5))
			requireCode(t, domain.CodeConflict, try("", 4))
			require.NoError(t, try("", 6), name)
			require.ErrorIs(t, try("x", 7), domain.ErrNotFound, name)
		}
	})
}

// What is asked for by another workspace's id doesn't exist.
func TestTenantsAreApart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, read := t.Context(), s.Reader()
		w, owner, roles := storetest.SeedWorkspace(t, s)
		other, _, _ := storetest.SeedWorkspace(t, s)
		room := addRoom(t, s, w.ID, "Lobby")
		for name, find := range map[string]func() error{
			"member":         func() error { _, err := read.Member(ctx, other.ID, owner.ID); return err },
			"member by user": func() error { _, err := read.MemberByUser(ctx, other.ID, owner.UserID); return err },
			"role":           func() error { _, err := read.Role(ctx, other.ID, roles[domain.RoleOwner].ID); return err },
			"team":           func() error { _, err := read.Team(ctx, other.ID, "team_x"); return err },
			"room":           func() error { _, err := read.Room(ctx, other.ID, room.ID); return err },
			"message":        func() error { _, err := read.Message(ctx, other.ID, "msg_x"); return err },
			"notification":   func() error { _, err := read.Notification(ctx, other.ID, "ntf_x"); return err },
			"workspace":      func() error { _, err := read.Workspace(ctx, "ws_x"); return err },
			"slug":           func() error { _, err := read.WorkspaceBySlug(ctx, "nobody"); return err },
			"subscription":   func() error { _, err := read.Subscription(ctx, "ws_x"); return err },
			"log":            func() error { _, err := read.LogState(ctx, "ws_x"); return err },
		} {
			require.ErrorIs(t, find(), domain.ErrNotFound, name)
		}
		requireCode(t, domain.CodeNotFound, tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error {
			return tx.InsertMessage(ctx, domain.Message{ID: domain.NewID("msg"), Version: 1, WorkspaceID: other.ID, RoomID: room.ID, AuthorID: owner.ID})
		}))
	})
}
