package auth

import (
	"context"
	"errors"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

// Entitlements answers the hub's questions from the database, each time anew:
// what was true at admission may have ended.
type Entitlements struct {
	sessions Sessions
	read     domain.Reader
}

var _ hub.Entitlements = (*Entitlements)(nil)

// NewEntitlements makes Entitlements over the database.
func NewEntitlements(sessions Sessions, read domain.Reader) *Entitlements {
	return &Entitlements{sessions: sessions, read: read}
}

// Member implements hub.Entitlements. A user who left and joined again is
// another member, so the old id stays ended.
func (e *Entitlements) Member(ctx context.Context, id hub.Identity) error {
	live, err := e.sessions.Live(ctx, []string{id.AuthSessionID})
	if err != nil {
		return err
	}
	if !live[id.AuthSessionID] {
		return domain.Errorf(domain.CodeUnauthenticated, "the sign-in has ended")
	}
	_, err = e.read.Member(ctx, id.WorkspaceID, id.MemberID)
	if errors.Is(err, domain.ErrNotFound) {
		return domain.Errorf(domain.CodeForbidden, "the membership ended")
	}
	return err
}

// Room implements hub.Entitlements.
func (e *Entitlements) Room(ctx context.Context, id hub.Identity, roomID string) error {
	room, err := e.read.Room(ctx, id.WorkspaceID, roomID)
	if err != nil && !errors.Is(err, domain.ErrNotFound) {
		return err
	}
	if err != nil || !room.Admits(id.MemberID) {
		return domain.Errorf(domain.CodeNotFound, "no such room")
	}
	return nil
}

// LiveSessions implements hub.Entitlements.
func (e *Entitlements) LiveSessions(ctx context.Context, ids []string) (map[string]bool, error) {
	return e.sessions.Live(ctx, ids)
}

// LiveMembers implements hub.Entitlements.
func (e *Entitlements) LiveMembers(ctx context.Context, ids []hub.Identity) (map[string]bool, error) {
	live := make(map[string]bool, len(ids))
	for _, id := range ids {
		switch _, err := e.read.Member(ctx, id.WorkspaceID, id.MemberID); {
		case errors.Is(err, domain.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			live[id.MemberID] = true
		}
	}
	return live, nil
}
