package presence_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/presence"
)

func there(node, member string, version int64) domain.NodePresence {
	return domain.NodePresence{Presence: domain.Presence{WorkspaceID: "w", MemberID: member, Online: true}, Node: node, Version: version}
}

func left(node, member string, version int64) domain.NodePresence {
	c := there(node, member, version)
	c.Online = false
	return c
}

// A member is online while they are on any node: first and last count over all.
func TestUnionOfNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		tr := presence.New(r, grace)
		tr.Apply([]domain.NodePresence{there("b", "m", 1), there("c", "m", 1), there("b", "x", 2)})
		require.Equal(t, []string{"+m", "+x"}, r.take())
		tr.Join("w", "m", "s")
		tr.Apply([]domain.NodePresence{left("b", "m", 3), left("b", "m", 3)})
		tr.Leave("w", "m", "s", true)
		require.Empty(t, r.take())
		require.Equal(t, []string{"m", "x"}, tr.Online("w"))
		require.Equal(t, 2, tr.Members())
		tr.Apply([]domain.NodePresence{left("c", "m", 9)})
		require.Equal(t, []string{"-m"}, r.take())
		tr.Apply([]domain.NodePresence{left("b", "nobody", 10)})
		require.Equal(t, []string{"x"}, tr.Online("w"))
		require.Zero(t, r.twice)
	})
}

// What arrives late doesn't undo what is newer.
func TestLateChanges(t *testing.T) {
	r := &recorder{}
	tr := presence.New(r, grace)
	tr.Apply([]domain.NodePresence{there("b", "m", 5), left("b", "m", 4), there("b", "m", 3)})
	require.Equal(t, []string{"m"}, tr.Online("w"))
	tr.Apply([]domain.NodePresence{left("b", "m", 6)})
	require.Equal(t, []string{"+m", "-m"}, r.take())
}

// A node dies: those who came back elsewhere in time never flip, the others go
// offline once; also the member whose grace still runs here goes with it.
func TestANodeIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		tr := presence.New(r, grace)
		tr.Apply([]domain.NodePresence{there("b", "here", 1), there("b", "there", 2), there("b", "gone", 3), there("b", "blip", 4)})
		r.take()
		tr.Join("w", "here", "s1")
		tr.Apply([]domain.NodePresence{there("c", "there", 1)})
		tr.Join("w", "blip", "s2")
		tr.Leave("w", "blip", "s2", false)
		tr.Replace("b", nil)
		tr.Replace("b", nil)
		require.Equal(t, []string{"-gone"}, r.take())
		time.Sleep(2 * grace)
		require.Equal(t, []string{"-blip"}, r.take())
		require.Equal(t, []string{"here", "there"}, tr.Online("w"))

		tr.Replace("c", []domain.NodePresence{there("c", "new", 7), left("c", "old", 6)})
		require.Equal(t, []string{"+new", "-there"}, r.take())
	})
}

// Whatever is applied, doubled and in whatever order nodes speak, the tracker
// shows the union, and broadcasts each flip once.
func TestUnionConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := &recorder{}
		tr := presence.New(r, 0)
		nodes := []string{"b", "c"}
		truth := map[string]map[string]bool{"a": {}, "b": {}, "c": {}}
		versions := map[string]int64{}
		for i := range rapid.IntRange(1, 60).Draw(rt, "steps") {
			member := fmt.Sprint("m", rapid.IntRange(0, 3).Draw(rt, "member"))
			switch do := rapid.IntRange(0, 4).Draw(rt, "do"); do {
			case 0:
				tr.Join("w", member, "s-"+member)
				truth["a"][member] = true
			case 1:
				tr.Leave("w", member, "s-"+member, i%2 == 0)
				truth["a"][member] = false
			case 2:
				node := rapid.SampledFrom(nodes).Draw(rt, "node")
				tr.Replace(node, nil)
				clear(truth[node])
			default:
				node := rapid.SampledFrom(nodes).Draw(rt, "node")
				versions[node]++
				change := there(node, member, versions[node])
				change.Online = do == 3
				truth[node][member] = change.Online
				tr.Apply([]domain.NodePresence{change, change})
			}
		}
		want := []string{}
		for i := range 4 {
			member := fmt.Sprint("m", i)
			if truth["a"][member] || truth["b"][member] || truth["c"][member] {
				want = append(want, member)
			}
		}
		require.Equal(rt, want, tr.Online("w"))
		require.Zero(rt, r.twice)
	})
}
