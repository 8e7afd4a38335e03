package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// office is a workspace with three members, whose projectors fail at times.
type office struct {
	t       *rapid.T
	store   *store.Store
	cmd     domain.Commands
	by      domain.Actor
	id      string
	members []string // the first is the actor, who stays in every room
	open    domain.Room
	began   int64 // the log's head when the tabs were opened
	tabs    map[string]map[string]json.RawMessage
}

// moods is the table of projectors, of which those of a kind fail while that is
// asked for.
type moods struct{ failing atomic.Pointer[string] }

func (m *moods) table() map[domain.EventType]domain.Projector {
	table := handlers.Table()
	for typ, project := range table {
		kind := domain.AggregateOf(typ)
		table[typ] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			if failing := m.failing.Load(); failing != nil && *failing == kind {
				return nil, errBroken
			}
			return project(ctx, read, ev)
		}
	}
	return table
}

// Whatever changes, whichever projectors fail, whatever operators press: when
// the dust has settled, each tab shows what the database says, or that it
// doesn't. And when all is mended and requeued, no badge is left.
func TestTabsAreRightOrSaySo(t *testing.T) {
	// The SQL behind it is tested on both engines, in package store; here one
	// does, the faster one.
	s := storetest.Open(t, store.SQLite)
	m := &moods{}
	start(t, s, m.table(), Config{Concerns: handlers.Concerns, Retry: RetryConfig{MaxRetries: -1}})
	rapid.Check(t, func(rt *rapid.T) {
		m.failing.Store(nil)
		o := openOffice(rt, s)
		o.check()
		rt.Repeat(map[string]func(*rapid.T){
			"look":     func(*rapid.T) { o.check() },
			"rename":   func(rt *rapid.T) { o.t = rt; o.rename() },
			"rooms":    func(rt *rapid.T) { o.t = rt; o.changeRooms() },
			"a room":   func(rt *rapid.T) { o.t = rt; o.changeRooms() }, // twice: most can go wrong here
			"message":  func(rt *rapid.T) { o.t = rt; o.talk() },
			"operator": func(rt *rapid.T) { o.t = rt; o.press() },
			"break": func(rt *rapid.T) {
				kind := rapid.SampledFrom([]string{"", "", "room", "room", "member", "message"}).Draw(rt, "kind")
				m.failing.Store(&kind)
			},
		})
		o.t = rt
		o.check()
		m.failing.Store(nil)
		o.mendAll()
	})
}

func openOffice(t *rapid.T, s *store.Store) *office {
	o := &office{t: t, store: s, cmd: domain.Commands{UoW: s}, tabs: map[string]map[string]json.RawMessage{}}
	slug := "office-" + strings.ToLower(domain.NewID("x")[2:12])
	w, owner, err := o.cmd.CreateWorkspace(o.ctx(), domain.NewWorkspace{
		Slug: slug, Name: "Office", Plan: "team", Seats: 10, OwnerEmail: slug + "@example.com", OwnerName: "Owner",
	})
	require.NoError(t, err)
	o.id, o.by = w.ID, domain.Actor{UserID: owner.UserID, Workspace: slug}
	o.members = []string{owner.ID}
	for _, name := range []string{"a", "b"} {
		m, _, err := o.cmd.AddMember(o.ctx(), o.by, domain.NewMember{Email: name + slug + "@example.com"})
		require.NoError(t, err)
		o.members = append(o.members, m.ID)
	}
	o.open, _, err = o.cmd.CreateRoom(o.ctx(), o.by, domain.NewRoom{Name: "Lobby"})
	require.NoError(t, err)
	_, _, err = o.cmd.CreateRoom(o.ctx(), o.by, domain.NewRoom{Name: "Den", Private: true, MemberIDs: o.members[1:]})
	require.NoError(t, err)
	o.settle()
	log, err := s.Reader().LogState(o.ctx(), o.id)
	require.NoError(t, err)
	o.began = log.Head
	for _, m := range o.members {
		o.tabs[m] = o.database(m)
	}
	return o
}

func (o *office) ctx() context.Context { return context.Background() }

// allowed lets rules refuse.
func (o *office) allowed(err error) {
	if err != nil && !slices.Contains([]domain.Code{domain.CodeNotFound, domain.CodeConflict, domain.CodeForbidden, domain.CodeUnprocessable}, domain.CodeOf(err)) {
		require.NoError(o.t, err)
	}
}

