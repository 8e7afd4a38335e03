package handlers_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
)

func project(t require.TestingT, w *world, ev domain.Event) []domain.ServerEvent {
	projector := handlers.Table()[ev.Type]
	require.NotNil(t, projector, "no projector for %s: add it to Table in handlers/handlers.go", ev.Type)
	events, err := projector(context.Background(), w, ev)
	require.NoError(t, err, "%s %s", ev.Type, ev.AggregateID)
	return events
}

func TestEveryDomainEventHasOneProjector(t *testing.T) {
	table := handlers.Table()
	for _, spec := range domain.EventTypes {
		require.NotNil(t, table[spec.Type], "no projector for %s: add it to Table in handlers/handlers.go", spec.Type)
	}
	require.Len(t, table, len(domain.EventTypes), "a projector for a type that isn't in domain.EventTypes")
}

// samples is one world per domain event type in which its projector speaks.
var samples = map[domain.EventType]func(w *world) domain.Event{
	domain.EventWorkspaceUpdated: func(w *world) domain.Event { return w.renameWorkspace("Acme Ltd") },
	domain.EventMemberJoined:     func(w *world) domain.Event { return w.join("mem_9") },
	domain.EventMemberUpdated: func(w *world) domain.Event {
		return w.changeMember(domain.EventMemberUpdated, "mem_1", "Ann", "role_guest")
	},
	domain.EventMemberRoleChanged: func(w *world) domain.Event {
		return w.changeMember(domain.EventMemberRoleChanged, "mem_1", "mem_1", "role_admin")
	},
	domain.EventMemberRemoved:   func(w *world) domain.Event { return w.removeMember("mem_1") },
	domain.EventRoleCreated:     func(w *world) domain.Event { return w.createRole("role_1", "Support") },
	domain.EventRoleUpdated:     func(w *world) domain.Event { w.createRole("role_1", "Support"); return w.renameRole("role_1", "Care") },
	domain.EventRoleDeleted:     func(w *world) domain.Event { w.createRole("role_1", "Support"); return w.deleteRole("role_1") },
	domain.EventTeamCreated:     func(w *world) domain.Event { return w.createTeam("team_1", "Core") },
	domain.EventTeamUpdated:     func(w *world) domain.Event { w.createTeam("team_1", "Core"); return w.renameTeam("team_1", "Kernel") },
	domain.EventTeamDeleted:     func(w *world) domain.Event { w.createTeam("team_1", "Core"); return w.deleteTeam("team_1") },
	domain.EventTeamMemberAdded: func(w *world) domain.Event { w.createTeam("team_1", "Core"); return w.joinTeam("team_1", "mem_1") },
	domain.EventTeamMemberRemoved: func(w *world) domain.Event {
		w.createTeam("team_1", "Core", "mem_1")
		return w.leaveTeam("team_1", "mem_1")
	},
	domain.EventSubscriptionUpdated: func(w *world) domain.Event { return w.changeSeats(50) },
	domain.EventRoomCreated:         func(w *world) domain.Event { return w.createRoom("room_1") },
	domain.EventRoomUpdated:         func(w *world) domain.Event { w.createRoom("room_1"); return w.renameRoom("room_1", "lobby") },
	domain.EventRoomDeleted:         func(w *world) domain.Event { w.createRoom("room_1"); return w.deleteRoom("room_1") },
	domain.EventRoomMemberAdded:     func(w *world) domain.Event { w.createRoom("room_2", "mem_1"); return w.invite("room_2", "mem_2") },
	domain.EventRoomMemberRemoved: func(w *world) domain.Event {
		w.createRoom("room_2", "mem_1", "mem_2")
		return w.leaveRoom("room_2", "mem_2")
	},
	domain.EventMessagePosted:  func(w *world) domain.Event { return w.post("msg_1", "room_1", "hi") },
	domain.EventMessageEdited:  func(w *world) domain.Event { w.post("msg_1", "room_1", "hi"); return w.editMessage("msg_1", "hello") },
	domain.EventMessageDeleted: func(w *world) domain.Event { w.post("msg_1", "room_1", "hi"); return w.deleteMessage("msg_1") },
	domain.EventMemberNotified: func(w *world) domain.Event { return w.notify("ntf_1", "mem_1") },
}

// sample makes the world of an event type, in w.
func sample(t *testing.T, w *world, et domain.EventType) domain.Event {
	t.Helper()
	prepare := samples[et]
	require.NotNil(t, prepare, "no sample for %s: add to samples, in handlers/table_test.go, a world in which its projector speaks", et)
	return prepare(w)
}

