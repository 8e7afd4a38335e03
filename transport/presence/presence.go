// Package presence says who is online: a member is, while they have a session.
package presence

import (
	"time"

	"github.com/orbit/realtime/domain"
)

// Broadcaster carries presence.update to the workspace. Package hub implements it.
type Broadcaster interface {
	Broadcast(workspaceID string, ev domain.ServerEvent, key string)
}

// Tracker implements hub.Presence.
type Tracker struct{}

// New makes a tracker. grace is how long an abnormal drop waits before the
// member goes offline; zero means at once.
func New(b Broadcaster, grace time.Duration) *Tracker { panic("stub") }

func (t *Tracker) Join(workspaceID, memberID, sessionID string)              { panic("stub") }
func (t *Tracker) Leave(workspaceID, memberID, sessionID string, clean bool) { panic("stub") }
func (t *Tracker) View(workspaceID string, fn func(online []string))         { panic("stub") }

// Online returns the sorted ids of members online.
func (t *Tracker) Online(workspaceID string) []string { panic("stub") }

// Stop cancels pending graces without flipping anybody. Idempotent.
func (t *Tracker) Stop() { panic("stub") }