func (o *office) one(list []string, label string) string {
	return rapid.SampledFrom(list).Draw(o.t, label)
}

func (o *office) rename() {
	name := o.one([]string{"x", "y", "z"}, "name")
	_, _, err := o.cmd.UpdateMember(o.ctx(), o.by, o.one(o.members, "member"), domain.MemberPatch{Name: &name})
	o.allowed(err)
}

func (o *office) changeRooms() {
	rooms, err := o.store.Reader().Rooms(o.ctx(), o.id)
	require.NoError(o.t, err)
	ids := []string{"none"}
	for _, r := range rooms {
		if r.ID != o.open.ID {
			ids = append(ids, r.ID)
		}
	}
	room, member := o.one(ids, "room"), o.one(o.members[1:], "guest")
	switch o.one([]string{"new", "rename", "rename", "invite", "remove", "remove", "delete"}, "what") {
	case "new":
		_, _, err = o.cmd.CreateRoom(o.ctx(), o.by, domain.NewRoom{Name: "Nook", Private: true, MemberIDs: []string{member}})
	case "rename":
		name := o.one([]string{"p", "q"}, "name")
		_, _, err = o.cmd.UpdateRoom(o.ctx(), o.by, room, domain.RoomPatch{Name: &name})
	case "invite":
		_, _, err = o.cmd.AddRoomMember(o.ctx(), o.by, room, member)
	case "remove":
		_, err = o.cmd.RemoveRoomMember(o.ctx(), o.by, room, member)
	case "delete":
		_, err = o.cmd.DeleteRoom(o.ctx(), o.by, room)
	}
	o.allowed(err)
}

func (o *office) talk() {
	messages, err := o.store.Reader().Messages(o.ctx(), o.id, o.open.ID, "", 200)
	require.NoError(o.t, err)
	ids := []string{"none"}
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	id, text := o.one(ids, "message"), domain.MessageText{Body: o.one([]string{"hi", "ho"}, "body")}
	switch o.one([]string{"post", "edit", "delete"}, "what") {
	case "post":
		_, _, err = o.cmd.PostMessage(o.ctx(), o.by, o.open.ID, text)
	case "edit":
		_, _, err = o.cmd.EditMessage(o.ctx(), o.by, o.open.ID, id, text)
	case "delete":
		_, err = o.cmd.DeleteMessage(o.ctx(), o.by, o.open.ID, id)
	}
	o.allowed(err)
}

func (o *office) poison() []domain.Poison {
	list, _, err := o.store.ListPoison(o.ctx(), domain.PoisonFilter{WorkspaceID: o.id}, domain.Page{Limit: 1000})
	require.NoError(o.t, err)
	return list
}

// press is an operator's act, in the middle of things as a rule.
func (o *office) press() {
	list := o.poison()
	if len(list) == 0 {
		return
	}
	id := list[rapid.IntRange(0, len(list)-1).Draw(o.t, "which")].ID
	by := operator
	by.Reason = "because"
	switch o.one([]string{"requeue", "requeue", "discard", "restore"}, "act") {
	case "requeue":
		o.allowed(o.store.RequeuePoison(o.ctx(), by, id))
	case "discard":
		o.allowed(o.store.DiscardPoison(o.ctx(), by, id))
	case "restore":
		o.allowed(o.store.RestorePoison(o.ctx(), by, id))
	}
}

// mendAll restores and requeues everything, now that nothing fails.
func (o *office) mendAll() {
	o.settle()
	for _, p := range o.poison() {
		if p.State == domain.PoisonDiscarded {
			require.NoError(o.t, o.store.RestorePoison(o.ctx(), operator, p.ID))
		}
		if p.State == domain.PoisonOpen || p.State == domain.PoisonDiscarded {
			// It may have been made up for by those before it.
			o.allowed(o.store.RequeuePoison(o.ctx(), operator, p.ID))
		}
	}
	o.settle()
	for _, p := range o.poison() {
		require.Contains(o.t, []domain.PoisonState{domain.PoisonHealed, domain.PoisonSuperseded}, p.State)
		require.Empty(o.t, p.Stale)
	}
	for _, m := range o.members {
		shown, stale := o.read(m)
		require.Empty(o.t, stale)
		require.Equal(o.t, asText(o.database(m)), asText(shown), "%s", m)
	}
}

