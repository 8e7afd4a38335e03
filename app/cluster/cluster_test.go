package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// shared is a database in memory.
type shared struct {
	mu       sync.Mutex
	nodes    map[string]store.Node
	presence map[string][]domain.NodePresence
	commands []store.Command
	answers  map[string]string // to one question at a time
	evicted  []string
	removed  []string
	down     bool
	clock    int64
}

var errDown = errors.New("away")

func newShared() *shared {
	return &shared{nodes: map[string]store.Node{}, presence: map[string][]domain.NodePresence{}, answers: map[string]string{}}
}

func (s *shared) do(fn func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	fn()
	return nil
}

func (s *shared) Beat(_ context.Context, n store.Node) (nodes []store.Node, joined bool, err error) {
	err = s.do(func() {
		_, was := s.nodes[n.ID]
		joined = !was
		s.clock++
		n.Beat = time.Now().UnixMicro() + s.clock
		s.nodes[n.ID] = n
		nodes = slices.Collect(maps.Values(s.nodes))
	})
	return nodes, joined, err
}

func (s *shared) RemoveNode(_ context.Context, id string, beat int64) error {
	return s.do(func() {
		if s.nodes[id].Beat == beat {
			delete(s.nodes, id)
			delete(s.presence, id)
			s.removed = append(s.removed, id)
		}
	})
}

func (s *shared) EvictLanes(_ context.Context, id string) error {
	return s.do(func() { s.evicted = append(s.evicted, id) })
}

func (s *shared) PresenceSince(_ context.Context, self string, known map[string]int64) (changes []domain.NodePresence, err error) {
	err = s.do(func() {
		for id := range s.nodes {
			for _, p := range s.presence[id] {
				if id != self && p.Version > known[id] {
					changes = append(changes, p)
				}
			}
		}
	})
	return changes, err
}

func (s *shared) AddCommand(_ context.Context, kind, arg string) error {
	return s.do(func() {
		s.commands = append(s.commands, store.Command{ID: int64(len(s.commands)), Kind: kind, Arg: arg})
	})
}

func (s *shared) Commands(context.Context, time.Duration) (list []store.Command, err error) {
	err = s.do(func() { list = slices.Clone(s.commands) })
	return list, err
}

func (s *shared) PruneCommands(context.Context, time.Duration) error { return nil }

func (s *shared) AddAnswer(_ context.Context, question, id, answer string) error {
	return s.do(func() { s.answers[question+id] = answer })
}

func (s *shared) Answered(context.Context, string) (n int, err error) {
	err = s.do(func() { n = len(s.answers) })
	return n, err
}

func (s *shared) TakeAnswers(_ context.Context, question string) (answers map[string]string, err error) {
	answers = map[string]string{}
	err = s.do(func() {
		for key, answer := range s.answers {
			answers[key[len(question):]] = answer
		}
		clear(s.answers)
	})
	return answers, err
}

func (s *shared) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// says appends to a node's set, as its recorder would.
func (s *shared) says(node, member string, online bool) domain.NodePresence {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := domain.NodePresence{
		Presence: domain.Presence{WorkspaceID: "w", MemberID: member, Online: online},
		Node:     node, Version: int64(len(s.presence[node]) + 1),
	}
	s.presence[node] = append(s.presence[node], p)
	return p
}

// sets is a Presence that keeps each node's set, and counts how often one was dropped.
type sets struct {
	mu    sync.Mutex
	of    map[string]map[string]bool
	drops map[string]int
}

func (s *sets) Apply(changes []domain.NodePresence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		if s.of[c.Node] == nil {
			s.of[c.Node] = map[string]bool{}
		}
		if delete(s.of[c.Node], c.MemberID); c.Online {
			s.of[c.Node][c.MemberID] = true
		}
	}
}

func (s *sets) Replace(node string, set []domain.NodePresence) {
	s.mu.Lock()
	if len(s.of[node]) > 0 && len(set) == 0 {
		s.drops[node]++
	}
	delete(s.of, node)
	s.mu.Unlock()
	s.Apply(set)
}

func (s *sets) members(node string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.of[node]))
}

type member struct {
	*Cluster
	sets     *sets
	obeyed   []string
	rejoined int
}

func join(t *testing.T, db *shared, id string) *member {
	m := &member{sets: &sets{of: map[string]map[string]bool{}, drops: map[string]int{}}}
	m.Cluster = New(db, m.sets, Config{
		Self: store.Node{ID: id}, Lease: 5 * time.Second, PresenceLease: 8 * time.Second,
		OnCommand:  func(c store.Command) { m.obeyed = append(m.obeyed, c.Kind+" "+c.Arg) },
		OnAsk:      func(kind, arg string) string { return id + " " + kind + " " + arg },
		OnRejoined: func() { m.rejoined++ }, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, m.Start(t.Context()))
	return m
}

func quotas(lanes int, members ...*member) (q []int) {
	for _, m := range members {
		q = append(q, m.LaneQuota(lanes))
	}
	return q
}

// pause lets time pass, and what is due then happen.
func pause(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Each node's share is its own finding, and together they are all lanes.
func TestQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newShared()
		a := join(t, db, "a")
		require.Equal(t, []int{4}, quotas(4, a))
		require.True(t, a.Alone())
		b, c := join(t, db, "b"), join(t, db, "c")
		pause(2 * time.Second)
		require.Equal(t, []int{2, 1, 1}, quotas(4, a, b, c))
		require.False(t, a.Alone())
		require.Equal(t, []int{1, 1, 0}, quotas(2, a, b, c))

		a.Retire()
		pause(2 * time.Second)
		require.Equal(t, []int{2, 2}, quotas(4, b, c), "a takes no lanes anymore")
		a.Stop()
		b.Stop() // without a word
		pause(4 * time.Second)
		require.Equal(t, []int{2}, quotas(4, c))
		pause(3 * time.Second)
		require.Equal(t, []int{4}, quotas(4, c))
		require.ElementsMatch(t, []string{"a", "b"}, db.evicted)
		require.Len(t, c.Nodes(), 1)
		c.Stop()
	})
}

