package handlers_test

import (
	"context"
	"maps"
	"slices"

	"github.com/orbit/realtime/domain"
)

// world is a workspace in memory: what projectors read, kept the way the store
// keeps it. Every method that changes it bumps versions and publishes domain
// events, as the use cases do.
type world struct {
	domain.Reader // a projector that reads anything but the methods below panics

	id            string
	workspace     domain.Workspace
	subscription  domain.Subscription
	members       map[string]domain.Member
	roles         map[string]domain.Role
	teams         map[string]domain.Team
	rooms         map[string]domain.Room
	messages      map[string]domain.Message
	notifications map[string]domain.Notification

	// buried holds the versions of what was deleted: whatever comes back under
	// the same id goes on counting from there.
	buried map[string]int64
	events []domain.Event
}

func newWorld(members ...string) *world {
	w := &world{
		id:            "ws_1",
		workspace:     domain.Workspace{ID: "ws_1", Version: 1, Slug: "acme", Name: "Acme"},
		subscription:  domain.Subscription{ID: "sub_1", Version: 1, WorkspaceID: "ws_1", Plan: "team", Seats: 25, Status: domain.SubscriptionActive},
		members:       map[string]domain.Member{},
		roles:         map[string]domain.Role{},
		teams:         map[string]domain.Team{},
		rooms:         map[string]domain.Room{},
		messages:      map[string]domain.Message{},
		notifications: map[string]domain.Notification{},
		buried:        map[string]int64{},
	}
	for _, id := range members {
		w.members[id] = domain.Member{ID: id, Version: 1, WorkspaceID: w.id, UserID: "usr_" + id, Name: id, RoleID: "role_guest"}
	}
	return w
}

func find[T any](w *world, rows map[string]T, workspaceID, id string) (T, error) {
	row, ok := rows[id]
	if !ok || workspaceID != w.id {
		var none T
		return none, domain.Errorf(domain.CodeNotFound, "no such row")
	}
	return row, nil
}

func (w *world) Workspace(_ context.Context, id string) (domain.Workspace, error) {
	return find(w, map[string]domain.Workspace{w.id: w.workspace}, id, id)
}

func (w *world) Subscription(_ context.Context, workspaceID string) (domain.Subscription, error) {
	return find(w, map[string]domain.Subscription{w.id: w.subscription}, workspaceID, workspaceID)
}

func (w *world) Member(_ context.Context, workspaceID, id string) (domain.Member, error) {
	return find(w, w.members, workspaceID, id)
}

func (w *world) Role(_ context.Context, workspaceID, id string) (domain.Role, error) {
	return find(w, w.roles, workspaceID, id)
}

func (w *world) Team(_ context.Context, workspaceID, id string) (domain.Team, error) {
	return find(w, w.teams, workspaceID, id)
}

func (w *world) Room(_ context.Context, workspaceID, id string) (domain.Room, error) {
	return find(w, w.rooms, workspaceID, id)
}

func (w *world) Message(_ context.Context, workspaceID, id string) (domain.Message, error) {
	return find(w, w.messages, workspaceID, id)
}

func (w *world) Notification(_ context.Context, workspaceID, id string) (domain.Notification, error) {
	return find(w, w.notifications, workspaceID, id)
}

// publish appends to the outbox and returns the event.
func (w *world) publish(t domain.EventType, aggregateID string, payload any) domain.Event {
	ev := domain.NewEvent(t, w.id, aggregateID, payload)
	w.events = append(w.events, ev)
	return ev
}

// reborn is the version of something created: 1, or one more than its tombstone's.
func (w *world) reborn(id string) int64 { return w.buried[id] + 1 }

func (w *world) renameWorkspace(name string) domain.Event {
	w.workspace.Version++
	w.workspace.Name = name
	return w.publish(domain.EventWorkspaceUpdated, w.id, domain.Changed{Version: w.workspace.Version})
}

func (w *world) changeSeats(seats int) domain.Event {
	w.subscription.Version++
	w.subscription.Seats = seats
	return w.publish(domain.EventSubscriptionUpdated, w.subscription.ID, domain.Changed{Version: w.subscription.Version})
}

