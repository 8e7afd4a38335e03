package store_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// fields are values by name, of one aggregate.
type fields map[string]any

// columns is how one kind of aggregate comes into the database and out again.
type columns[T any] struct {
	set     fields   // values that refer to other rows; all others are made up
	derived []string // fields that the store works out itself
	insert  func(context.Context, domain.Tx, T) error
	read    func(context.Context, T) (T, error)

	// For an aggregate that changes: how, to which values where made-up ones
	// won't do, and what is fixed at insertion.
	update func(context.Context, domain.Tx, T) error
	change fields
	fixed  []string
}

// A field without a column is read back as zero, and nobody is told. Here every
// field of every aggregate has a value, goes in, and must come out again; then
// all that can change does. A new field fails with its name.
func TestEveryFieldHasAColumn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		read := s.Reader()
		w, owner, roles := storetest.SeedWorkspace(t, s)
		commit(t, s, w.ID, 3) // so that a member's JoinedOffset isn't zero
		guest := addMember(t, s, w.ID, roles[domain.RoleGuest].ID, "Guest")
		room := addRoom(t, s, w.ID, "Lobby")
		checked := map[reflect.Type]bool{}

		check(t, s, checked, columns[domain.User]{
			insert: func(ctx context.Context, tx domain.Tx, u domain.User) error { return tx.InsertUser(ctx, u) },
			read:   func(ctx context.Context, u domain.User) (domain.User, error) { return read.User(ctx, u.ID) },
		})
		check(t, s, checked, columns[domain.Session]{
			set:    fields{"UserID": owner.UserID},
			insert: func(ctx context.Context, tx domain.Tx, se domain.Session) error { return tx.InsertSession(ctx, se) },
			read:   func(ctx context.Context, se domain.Session) (domain.Session, error) { return read.Session(ctx, se.ID) },
		})
		check(t, s, checked, columns[domain.Workspace]{
			insert: func(ctx context.Context, tx domain.Tx, w domain.Workspace) error { return tx.InsertWorkspace(ctx, w) },
			update: func(ctx context.Context, tx domain.Tx, w domain.Workspace) error { return tx.UpdateWorkspace(ctx, w) },
			read: func(ctx context.Context, w domain.Workspace) (domain.Workspace, error) {
				return read.Workspace(ctx, w.ID)
			},
		})

		u := domain.User{ID: domain.NewID("usr"), Email: "columns@example.com", Name: "Columns"}
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.InsertUser(ctx, u) })
		check(t, s, checked, columns[domain.Member]{
			set:     fields{"WorkspaceID": w.ID, "UserID": u.ID, "Email": u.Email, "RoleID": guest.RoleID},
			derived: []string{"JoinedOffset"},
			insert:  func(ctx context.Context, tx domain.Tx, m domain.Member) error { return tx.InsertMember(ctx, m) },
			update:  func(ctx context.Context, tx domain.Tx, m domain.Member) error { return tx.UpdateMember(ctx, m) },
			read:    func(ctx context.Context, m domain.Member) (domain.Member, error) { return read.Member(ctx, w.ID, m.ID) },
			change:  fields{"RoleID": owner.RoleID},
			fixed:   []string{"WorkspaceID", "UserID", "Email", "JoinedAt", "JoinedOffset"},
		})
		check(t, s, checked, columns[domain.Role]{
			set:    fields{"WorkspaceID": w.ID},
			insert: func(ctx context.Context, tx domain.Tx, r domain.Role) error { return tx.InsertRole(ctx, r) },
			update: func(ctx context.Context, tx domain.Tx, r domain.Role) error { return tx.UpdateRole(ctx, r) },
			read:   func(ctx context.Context, r domain.Role) (domain.Role, error) { return read.Role(ctx, w.ID, r.ID) },
			fixed:  []string{"WorkspaceID", "Kind", "System"},
		})
		check(t, s, checked, columns[domain.Team]{
			set:    fields{"WorkspaceID": w.ID, "MemberIDs": []string{owner.ID}},
			insert: func(ctx context.Context, tx domain.Tx, team domain.Team) error { return tx.InsertTeam(ctx, team) },
			update: func(ctx context.Context, tx domain.Tx, team domain.Team) error { return tx.UpdateTeam(ctx, team) },
			read:   func(ctx context.Context, team domain.Team) (domain.Team, error) { return read.Team(ctx, w.ID, team.ID) },
			change: fields{"MemberIDs": []string{guest.ID}},
			fixed:  []string{"WorkspaceID"},
		})
		empty := domain.Workspace{ID: domain.NewID("ws"), Version: 1, Slug: "columns", Name: "Columns"}
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.InsertWorkspace(ctx, empty) })
		check(t, s, checked, columns[domain.Subscription]{
			set: fields{"WorkspaceID": empty.ID},
			insert: func(ctx context.Context, tx domain.Tx, sub domain.Subscription) error {
				return tx.InsertSubscription(ctx, sub)
			},
			update: func(ctx context.Context, tx domain.Tx, sub domain.Subscription) error {
				return tx.UpdateSubscription(ctx, sub)
			},
			read: func(ctx context.Context, sub domain.Subscription) (domain.Subscription, error) {
				return read.Subscription(ctx, sub.WorkspaceID)
			},
			fixed: []string{"WorkspaceID"},
		})
		check(t, s, checked, columns[domain.Room]{
			set:    fields{"WorkspaceID": w.ID, "MemberIDs": []string{owner.ID}},
			insert: func(ctx context.Context, tx domain.Tx, r domain.Room) error { return tx.InsertRoom(ctx, r) },
			update: func(ctx context.Context, tx domain.Tx, r domain.Room) error { return tx.UpdateRoom(ctx, r) },
			read:   func(ctx context.Context, r domain.Room) (domain.Room, error) { return read.Room(ctx, w.ID, r.ID) },
			change: fields{"MemberIDs": []string{guest.ID}},
			fixed:  []string{"WorkspaceID", "Private"},
		})
		check(t, s, checked, columns[domain.Message]{
			set:    fields{"WorkspaceID": w.ID, "RoomID": room.ID, "AuthorID": owner.ID},
			insert: func(ctx context.Context, tx domain.Tx, m domain.Message) error { return tx.InsertMessage(ctx, m) },
			update: func(ctx context.Context, tx domain.Tx, m domain.Message) error { return tx.UpdateMessage(ctx, m) },
			read: func(ctx context.Context, m domain.Message) (domain.Message, error) {
				return read.Message(ctx, w.ID, m.ID)
			},
			fixed: []string{"WorkspaceID", "RoomID", "AuthorID", "PostedAt"},
		})
		check(t, s, checked, columns[domain.Notification]{
			set: fields{"WorkspaceID": w.ID, "MemberID": guest.ID},
			insert: func(ctx context.Context, tx domain.Tx, n domain.Notification) error {
				return tx.InsertNotification(ctx, n)
			},
			read: func(ctx context.Context, n domain.Notification) (domain.Notification, error) {
				return read.Notification(ctx, w.ID, n.ID)
			},
		})

		tx := reflect.TypeFor[domain.Tx]()
		for i := range tx.NumMethod() {
			if m := tx.Method(i); strings.HasPrefix(m.Name, "Insert") {
				require.True(t, checked[m.Type.In(1)], "%s takes a %s, which has no check here: add one", m.Name, m.Type.In(1))
			}
		}
	})
}

