package domain_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// waiting is a unit of work in which something else happens just before a lock
// is granted, as if another transaction had held it and committed.
type waiting struct {
	domain.UnitOfWork
	meanwhile func(tx domain.Tx) error
	lostUser  bool // the first new user turns out to be there already
	locks     []string
	published []domain.EventType
}

func (u *waiting) Write(ctx context.Context, fn func(domain.Tx) error) error {
	return u.UnitOfWork.Write(ctx, func(tx domain.Tx) error { return fn(waitingTx{tx, u}) })
}

type waitingTx struct {
	domain.Tx
	*waiting
}

func (t waitingTx) LockWorkspace(ctx context.Context, id string) (domain.Workspace, error) {
	if err := t.happens("workspace"); err != nil {
		return domain.Workspace{}, err
	}
	return t.Tx.LockWorkspace(ctx, id)
}

func (t waitingTx) LockRoom(ctx context.Context, workspaceID, id string) (domain.Room, error) {
	if err := t.happens("room"); err != nil {
		return domain.Room{}, err
	}
	return t.Tx.LockRoom(ctx, workspaceID, id)
}

func (t waitingTx) HoldRoom(ctx context.Context, workspaceID, id string) (domain.Room, error) {
	if err := t.happens("room, shared"); err != nil {
		return domain.Room{}, err
	}
	return t.Tx.HoldRoom(ctx, workspaceID, id)
}

func (t waitingTx) LockMessage(ctx context.Context, workspaceID, id string) (domain.Message, error) {
	if err := t.happens("message"); err != nil {
		return domain.Message{}, err
	}
	return t.Tx.LockMessage(ctx, workspaceID, id)
}

func (t waitingTx) Publish(ctx context.Context, events ...domain.Event) error {
	for _, ev := range events {
		t.published = append(t.published, ev.Type)
	}
	return t.Tx.Publish(ctx, events...)
}

func (t waitingTx) InsertUser(ctx context.Context, u domain.User) error {
	if t.lostUser {
		t.lostUser = false
		return domain.Errorf(domain.CodeConflict, "this e-mail address is taken")
	}
	return t.Tx.InsertUser(ctx, u)
}

func (t waitingTx) happens(lock string) error {
	t.locks = append(t.locks, lock)
	if t.meanwhile == nil {
		return nil
	}
	once := t.meanwhile
	t.meanwhile = nil
	return once(t.Tx)
}

// What a command saw before it had the lock may be over once it has it.
func TestWhatHappensWhileWaitingForALock(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := w.Context()
		leads, admin := w.room("leads"), w.member("admin")
		guestRole := w.role("guest").ID

		demoted := func(tx domain.Tx) error {
			m := admin
			m.RoleID, m.Version = guestRole, m.Version+1
			return tx.UpdateMember(ctx, m)
		}
		removed := func(tx domain.Tx) error { return tx.DeleteMember(ctx, admin.WorkspaceID, admin.ID) }
		left := func(tx domain.Tx) error {
			r := leads
			r.MemberIDs = slices.DeleteFunc(slices.Clone(r.MemberIDs), func(id string) bool { return id == admin.ID })
			r.Version++
			return tx.UpdateRoom(ctx, r)
		}
		deleted := func(tx domain.Tx) error { return tx.DeleteRoom(ctx, leads.WorkspaceID, leads.ID) }

		addMember := func(c domain.Commands) error {
			return last(c.AddMember(ctx, w.as("admin"), domain.NewMember{Email: "nina@else.test"}))
		}
		post := func(c domain.Commands) error {
			return last(c.PostMessage(ctx, w.as("admin"), leads.ID, domain.MessageText{Body: "x"}))
		}
		removeAdmin := func(c domain.Commands) error {
			// Past the workspace's lock, to that of the room.
			u := c.UoW.(*waiting)
			later := u.meanwhile
			u.meanwhile = func(domain.Tx) error { u.meanwhile = later; return nil }
			err := only(c.RemoveMember(ctx, w.as("owner"), admin.ID))
			require.NotContains(w, u.published, domain.EventRoomMemberRemoved)
			return err
		}
		for _, test := range []struct {
			name      string
			do        func(domain.Commands) error
			meanwhile func(domain.Tx) error
			code      domain.Code // "" for success
		}{
			{"the actor lost their permission", addMember, demoted, domain.CodeForbidden},
			{"the actor was removed", addMember, removed, domain.CodeNotFound},
			{"the actor was taken out of the room", post, left, domain.CodeNotFound},
			{"the room was deleted", post, deleted, domain.CodeNotFound},
			{"the room that a member leaves was deleted", removeAdmin, deleted, ""},
			{"the member left the room by themselves", removeAdmin, left, ""},
		} {
			err := rolledBack(w, func(c domain.Commands) error {
				c.UoW = &waiting{UnitOfWork: c.UoW, meanwhile: test.meanwhile}
				return test.do(c)
			})
			if test.code == "" {
				require.NoError(w, err, test.name)
			} else {
				require.Equal(w, test.code, domain.CodeOf(err), "%s: %v", test.name, err)
			}
		}
	})
}

