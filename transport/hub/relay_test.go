package hub_test

import (
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

// A hint without entries makes the hub read them; one about what is here
// already costs nothing.
func TestPositionHints(t *testing.T) {
	bubble(t, hub.Config{SafetyRead: time.Hour}, func(w *world) {
		m := w.connect(member("m"))
		w.log.add(ws, times(3, toAll)...)
		w.hub.Advanced(ws, domain.Position{Epoch: "e1", Offset: 3})
		synctest.Wait()
		require.Equal(w.t, offsets(1, 3), m.read())
		before, _ := w.log.calls()
		for offset := range int64(4) {
			w.hub.Advanced(ws, domain.Position{Epoch: "e1", Offset: offset})
		}
		w.hub.Advanced("unknown", domain.Position{Epoch: "e1", Offset: 7})
		synctest.Wait()
		after, _ := w.log.calls()
		require.Equal(w.t, before, after)
	})
}

// A relay that says it lost something brings the safety read forward: many
// such words in a row are one read.
func TestMissedHints(t *testing.T) {
	bubble(t, hub.Config{SafetyRead: time.Hour}, func(w *world) {
		m := w.connect(member("m"))
		w.log.add(ws, times(3, toAll)...)
		_, before := w.log.calls()
		for i := range 1000 {
			w.hub.Missed([][]string{nil, {ws}, {"unknown"}}[i%3])
		}
		time.Sleep(time.Second)
		require.Equal(w.t, offsets(1, 3), m.read())
		_, after := w.log.calls()
		require.LessOrEqual(w.t, after-before, 2)

		w.log.add(ws, toAll)
		w.hub.Missed([]string{"unknown"})
		time.Sleep(time.Second)
		require.Empty(w.t, m.read(), "it was not about this workspace")
		w.hub.Missed([]string{ws})
		time.Sleep(time.Second)
		require.Equal(w.t, list("4"), m.read())
	})
}

// follows is a relay that knows what it is to follow.
type follows struct {
	mu  sync.Mutex
	set map[string]int
}

func (f *follows) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.set)
}

func (f *follows) Follow(id string)   { f.count(id, 1) }
func (f *follows) Unfollow(id string) { f.count(id, -1) }
func (f *follows) count(id string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set[id] += n
}

// A node follows the workspaces that it has tabs of, and for Linger those that
// it had tabs of.
func TestFollowsActiveWorkspaces(t *testing.T) {
	relay := &follows{set: map[string]int{}}
	bubble(t, hub.Config{SafetyRead: time.Second, Linger: 10 * time.Second, Relay: relay}, func(w *world) {
		require.Empty(w.t, relay.counts())
		m, n := w.connect(member("m")), w.connect(member("n"))
		require.Equal(w.t, map[string]int{ws: 1}, relay.counts())
		m.Close(true)
		n.Close(true)
		time.Sleep(5 * time.Second)
		require.Equal(w.t, map[string]int{ws: 1}, relay.counts(), "they may be back soon")
		time.Sleep(10 * time.Second)
		require.Equal(w.t, map[string]int{ws: 0}, relay.counts())
		w.connect(member("m"))
		require.Equal(w.t, map[string]int{ws: 1}, relay.counts())
	})
}