func check[T any](t *testing.T, s *store.Store, checked map[reflect.Type]bool, c columns[T]) {
	t.Helper()
	checked[reflect.TypeFor[T]()] = true
	same := func(want T, unknown []string) T {
		t.Helper()
		got, err := c.read(t.Context(), want)
		require.NoError(t, err)
		for i := range reflect.TypeFor[T]().NumField() {
			f := reflect.TypeFor[T]().Field(i)
			is := reflect.ValueOf(got).Field(i).Interface()
			if slices.Contains(unknown, f.Name) {
				require.NotZero(t, is, "%T.%s is not read back: has it a column, and its place in the SELECT?", got, f.Name)
				continue
			}
			require.Equal(t, reflect.ValueOf(want).Field(i).Interface(), is,
				"%T.%s is not what was written: has it a column, and its place in INSERT, UPDATE and SELECT?", got, f.Name)
		}
		return got
	}
	value := filled[T](t, 1, c.set)
	write(t, s, func(ctx context.Context, tx domain.Tx) error { return c.insert(ctx, tx, value) })
	value = same(value, c.derived)
	if c.update == nil {
		return
	}
	keep := fields{}
	for _, name := range append(c.fixed, "ID") {
		keep[name] = reflect.ValueOf(value).FieldByName(name).Interface()
	}
	for name, v := range c.change {
		keep[name] = v
	}
	value = filled[T](t, 2, keep)
	write(t, s, func(ctx context.Context, tx domain.Tx) error { return c.update(ctx, tx, value) })
	same(value, nil)
}

// filled makes a value: set where it says, made up from n where it doesn't. The
// first has no zero field, the second no field that is as in the first.
func filled[T any](t *testing.T, n int, set fields) (value T) {
	t.Helper()
	v := reflect.ValueOf(&value).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if given, ok := set[f.Name]; ok {
			v.Field(i).Set(reflect.ValueOf(given))
		} else {
			v.Field(i).Set(madeUp(t, f, n))
		}
		if n == 1 {
			require.False(t, v.Field(i).IsZero(), "%T.%s", value, f.Name)
		}
	}
	return value
}

func madeUp(t *testing.T, f reflect.StructField, n int) reflect.Value {
	t.Helper()
	// Milliseconds are what the database keeps of a domain.Time, and all engines
	// of a time.Time; no two fields have the same.
	at := time.UnixMilli(int64(1_700_000_000_000 + 1000*n + f.Index[0])).UTC()
	v := reflect.New(f.Type).Elem()
	switch {
	case f.Type == reflect.TypeFor[time.Time]():
		return reflect.ValueOf(at)
	case f.Type == reflect.TypeFor[domain.Time]():
		return reflect.ValueOf(domain.At(at))
	case f.Type == reflect.TypeFor[*domain.Time]():
		edited := domain.At(at)
		return reflect.ValueOf(&edited)
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("%s-%d", strings.ToLower(f.Name), n))
	case v.CanInt():
		v.SetInt(int64(10*n + f.Index[0]))
	case v.Kind() == reflect.Bool:
		v.SetBool(n == 1)
	case f.Type == reflect.TypeFor[[]byte]():
		v.SetBytes([]byte{byte(n), 0, 0xff})
	case v.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.String:
		v = reflect.MakeSlice(f.Type, 1, 1)
		v.Index(0).SetString(fmt.Sprintf("%s-%d", strings.ToLower(f.Name), n))
	default:
		require.Fail(t, "what is a value of this type?", "%s %s: teach madeUp, or name one in set", f.Name, f.Type)
	}
	return v
}