// Locks are taken in one order, so that no two commands wait for each other.
// Who puts a member anywhere holds the workspace: otherwise the member's
// removal could miss the place, and the row would go without an event.
func TestLocks(t *testing.T) {
	want := map[string][]string{
		"Snapshot": nil, "Messages": nil,
		"UpdateRoom": {"room"}, "DeleteRoom": {"room"}, "RemoveRoomMember": {"room"}, "PostMessage": {"room, shared"},
		"EditMessage": {"message"}, "DeleteMessage": {"message"},
		"AddRoomMember": {"workspace", "room"}, "RemoveMember": {"workspace", "room"},
	}
	eachWorld(t, func(w *world) {
		x := w.ids()
		x.member = w.member("admin").ID
		for name, do := range everyUseCase {
			locks, ok := want[name]
			if !ok {
				locks = []string{"workspace"}
			}
			_ = rolledBack(w, func(c domain.Commands) error {
				u := &waiting{UnitOfWork: c.UoW}
				c.UoW = u
				_ = do(w.Context(), c, w.as("owner"), x) // refused or not, it has its locks
				require.Equal(w, locks, u.locks, name)
				return nil
			})
		}
	})
}

// overtaken runs a transaction twice, as databases do after a deadlock, and
// between the two something else commits.
type overtaken struct {
	domain.UnitOfWork
	between func()
}

func (u overtaken) Write(ctx context.Context, fn func(domain.Tx) error) error {
	err := u.UnitOfWork.Write(ctx, func(tx domain.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errRollBack
	})
	if !errors.Is(err, errRollBack) {
		return err
	}
	u.between()
	return u.UnitOfWork.Write(ctx, fn)
}

// The event of an attempt that was rolled back doesn't exist. When somebody
// else did the same in between, there is nothing left to change, and no id may
// be given out for a client to wait for.
func TestOvertaken(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx, owner, x := w.Context(), w.as("owner"), w.ids()
		helper := must[domain.Role](w)(w.CreateRole(ctx, owner, domain.NewRole{Name: "helper"}))
		for name, do := range map[string]func(c domain.Commands) (string, error){
			"workspace": func(c domain.Commands) (string, error) {
				_, id, err := c.UpdateWorkspace(ctx, owner, domain.WorkspacePatch{Name: ptr("Other")})
				return id, err
			},
			"subscription": func(c domain.Commands) (string, error) {
				_, id, err := c.UpdateSubscription(ctx, owner, domain.SubscriptionPatch{Plan: ptr("other")})
				return id, err
			},
			"member": func(c domain.Commands) (string, error) {
				_, id, err := c.UpdateMember(ctx, owner, x.member, domain.MemberPatch{Name: ptr("Other")})
				return id, err
			},
			"role": func(c domain.Commands) (string, error) {
				_, id, err := c.UpdateRole(ctx, owner, helper.ID, domain.RolePatch{Name: ptr("other")})
				return id, err
			},
			"team": func(c domain.Commands) (string, error) {
				_, id, err := c.UpdateTeam(ctx, owner, x.team, domain.TeamPatch{Name: ptr("Other")})
				return id, err
			},
			"room": func(c domain.Commands) (string, error) {
				_, id, err := c.UpdateRoom(ctx, owner, x.openRoom, domain.RoomPatch{Name: ptr("other")})
				return id, err
			},
			"message": func(c domain.Commands) (string, error) {
				_, id, err := c.EditMessage(ctx, owner, x.openRoom, x.message, domain.MessageText{Body: "other"})
				return id, err
			},
		} {
			id, err := do(domain.Commands{UoW: overtaken{w.store, func() {
				_, err := do(domain.Commands{UoW: w.store, Now: w.Now})
				require.NoError(w, err)
			}}, Now: w.Now})
			require.NoError(w, err, name)
			require.Empty(w, id, name)
			require.Len(w, w.news(), 1, name)
		}
	})
}

// No workspace's lock covers users, so a new one may be there already when it
// comes to inserting them. That is no reason to fail.
func TestUserAppearsMeanwhile(t *testing.T) {
	eachWorld(t, func(w *world) {
		c := domain.Commands{UoW: &waiting{UnitOfWork: w.store, lostUser: true}, Now: w.Now}
		_, _, err := c.AddMember(w.Context(), w.as("owner"), domain.NewMember{Email: "nina@else.test"})
		require.NoError(w, err)
		c.UoW = &waiting{UnitOfWork: w.store, lostUser: true}
		_, _, err = c.CreateWorkspace(w.Context(), domain.NewWorkspace{
			Slug: "initech", Name: "Initech", Plan: "free", Seats: 1, OwnerEmail: "bill@else.test", OwnerName: "Bill"})
		require.NoError(w, err)
	})
}
