// Package hub keeps sessions, channels and a ring of recent entries per active
// workspace, and wakes the sessions that a new entry concerns.
package hub

import (
	"context"
	"log/slog"
	"time"

	"github.com/orbit/realtime/domain"
)

// Log is what the hub reads when its ring doesn't reach back far enough, when
// a hint was lost, and for the safety read. Package store implements it.
type Log interface {
	LogStates(ctx context.Context, workspaceIDs []string) (map[string]domain.LogState, error)
	LogAfter(ctx context.Context, workspaceID string, after, upTo int64, channels []domain.Channel, limit int) ([]domain.Entry, domain.LogState, error)
}

// Entitlements answers from the database, now. Package auth implements it.
type Entitlements interface {
	// Member verifies that the membership still stands (nil, CodeForbidden
	// when it ended, or a transient error).
	Member(ctx context.Context, id Identity) error
	// Room verifies that the member may read the room; a room that is unknown
	// and one that is closed to the member give the same CodeNotFound.
	Room(ctx context.Context, id Identity, room string) error
	// LiveSessions returns those of the sign-in sessions that have not ended.
	LiveSessions(ctx context.Context, authSessionIDs []string) (map[string]bool, error)
}

// Presence is told of sessions coming and going. Package presence implements it.
type Presence interface {
	Join(workspaceID, memberID, sessionID string)
	Leave(workspaceID, memberID, sessionID string, clean bool)
	// View calls fn with the sorted ids of members online, while no flip of
	// that workspace can happen.
	View(workspaceID string, fn func(online []string))
}

// Config has the hub's limits. Zero values mean the defaults.
type Config struct {
	RingSize             int           // entries kept per active workspace (default 1024)
	Heartbeat            time.Duration // default 25 s
	SafetyRead           time.Duration // how often lost hints are looked for (default 1 s)
	MaxSessions          int           // per node (default 20,000)
	MaxWorkspaceSessions int           // per workspace (default 20,000)
	MaxUserSessions      int           // per user (default 100)
	MaxRooms             int           // per session (default 50)
	Logger               *slog.Logger
}

// Hub is the in-process hub.
type Hub struct{}

// New makes a hub. Presence is given with SetPresence, for the two know each other.
func New(log Log, ent Entitlements, cfg Config) *Hub { panic("stub") }

// SetPresence must be called before Start.
func (h *Hub) SetPresence(p Presence) { panic("stub") }

// Start begins the heartbeat and the safety read; Stop ends both and is idempotent.
func (h *Hub) Start(ctx context.Context) error { panic("stub") }
func (h *Hub) Stop()                           { panic("stub") }

// Register adds a session on its workspace's and member's channel and on the
// rooms asked for. It verifies the membership after it took its place in the
// log, so that no revocation slips between. Errors: CodeForbidden (membership
// ended), CodeRateLimited (a session limit), CodeUnavailable (draining, or the
// database is away).
func (h *Hub) Register(ctx context.Context, o Options) (*Session, error) { panic("stub") }

// CanRegister tells, without registering, whether Register would meet a limit
// or a draining hub. The probe endpoint uses it.
func (h *Hub) CanRegister(id Identity) error { panic("stub") }

// Deliver takes entries that were appended, after the commit. It is a hint: a
// gap is read from the log, what is known already is ignored.
func (h *Hub) Deliver(a domain.Appended) { panic("stub") }

// Broadcast sends an ephemeral event to the sessions on its channel; of
// several waiting ones with the same key the last wins.
func (h *Hub) Broadcast(workspaceID string, ev domain.ServerEvent, key string) { panic("stub") }

// CloseAuthSession closes every session of a sign-in session.
func (h *Hub) CloseAuthSession(authSessionID string, code domain.CloseCode) { panic("stub") }

// Drain refuses new sessions and closes the present ones with CloseDraining,
// spread over the time given, each told to come back after a jittered delay.
func (h *Hub) Drain(ctx context.Context, over time.Duration) { panic("stub") }

// Stats counts what there is now.
type Stats struct {
	Sessions   map[Transport]int
	Workspaces int
}

func (h *Hub) Stats() Stats { panic("stub") }
