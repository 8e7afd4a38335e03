package handlers_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orbit/realtime/domain"
)

// The promise of level-triggered projection: whatever the bus does to the
// order and number of domain events, as long as each is projected at least once
// after its commit, every client ends in the state of the database.
//
// The test interleaves random commands with random deliveries: out of order,
// twice, or crashed (projected and thrown away, as when a node dies before the
// batch commits) and redelivered. Then each observer's client, who applies what
// its channels carry by version alone, must hold exactly what that member may
// see. A second client gets the same entries in random order, which the log
// never does; versions alone must be enough.
func TestClientsConvergeOnTheDatabase(t *testing.T) {
	observers := []string{"ann", "bob", "cat"}
	guests := []string{"dan", "eve"}

	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(observers...)
		w.createRoom("open_0")
		w.createRoom("private_0", "ann", "bob")
		w.events = nil // the clients' snapshots hold all that

		clients := map[string]*client{}
		for _, m := range observers {
			clients[m] = newClient(visible(w, m))
		}

		var log []domain.ServerEvent
		next := 0 // numbers names and ids, so that every state is another one
		fresh := func(prefix string) string { next++; return fmt.Sprintf("%s_%d", prefix, next) }
		actions := commands(w, fresh, guests)
		pick := func(t *rapid.T) int {
			if len(w.events) == 0 {
				t.Skip("nothing waits")
			}
			return rapid.IntRange(0, len(w.events)-1).Draw(t, "waiting event")
		}
		actions["deliver"] = func(t *rapid.T) {
			i := pick(t)
			log = append(log, project(t, w, w.events[i])...)
			w.events = slices.Delete(w.events, i, i+1)
		}
		actions["deliver, and once more later"] = func(t *rapid.T) {
			log = append(log, project(t, w, w.events[pick(t)])...)
		}
		actions["crash, and redeliver"] = func(t *rapid.T) {
			project(t, w, w.events[pick(t)])
		}
		t.Repeat(actions)
		for _, ev := range rapid.Permutation(w.events).Draw(t, "the rest") {
			log = append(log, project(t, w, ev)...)
		}

		for _, m := range observers {
			want := visible(w, m)
			inOrder, shuffled := clients[m], newClient(clients[m].rows)
			for _, ev := range log {
				inOrder.receive(t, m, w.id, ev)
			}
			require.Equal(t, want, inOrder.state(), "what %s sees", m)
			for _, ev := range rapid.Permutation(log).Draw(t, "shuffled") {
				shuffled.receive(t, m, w.id, ev)
			}
			require.Equal(t, want, shuffled.state(), "what %s sees, by versions alone", m)
		}
		requirePrivacy(t, log)
	})
}