// The catalog is what types and documentation are generated from: it must name
// exactly the causes, the payload and the channel that projectors produce.
func TestProjectorsProduceTheCatalog(t *testing.T) {
	produced := map[domain.ServerEventType][]domain.EventType{}
	for _, spec := range domain.EventTypes {
		w := newWorld("mem_1", "mem_2")
		for _, ev := range project(t, w, sample(t, w, spec.Type)) {
			entry := catalogEntry(t, ev.Type)
			require.Equal(t, reflect.TypeOf(entry.Payload), reflect.TypeOf(ev.Payload), "payload of %s", ev.Type)
			if spec.Type == domain.EventRoomMemberAdded || spec.Type == domain.EventRoomMemberRemoved {
				// Only private rooms have members, and those are told one by one.
				require.Equal(t, domain.KindMember, ev.Channel.Kind(), "channel of %s after %s", ev.Type, spec.Type)
			} else {
				require.Equal(t, entry.Channel, ev.Channel.Kind(), "channel of %s", ev.Type)
			}
			if !slices.Contains(produced[ev.Type], spec.Type) {
				produced[ev.Type] = append(produced[ev.Type], spec.Type)
			}
			_, err := domain.EncodeServerEvent(ev, "cause", time.Time{})
			require.NoError(t, err)
		}
	}
	for _, entry := range domain.Catalog {
		require.ElementsMatch(t, entry.Causes, produced[entry.Type], "causes of %s", entry.Type)
	}
}

func catalogEntry(t *testing.T, st domain.ServerEventType) domain.ServerEventSpec {
	t.Helper()
	i := slices.IndexFunc(domain.Catalog, func(s domain.ServerEventSpec) bool { return s.Type == st })
	require.GreaterOrEqual(t, i, 0, "%s is not in the catalog", st)
	return domain.Catalog[i]
}

// The projector may run long after the commit; by then a deletion may have
// raced it, and clients must not hear of a row that no longer exists.
func TestARowThatIsGoneIsSilence(t *testing.T) {
	for _, spec := range domain.EventTypes {
		switch spec.Type {
		case domain.EventMemberRemoved, domain.EventRoleDeleted, domain.EventTeamDeleted,
			domain.EventRoomDeleted, domain.EventMessageDeleted, domain.EventRoomMemberRemoved,
			domain.EventWorkspaceUpdated, domain.EventSubscriptionUpdated:
			continue // tombstones have tests of their own; the last two go with their workspace
		}
		w := newWorld("mem_1", "mem_2")
		ev := sample(t, w, spec.Type)
		require.NotEmpty(t, project(t, w, ev), spec.Type)
		gone := newWorld()
		require.Empty(t, project(t, gone, ev), spec.Type)
	}
	elsewhere := domain.NewEvent(domain.EventWorkspaceUpdated, "ws_gone", "ws_gone", domain.Changed{Version: 1})
	require.Empty(t, project(t, newWorld(), elsewhere))
	elsewhere = domain.NewEvent(domain.EventSubscriptionUpdated, "ws_gone", "sub_1", domain.Changed{Version: 1})
	require.Empty(t, project(t, newWorld(), elsewhere))
}

func TestADeletionIsSilentWhenTheRowIsThereAgain(t *testing.T) {
	for _, deletion := range []domain.EventType{
		domain.EventMemberRemoved, domain.EventRoleDeleted, domain.EventTeamDeleted,
		domain.EventRoomDeleted, domain.EventMessageDeleted,
	} {
		before := newWorld("mem_1", "mem_2")
		ev := sample(t, before, deletion)
		require.NotEmpty(t, project(t, before, ev), deletion)

		again := newWorld("mem_1", "mem_2")
		again.createRole("role_1", "Support")
		again.createTeam("team_1", "Core")
		again.createRoom("room_1")
		again.post("msg_1", "room_1", "hi")
		require.Empty(t, project(t, again, ev), deletion)
	}
}

// A workspace's event that names another tenant's aggregate reads nothing.
func TestProjectorsStayInTheWorkspaceOfTheEvent(t *testing.T) {
	w := newWorld("mem_1", "mem_2")
	for _, spec := range domain.EventTypes {
		ev := sample(t, w, spec.Type)
		ev.WorkspaceID = "ws_2"
		for _, out := range project(t, w, ev) {
			require.NotEqual(t, domain.WorkspaceChannel(w.id), out.Channel, spec.Type)
			require.Contains(t, reflect.TypeOf(out.Payload).Name(), "Tombstone", spec.Type)
		}
	}
}

// A database that is away is not a row that is gone: the error goes up as it
// is, so that the bus can tell transient from permanent.
func TestReadErrorsGoUp(t *testing.T) {
	away := domain.Transient(errors.New("connection refused"), "the database is away")
	w := newWorld("mem_1", "mem_2")
	for _, spec := range domain.EventTypes {
		events, err := handlers.Table()[spec.Type](context.Background(), awayReader{err: away}, sample(t, w, spec.Type))
		require.Empty(t, events, spec.Type)
		require.True(t, domain.IsTransient(err), "%s: %v", spec.Type, err)
	}
}