// check compares each tab with the database.
func (o *office) check() {
	o.settle()
	for _, m := range o.members {
		shown, stale := o.read(m)
		truth := o.database(m)
		for key := range truth {
			if string(shown[key]) != string(truth[key]) {
				require.Contains(o.t, stale, key, "%s shows %s of %s, which is %s", m, shown[key], key, truth[key])
			}
		}
		for key := range shown {
			if _, is := truth[key]; !is {
				require.Contains(o.t, stale, key, "%s shows %s, which is gone", m, key)
			}
		}
	}
}

// settle waits until the workspace's outbox is empty.
func (o *office) settle() {
	require.Eventually(o.t, func() bool {
		rows, err := o.store.ReadDB().QueryContext(o.ctx(), `SELECT 1 FROM outbox WHERE workspace_id = $1 LIMIT 1`, o.id)
		if err != nil {
			return false
		}
		defer rows.Close()
		return !rows.Next() && rows.Err() == nil
	}, patiently, time.Millisecond)
}

// read is what a member's tab shows after the whole log, and what it marks as stale.
func (o *office) read(member string) (shown map[string]json.RawMessage, stale map[string]bool) {
	channels := []domain.Channel{domain.WorkspaceChannel(o.id), domain.MemberChannel(member), domain.RoomChannel(o.open.ID)}
	entries, _, err := o.store.LogAfter(o.ctx(), o.id, o.began, 1<<40, channels, 100_000)
	require.NoError(o.t, err)
	shown, versions, causes := map[string]json.RawMessage{}, map[string]int64{}, map[string]string{}
	for key, entity := range o.tabs[member] {
		shown[key], versions[key] = entity, versionOf(o.t, entity)
	}
	for _, e := range entries {
		var ev map[string]json.RawMessage
		require.NoError(o.t, json.Unmarshal(e.Data, &ev))
		switch e.Type {
		case domain.ServerSystemStale, domain.ServerSystemHealed:
			var p domain.StalePayload
			require.NoError(o.t, json.Unmarshal(e.Data, &p))
			if e.Type == domain.ServerSystemStale {
				causes[e.EventID] = p.Kind + " " + p.Aggregate
			} else {
				delete(causes, e.EventID)
			}
			continue
		}
		for _, kind := range []string{"member", "room", "message"} {
			entity, ok := ev[kind]
			if !ok {
				continue
			}
			var head struct {
				ID      string
				Version int64
			}
			require.NoError(o.t, json.Unmarshal(entity, &head))
			key := kind + " " + head.ID
			if head.Version <= versions[key] {
				continue
			}
			versions[key] = head.Version
			if strings.HasSuffix(string(e.Type), ".deleted") || strings.HasSuffix(string(e.Type), ".removed") {
				delete(shown, key)
			} else {
				shown[key] = entity
			}
		}
	}
	stale = map[string]bool{}
	for _, key := range causes {
		stale[key] = true
	}
	return shown, stale
}

func versionOf(t *rapid.T, entity json.RawMessage) int64 {
	var head struct{ Version int64 }
	require.NoError(t, json.Unmarshal(entity, &head))
	return head.Version
}

// database is what a member's tab should show.
func (o *office) database(member string) map[string]json.RawMessage {
	truth := map[string]json.RawMessage{}
	put := func(kind, id string, entity any) {
		raw, err := json.Marshal(entity)
		require.NoError(o.t, err)
		truth[kind+" "+id] = raw
	}
	read := o.store.Reader()
	members, err := read.Members(o.ctx(), o.id)
	require.NoError(o.t, err)
	for _, m := range members {
		put("member", m.ID, m)
	}
	rooms, err := read.Rooms(o.ctx(), o.id)
	require.NoError(o.t, err)
	for _, r := range rooms {
		if r.Admits(member) {
			put("room", r.ID, r)
		}
	}
	messages, err := read.Messages(o.ctx(), o.id, o.open.ID, "", 200)
	require.NoError(o.t, err)
	for _, m := range messages {
		put("message", m.ID, m)
	}
	return truth
}

func asText(entities map[string]json.RawMessage) string {
	var lines []string
	for key, entity := range entities {
		lines = append(lines, fmt.Sprintf("%s %s", key, entity))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