// A node dies: its members stay for the presence lease, and go once; its row
// goes as well, and nobody hears of it again.
func TestADeadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newShared()
		a, b, c := join(t, db, "a"), join(t, db, "b"), join(t, db, "c")
		late := db.says("c", "m", true)
		pause(2 * time.Second)
		c.Stop()
		for range 6 {
			pause(time.Second)
			require.Equal(t, []string{"m"}, a.sets.members("c"))
		}
		pause(4 * time.Second)
		for _, m := range []*member{a, b} {
			require.Empty(t, m.sets.members("c"))
			require.Equal(t, 1, m.sets.drops["c"])
			m.Heard([]domain.NodePresence{late})
			require.Empty(t, m.sets.members("c"), "a hint that was on its way for long")
		}
		require.Equal(t, []string{"c"}, db.removed)
		a.Stop()
		b.Stop()
	})
}

// However long the database is away, or a node stands still, nobody is taken
// for dead who couldn't have shown otherwise.
func TestAnOutageKillsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newShared()
		a, b := join(t, db, "a"), join(t, db, "b")
		db.says("a", "m", true)
		db.says("b", "n", true)
		pause(2 * time.Second)
		for range 3 {
			db.set(true)
			pause(time.Hour)
			db.set(false)
			pause(10 * time.Second)
		}
		require.Equal(t, []string{"m"}, b.sets.members("a"))
		require.Equal(t, []string{"n"}, a.sets.members("b"))
		require.Zero(t, b.sets.drops["a"]+a.sets.drops["b"])
		require.Zero(t, a.rejoined+b.rejoined)
		require.Empty(t, db.removed)
		a.Stop()
		b.Stop()
	})
}

// A node that was taken for dead comes back: it is told to write its set anew,
// and the others take it in.
func TestANodeThatWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newShared()
		a, b := join(t, db, "a"), join(t, db, "b")
		db.says("b", "m", true)
		pause(2 * time.Second)
		b.Stop()
		pause(time.Minute)
		require.Empty(t, a.sets.members("b"))
		require.NoError(t, b.beat(t.Context()))
		require.Equal(t, 1, b.rejoined)
		db.says("b", "m", true)
		pause(2 * time.Second)
		require.Equal(t, []string{"m"}, a.sets.members("b"))
		a.Stop()
	})
}

// The record and hints together: whatever is said twice, or late, or by the
// record alone, ends as it is.
func TestHintsAndRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newShared()
		a, b := join(t, db, "a"), join(t, db, "b")
		pause(1500 * time.Millisecond)
		first := db.says("b", "m", true)
		a.Heard([]domain.NodePresence{first})
		require.Equal(t, []string{"m"}, a.sets.members("b"), "at once")
		db.says("b", "m", false)
		db.says("b", "n", true)
		pause(time.Second)
		require.Equal(t, []string{"n"}, a.sets.members("b"), "by the record")
		a.Heard([]domain.NodePresence{first})
		require.Equal(t, []string{"n"}, a.sets.members("b"), "what is old changes nothing")
		a.Stop()
		b.Stop()
	})
}

func TestCommandsAreCarriedOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newShared()
		a, b := join(t, db, "a"), join(t, db, "b")
		for i := range 3 {
			require.NoError(t, a.Command(t.Context(), "end", fmt.Sprint(i)))
			b.Hint()
		}
		pause(500 * time.Millisecond)
		want := []string{"end 0", "end 1", "end 2"}
		require.Equal(t, want, b.obeyed, "at once, with a hint")
		require.NoError(t, a.Command(t.Context(), "end", "3"))
		pause(10 * time.Second)
		want = append(want, "end 3")
		require.Equal(t, want, a.obeyed)
		require.Equal(t, want, b.obeyed)
		db.set(true)
		require.ErrorIs(t, a.Command(t.Context(), "end", "4"), errDown)
		a.Stop()
		b.Stop()
		a.Stop()
	})
}

// A question goes to those who are alive; whoever hangs is not waited for long.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newShared()
		a := join(t, db, "a")
		answers, err := a.Ask(t.Context(), "k", "x", func() {})
		require.NoError(t, err)
		require.Empty(t, answers)
		b, c := join(t, db, "b"), join(t, db, "c")
		pause(2 * time.Second)
		began := time.Now()
		answers, err = a.Ask(t.Context(), "k", "x", func() { b.Hint(); c.Hint() })
		require.NoError(t, err)
		require.Equal(t, map[string]string{"b": "b k x", "c": "c k x"}, answers)
		require.Less(t, time.Since(began), time.Second)

		c.Stop()
		answers, err = a.Ask(t.Context(), "k", "y", func() {})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"b": "b k y"}, answers)
		require.Empty(t, a.obeyed, "a question is no command")
		a.Stop()
		b.Stop()
	})
}