func (w *world) join(id string) domain.Event {
	w.members[id] = domain.Member{ID: id, Version: w.reborn(id), WorkspaceID: w.id, UserID: "usr_" + id, Name: id, RoleID: "role_guest"}
	return w.publish(domain.EventMemberJoined, id, domain.Changed{Version: w.members[id].Version})
}

func (w *world) changeMember(t domain.EventType, id, name, role string) domain.Event {
	m := w.members[id]
	m.Version++
	m.Name, m.RoleID = name, role
	w.members[id] = m
	return w.publish(t, id, domain.Changed{Version: m.Version})
}

// removeMember takes the member out of teams and private rooms first; a
// private room nobody is left in goes too.
func (w *world) removeMember(id string) domain.Event {
	for _, team := range slices.Sorted(maps.Keys(w.teams)) {
		if slices.Contains(w.teams[team].MemberIDs, id) {
			w.leaveTeam(team, id)
		}
	}
	for _, room := range slices.Sorted(maps.Keys(w.rooms)) {
		if slices.Contains(w.rooms[room].MemberIDs, id) {
			w.leaveRoom(room, id)
			if len(w.rooms[room].MemberIDs) == 0 {
				w.deleteRoom(room)
			}
		}
	}
	w.buried[id] = w.members[id].Version + 1
	delete(w.members, id)
	return w.publish(domain.EventMemberRemoved, id, domain.Changed{Version: w.buried[id]})
}

func (w *world) createRole(id, name string) domain.Event {
	w.roles[id] = domain.Role{ID: id, Version: w.reborn(id), WorkspaceID: w.id, Name: name, Permissions: []domain.Permission{}}
	return w.publish(domain.EventRoleCreated, id, domain.Changed{Version: w.roles[id].Version})
}

func (w *world) renameRole(id, name string) domain.Event {
	r := w.roles[id]
	r.Version++
	r.Name = name
	w.roles[id] = r
	return w.publish(domain.EventRoleUpdated, id, domain.Changed{Version: r.Version})
}

func (w *world) deleteRole(id string) domain.Event {
	w.buried[id] = w.roles[id].Version + 1
	delete(w.roles, id)
	return w.publish(domain.EventRoleDeleted, id, domain.Changed{Version: w.buried[id]})
}

func (w *world) createTeam(id, name string, members ...string) domain.Event {
	w.teams[id] = domain.Team{ID: id, Version: w.reborn(id), WorkspaceID: w.id, Name: name, MemberIDs: members}
	return w.publish(domain.EventTeamCreated, id, domain.Changed{Version: w.teams[id].Version})
}

func (w *world) changeTeam(id, name string, members []string) int64 {
	w.teams[id] = domain.Team{ID: id, Version: w.teams[id].Version + 1, WorkspaceID: w.id, Name: name, MemberIDs: members}
	return w.teams[id].Version
}

func (w *world) renameTeam(id, name string) domain.Event {
	v := w.changeTeam(id, name, w.teams[id].MemberIDs)
	return w.publish(domain.EventTeamUpdated, id, domain.Changed{Version: v})
}

func (w *world) joinTeam(id, member string) domain.Event {
	v := w.changeTeam(id, w.teams[id].Name, with(w.teams[id].MemberIDs, member))
	return w.publish(domain.EventTeamMemberAdded, id, domain.GroupChanged{Version: v, MemberID: member})
}

func (w *world) leaveTeam(id, member string) domain.Event {
	v := w.changeTeam(id, w.teams[id].Name, without(w.teams[id].MemberIDs, member))
	return w.publish(domain.EventTeamMemberRemoved, id, domain.GroupChanged{Version: v, MemberID: member})
}

func (w *world) deleteTeam(id string) domain.Event {
	w.buried[id] = w.teams[id].Version + 1
	delete(w.teams, id)
	return w.publish(domain.EventTeamDeleted, id, domain.Changed{Version: w.buried[id]})
}

