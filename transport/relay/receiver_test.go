package relay_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// soon is how long tests wait for what other goroutines and servers do.
const soon = 20 * time.Second

// ear is a Receiver that remembers.
type ear struct {
	mu       sync.Mutex
	appended []domain.Appended
	advanced map[string]domain.Position
	presence []domain.NodePresence
	commands int
	misses   int
}

func newEar() *ear { return &ear{advanced: map[string]domain.Position{}} }

func (e *ear) Appended(a domain.Appended) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.appended = append(e.appended, a)
}

func (e *ear) Advanced(workspaceID string, p domain.Position) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advanced[workspaceID] = p
}

func (e *ear) Presence(changes []domain.NodePresence) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.presence = append(e.presence, changes...)
}

func (e *ear) Commanded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.commands++
}

func (e *ear) Missed([]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.misses++
}

// heads returns the highest offset heard of, by workspace, in whatever way.
func (e *ear) heads() map[string]int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	heads := map[string]int64{}
	for _, a := range e.appended {
		heads[a.WorkspaceID] = max(heads[a.WorkspaceID], a.Entries[len(a.Entries)-1].Offset)
	}
	for id, p := range e.advanced {
		heads[id] = max(heads[id], p.Offset)
	}
	return heads
}

// entries returns those heard of, but the first, which wake repeats.
func (e *ear) entries(workspaceID string) (all []domain.Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.appended {
		if a.WorkspaceID == workspaceID {
			all = append(all, a.Entries...)
		}
	}
	return slices.DeleteFunc(all, func(e domain.Entry) bool { return e.Offset == 1 })
}

func (e *ear) missed() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.misses
}

func (e *ear) heardOf() []domain.NodePresence {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.presence)
}

func (e *ear) commanded() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.commands
}

func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	require.Eventually(t, fn, soon, 2*time.Millisecond, what)
}
