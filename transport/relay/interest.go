package relay

import "sync"

// Interest is the set of workspaces that a node follows. Carriers that can
// route bring their subscriptions in line with it whenever it changes.
type Interest struct {
	mu         sync.Mutex
	workspaces map[string]bool
	touched    map[string]bool // since the last call of changes
	some       chan struct{}   // holds one token while touched is not empty
}

func newInterest() *Interest {
	return &Interest{workspaces: map[string]bool{}, touched: map[string]bool{}, some: make(chan struct{}, 1)}
}

func (i *Interest) set(workspaceID string, follow bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.workspaces[workspaceID] == follow {
		return
	}
	if follow {
		i.workspaces[workspaceID] = true
	} else {
		delete(i.workspaces, workspaceID)
	}
	i.touched[workspaceID] = true
	select {
	case i.some <- struct{}{}:
	default:
	}
}

func (i *Interest) has(workspaceID string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.workspaces[workspaceID]
}

// Changed receives when Changes has something.
func (i *Interest) Changed() <-chan struct{} { return i.some }

// Changes returns what was touched since the last call, and whether it is
// followed now.
func (i *Interest) Changes() map[string]bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	changes := make(map[string]bool, len(i.touched))
	for workspaceID := range i.touched {
		changes[workspaceID] = i.workspaces[workspaceID]
	}
	clear(i.touched)
	return changes
}