func (w *world) createRoom(id string, members ...string) domain.Event {
	w.rooms[id] = domain.Room{ID: id, Version: 1, WorkspaceID: w.id, Name: id, Private: len(members) > 0, MemberIDs: members}
	return w.publish(domain.EventRoomCreated, id, domain.Changed{Version: 1})
}

func (w *world) changeRoom(id, name string, members []string) int64 {
	r := w.rooms[id]
	r.Version++
	r.Name, r.MemberIDs = name, members
	w.rooms[id] = r
	return r.Version
}

func (w *world) renameRoom(id, name string) domain.Event {
	v := w.changeRoom(id, name, w.rooms[id].MemberIDs)
	return w.publish(domain.EventRoomUpdated, id, domain.Changed{Version: v})
}

func (w *world) invite(id, member string) domain.Event {
	v := w.changeRoom(id, w.rooms[id].Name, with(w.rooms[id].MemberIDs, member))
	return w.publish(domain.EventRoomMemberAdded, id, domain.GroupChanged{Version: v, MemberID: member})
}

func (w *world) leaveRoom(id, member string) domain.Event {
	v := w.changeRoom(id, w.rooms[id].Name, without(w.rooms[id].MemberIDs, member))
	return w.publish(domain.EventRoomMemberRemoved, id, domain.GroupChanged{Version: v, MemberID: member})
}

func (w *world) deleteRoom(id string) domain.Event {
	r := w.rooms[id]
	delete(w.rooms, id)
	return w.publish(domain.EventRoomDeleted, id, domain.RoomDeleted{Version: r.Version + 1, Private: r.Private, MemberIDs: r.MemberIDs})
}

func (w *world) post(id, room, body string) domain.Event {
	w.messages[id] = domain.Message{ID: id, Version: 1, WorkspaceID: w.id, RoomID: room, Body: body}
	return w.publish(domain.EventMessagePosted, id, domain.MessageChanged{Version: 1, RoomID: room})
}

func (w *world) editMessage(id, body string) domain.Event {
	m := w.messages[id]
	m.Version++
	m.Body = body
	w.messages[id] = m
	return w.publish(domain.EventMessageEdited, id, domain.MessageChanged{Version: m.Version, RoomID: m.RoomID})
}

func (w *world) deleteMessage(id string) domain.Event {
	m := w.messages[id]
	delete(w.messages, id)
	return w.publish(domain.EventMessageDeleted, id, domain.MessageChanged{Version: m.Version + 1, RoomID: m.RoomID})
}

func (w *world) notify(id, member string) domain.Event {
	w.notifications[id] = domain.Notification{ID: id, WorkspaceID: w.id, MemberID: member, Title: "Hello"}
	return w.publish(domain.EventMemberNotified, id, domain.Changed{Version: 1})
}

func with(ids []string, id string) []string {
	return slices.Sorted(slices.Values(append(slices.Clone(ids), id)))
}

func without(ids []string, id string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(have string) bool { return have == id })
}

// awayReader is a database that doesn't answer.
type awayReader struct {
	domain.Reader
	err error
}

func (r awayReader) Workspace(context.Context, string) (domain.Workspace, error) {
	return domain.Workspace{}, r.err
}

func (r awayReader) Subscription(context.Context, string) (domain.Subscription, error) {
	return domain.Subscription{}, r.err
}

func (r awayReader) Member(context.Context, string, string) (domain.Member, error) {
	return domain.Member{}, r.err
}

func (r awayReader) Role(context.Context, string, string) (domain.Role, error) {
	return domain.Role{}, r.err
}

func (r awayReader) Team(context.Context, string, string) (domain.Team, error) {
	return domain.Team{}, r.err
}

func (r awayReader) Room(context.Context, string, string) (domain.Room, error) {
	return domain.Room{}, r.err
}

func (r awayReader) Message(context.Context, string, string) (domain.Message, error) {
	return domain.Message{}, r.err
}

func (r awayReader) Notification(context.Context, string, string) (domain.Notification, error) {
	return domain.Notification{}, r.err
}
