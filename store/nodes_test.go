package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func beat(t testing.TB, s *store.Store, n store.Node) (nodes []store.Node, joined bool) {
	t.Helper()
	nodes, joined, err := s.Beat(t.Context(), n)
	require.NoError(t, err)
	return nodes, joined
}

func TestNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		a := store.Node{ID: "node_a", Name: "a", Build: "1", Catalog: "c", StartedAt: time.Unix(7, 0).UTC(), Lanes: true, Stats: `{"x":1}`}
		nodes, joined := beat(t, s, a)
		require.True(t, joined)
		require.Len(t, nodes, 1)
		first := nodes[0].Beat
		require.InDelta(t, time.Now().UnixMicro(), first, 5e6, "microseconds, of this machine's clock here")
		nodes[0].Beat = 0
		require.Equal(t, a, nodes[0])

		a.Lanes, a.Stats = false, `{}`
		last := first
		for range 3 {
			nodes, joined = beat(t, s, a)
			require.False(t, joined)
			require.Greater(t, nodes[0].Beat, last, "each beat shows")
			last = nodes[0].Beat
		}
		require.False(t, nodes[0].Lanes)
		nodes, _ = beat(t, s, store.Node{ID: "node_0", Stats: "{}"})
		require.Equal(t, []string{"node_0", "node_a"}, []string{nodes[0].ID, nodes[1].ID})

		require.NoError(t, s.RemoveNode(t.Context(), "node_a", first), "it has beaten since")
		_, joined = beat(t, s, a)
		require.False(t, joined)
		nodes, err := s.Nodes(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.RemoveNode(t.Context(), "node_a", nodes[1].Beat))
		_, joined = beat(t, s, a)
		require.True(t, joined, "and is told that it was taken for dead")
	})
}

func TestPresenceOfNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w, owner, _ := storetest.SeedWorkspace(t, s)
		a, b := "node_a", "node_b"
		beat(t, s, store.Node{ID: a, Stats: "{}"})
		beat(t, s, store.Node{ID: b, Stats: "{}"})
		change := func(node, member string, online bool, version int64) domain.NodePresence {
			return domain.NodePresence{Presence: domain.Presence{WorkspaceID: w.ID, MemberID: member, Online: online}, Node: node, Version: version}
		}
		save := func(node string, changes ...domain.NodePresence) {
			t.Helper()
			require.NoError(t, s.SavePresence(t.Context(), node, changes))
		}
		since := func(node string, known map[string]int64) []domain.NodePresence {
			t.Helper()
			changes, err := s.PresenceSince(t.Context(), node, known)
			require.NoError(t, err)
			return changes
		}

		save(a, change(a, owner.ID, true, 1), change(a, "mem_2", true, 2),
			domain.NodePresence{Presence: domain.Presence{WorkspaceID: "ws_gone", MemberID: "mem_3", Online: true}, Version: 3})
		save(b, change(b, owner.ID, true, 1))
		save("node_unknown", change("", owner.ID, true, 1))
		save(a)
		require.Equal(t, []domain.NodePresence{change(a, owner.ID, true, 1), change(a, "mem_2", true, 2)}, since(b, nil))
		require.Equal(t, []domain.NodePresence{change(b, owner.ID, true, 1)}, since(a, nil))
		require.Empty(t, since(a, map[string]int64{b: 1}))
		require.Len(t, since("node_new", map[string]int64{a: 1}), 2, "one of a's, and all of b's")

		save(a, change(a, owner.ID, false, 4), change(a, "mem_2", true, 5))
		require.Equal(t, []domain.NodePresence{change(a, owner.ID, false, 4), change(a, "mem_2", true, 5)}, since(b, map[string]int64{a: 2}))
		require.NoError(t, s.ForgetPresence(t.Context(), a, 3))
		require.Len(t, since(b, nil), 2)
		require.NoError(t, s.ForgetPresence(t.Context(), a, 5))
		require.Equal(t, []domain.NodePresence{change(a, "mem_2", true, 5)}, since(b, nil), "who is there stays")

		nodes, err := s.Nodes(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.RemoveNode(t.Context(), a, nodes[0].Beat))
		require.Empty(t, since(b, nil))
	})
}

func TestNodeCommands(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.AddCommand(t.Context(), "disconnect", "s_1"))
		require.NoError(t, s.AddCommand(t.Context(), "signed-out", "ses_1"))
		list, err := s.Commands(t.Context(), time.Minute)
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, []string{"disconnect", "s_1", "signed-out", "ses_1"}, []string{list[0].Kind, list[0].Arg, list[1].Kind, list[1].Arg})
		require.NoError(t, s.PruneCommands(t.Context(), time.Minute))
		list, err = s.Commands(t.Context(), time.Minute)
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.NoError(t, s.PruneCommands(t.Context(), -time.Minute))
		list, err = s.Commands(t.Context(), time.Minute)
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

func TestNodeAnswers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		answered := func() int {
			t.Helper()
			n, err := s.Answered(t.Context(), "ask_1")
			require.NoError(t, err)
			return n
		}
		require.Zero(t, answered())
		for _, node := range []string{"a", "b", "b"} {
			require.NoError(t, s.AddAnswer(t.Context(), "ask_1", node, "from "+node))
		}
		require.NoError(t, s.AddAnswer(t.Context(), "ask_2", "a", "to another"))
		require.Equal(t, 2, answered())
		answers, err := s.TakeAnswers(t.Context(), "ask_1")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"a": "from a", "b": "from b"}, answers)
		require.Zero(t, answered())
		require.NoError(t, s.PruneCommands(t.Context(), -time.Minute))
		answers, err = s.TakeAnswers(t.Context(), "ask_2")
		require.NoError(t, err)
		require.Empty(t, answers)
	})
}

// A node that hangs answers nobody, but its connections stand: the lanes would
// lie idle for as long as it hangs.
func TestAHangingNodesLanesCanBeTaken(t *testing.T) {
	dsn := storetest.DSN(t, store.Postgres)
	open := func(id string) *store.Store {
		s, err := store.Open(t.Context(), store.Config{DSN: dsn, NodeID: id})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	a, b := open("node_a"), open("node_b")
	w, _, _ := storetest.SeedWorkspace(t, a)
	old := take(t, a, store.Topic, 0)
	require.NotNil(t, old)
	kept := take(t, b, store.Topic, 1)
	require.Nil(t, take(t, b, store.Topic, 0))

	require.NoError(t, b.EvictLanes(t.Context(), "node_a"))
	var taken store.LaneLock
	eventually(t, "the lane is free", func() bool {
		taken = take(t, b, store.Topic, 0)
		return taken != nil
	})
	requireKept(t, kept)
	_, err := a.CommitEffects(t.Context(), store.Effects{
		Topic: store.Topic, Lane: 0, Epoch: old.Epoch(), Projected: []store.Projection{projection(event(w.ID), 1)},
	})
	require.ErrorIs(t, err, store.ErrFenced, "what wakes can't write")
	requireLost(t, old)
}