// commands is one random action per kind of change.
func commands(w *world, fresh func(string) string, guests []string) map[string]func(*rapid.T) {
	// one picks an id, or skips the action when there is none.
	one := func(t *rapid.T, ids []string) string {
		if len(ids) == 0 {
			t.Skip("no candidate")
		}
		slices.Sort(ids)
		return rapid.SampledFrom(ids).Draw(t, "id")
	}
	isGuest := func(m domain.Member) bool { return slices.Contains(guests, m.ID) }
	private := func(r domain.Room) bool { return r.Private }
	return map[string]func(*rapid.T){
		"rename workspace": func(*rapid.T) { w.renameWorkspace(fresh("name")) },
		"change seats":     func(t *rapid.T) { w.changeSeats(rapid.IntRange(1, 99).Draw(t, "seats")) },
		"join":             func(t *rapid.T) { w.join(one(t, missing(w.members, guests))) },
		"rename member": func(t *rapid.T) {
			w.changeMember(domain.EventMemberUpdated, one(t, keys(w.members)), fresh("name"), "role_guest")
		},
		"change role": func(t *rapid.T) {
			w.changeMember(domain.EventMemberRoleChanged, one(t, keys(w.members)), fresh("name"), fresh("role"))
		},
		"remove member": func(t *rapid.T) { w.removeMember(one(t, where(w.members, isGuest))) },
		"create role":   func(*rapid.T) { w.createRole(fresh("role"), fresh("name")) },
		"restore role":  func(t *rapid.T) { w.createRole(one(t, missing(w.roles, graves(w, "role"))), fresh("name")) },
		"rename role":   func(t *rapid.T) { w.renameRole(one(t, keys(w.roles)), fresh("name")) },
		"delete role":   func(t *rapid.T) { w.deleteRole(one(t, keys(w.roles))) },
		"create team":   func(*rapid.T) { w.createTeam(fresh("team"), fresh("name"), "ann") },
		"restore team":  func(t *rapid.T) { w.createTeam(one(t, missing(w.teams, graves(w, "team"))), fresh("name")) },
		"rename team":   func(t *rapid.T) { w.renameTeam(one(t, keys(w.teams)), fresh("name")) },
		"join team": func(t *rapid.T) {
			id := one(t, keys(w.teams))
			w.joinTeam(id, one(t, minus(keys(w.members), w.teams[id].MemberIDs)))
		},
		"leave team": func(t *rapid.T) {
			id := one(t, keys(w.teams))
			w.leaveTeam(id, one(t, slices.Clone(w.teams[id].MemberIDs)))
		},
		"delete team":      func(t *rapid.T) { w.deleteTeam(one(t, keys(w.teams))) },
		"open a room":      func(*rapid.T) { w.createRoom(fresh("open")) },
		"open for members": func(t *rapid.T) { w.createRoom(fresh("private"), one(t, keys(w.members))) },
		"rename room":      func(t *rapid.T) { w.renameRoom(one(t, keys(w.rooms)), fresh("name")) },
		"invite": func(t *rapid.T) {
			id := one(t, where(w.rooms, private))
			w.invite(id, one(t, minus(keys(w.members), w.rooms[id].MemberIDs)))
		},
		"leave room": func(t *rapid.T) {
			id := one(t, where(w.rooms, private))
			w.leaveRoom(id, one(t, slices.Clone(w.rooms[id].MemberIDs)))
		},
		"delete room": func(t *rapid.T) { w.deleteRoom(one(t, keys(w.rooms))) },
	}
}

// Messages are facts: a backlog of them never collapses, so each event leads to
// an entry of its own. They converge all the same, for whoever is in the room.
func TestMessagesConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld("ann")
		next := 0
		fresh := func(prefix string) string { next++; return fmt.Sprintf("%s_%d", prefix, next) }
		one := func(t *rapid.T) string {
			if len(w.messages) == 0 {
				t.Skip("no message")
			}
			return rapid.SampledFrom(slices.Sorted(maps.Keys(w.messages))).Draw(t, "message")
		}
		var log []domain.ServerEvent
		t.Repeat(map[string]func(*rapid.T){
			"post":   func(*rapid.T) { w.post(fresh("msg"), "room_1", fresh("body")) },
			"edit":   func(t *rapid.T) { w.editMessage(one(t), fresh("body")) },
			"delete": func(t *rapid.T) { w.deleteMessage(one(t)) },
			"deliver": func(t *rapid.T) {
				if len(w.events) == 0 {
					t.Skip("nothing waits")
				}
				log = append(log, project(t, w, rapid.SampledFrom(w.events).Draw(t, "event"))...)
			},
		})
		for _, ev := range rapid.Permutation(w.events).Draw(t, "the rest") {
			entries := project(t, w, ev)
			if _, stands := w.messages[ev.AggregateID]; stands {
				require.Len(t, entries, 1, "a fact about a message that stands is never swallowed")
			}
			log = append(log, entries...)
		}

		reader := newClient(map[string]row{})
		for _, ev := range rapid.Permutation(log).Draw(t, "shuffled") {
			require.Equal(t, domain.RoomChannel("room_1"), ev.Channel)
			ev.Channel = domain.WorkspaceChannel(w.id) // as one who is subscribed
			reader.receive(t, "ann", w.id, ev)
		}
		want := map[string]row{}
		for id, m := range w.messages {
			want[id] = row{m.Version, m}
		}
		require.Equal(t, want, reader.state())
	})
}
