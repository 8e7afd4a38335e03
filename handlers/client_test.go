package handlers_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// row is one entity as a client holds it. A tombstone is remembered too, with
// its version and no entity.
type row struct {
	version int64
	entity  any
}

// client applies server events the way docs/protocol.md asks of one: take a version if
// it is newer, ignore it otherwise.
type client struct{ rows map[string]row }

// newClient starts from a snapshot.
func newClient(snapshot map[string]row) *client { return &client{maps.Clone(snapshot)} }

// receive applies ev if it is on a channel that every session of member has.
func (c *client) receive(t require.TestingT, member, workspaceID string, ev domain.ServerEvent) {
	if ev.Channel != domain.WorkspaceChannel(workspaceID) && ev.Channel != domain.MemberChannel(member) {
		return
	}
	switch p := ev.Payload.(type) {
	case domain.WorkspacePayload:
		c.apply(p.Workspace.ID, p.Workspace.Version, p.Workspace)
	case domain.SubscriptionPayload:
		c.apply(p.Subscription.ID, p.Subscription.Version, p.Subscription)
	case domain.MemberPayload:
		c.apply(p.Member.ID, p.Member.Version, p.Member)
	case domain.RolePayload:
		c.apply(p.Role.ID, p.Role.Version, p.Role)
	case domain.TeamPayload:
		c.apply(p.Team.ID, p.Team.Version, p.Team)
	case domain.TeamMemberPayload:
		c.apply(p.Team.ID, p.Team.Version, p.Team)
	case domain.RoomPayload:
		c.apply(p.Room.ID, p.Room.Version, p.Room)
	case domain.MemberTombstone:
		c.apply(p.Member.ID, p.Member.Version, nil)
	case domain.RoleTombstone:
		c.apply(p.Role.ID, p.Role.Version, nil)
	case domain.TeamTombstone:
		c.apply(p.Team.ID, p.Team.Version, nil)
	case domain.RoomTombstone:
		c.apply(p.Room.ID, p.Room.Version, nil)
	case domain.MessagePayload:
		c.apply(p.Message.ID, p.Message.Version, p.Message)
	case domain.MessageTombstone:
		c.apply(p.Message.ID, p.Message.Version, nil)
	default:
		require.Fail(t, "unexpected payload", "%T", p)
	}
}

func (c *client) apply(id string, version int64, entity any) {
	if version > c.rows[id].version {
		c.rows[id] = row{version, entity}
	}
}

// state is what the client shows: all but the tombstones.
func (c *client) state() map[string]row {
	state := maps.Clone(c.rows)
	maps.DeleteFunc(state, func(_ string, r row) bool { return r.entity == nil })
	return state
}

// visible is what the database holds for a member: the snapshot's rule.
func visible(w *world, member string) map[string]row {
	state := map[string]row{
		w.id:              {w.workspace.Version, w.workspace},
		w.subscription.ID: {w.subscription.Version, w.subscription},
	}
	for id, m := range w.members {
		state[id] = row{m.Version, m}
	}
	for id, r := range w.roles {
		state[id] = row{r.Version, r}
	}
	for id, t := range w.teams {
		state[id] = row{t.Version, t}
	}
	for id, r := range w.rooms {
		if r.Admits(member) {
			state[id] = row{r.Version, r}
		}
	}
	return state
}

// requirePrivacy checks that a private room is told of to its members alone.
// Rooms whose ids begin with "private" are.
func requirePrivacy(t require.TestingT, log []domain.ServerEvent) {
	for _, ev := range log {
		switch p := ev.Payload.(type) {
		case domain.RoomPayload:
			if p.Room.Private {
				require.Equal(t, domain.KindMember, ev.Channel.Kind(), "%s of %s", ev.Type, p.Room.ID)
				require.Contains(t, p.Room.MemberIDs, ev.Channel.ID(), "%s of %s", ev.Type, p.Room.ID)
			}
		case domain.RoomTombstone:
			if strings.HasPrefix(p.Room.ID, "private") {
				require.NotEqual(t, domain.KindWorkspace, ev.Channel.Kind(), "%s of %s", ev.Type, p.Room.ID)
			}
		}
	}
}

func keys[T any](rows map[string]T) []string { return slices.Collect(maps.Keys(rows)) }

func where[T any](rows map[string]T, match func(T) bool) []string {
	return slices.DeleteFunc(keys(rows), func(id string) bool { return !match(rows[id]) })
}

// missing is those of ids that have no row.
func missing[T any](rows map[string]T, ids []string) []string { return minus(ids, keys(rows)) }

func minus(ids, others []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(others, id) })
}

// graves is the ids of one kind that were deleted at some time.
func graves(w *world, prefix string) []string {
	return slices.DeleteFunc(keys(w.buried), func(id string) bool { return !strings.HasPrefix(id, prefix+"_") })
}
