package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// The books tell each event where it is: waiting, projected or nowhere.
func TestTheBooks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, began := t.Context(), time.Now().Add(-time.Second)
		commands := domain.Commands{UoW: s}
		w, owner, err := commands.CreateWorkspace(ctx, domain.NewWorkspace{Slug: "books", Name: "Books", Plan: "p", Seats: 5, OwnerEmail: "o@books.test", OwnerName: "O"})
		require.NoError(t, err)
		by := domain.Actor{UserID: owner.UserID, Workspace: w.Slug}
		room, _, err := commands.CreateRoom(ctx, by, domain.NewRoom{Name: "general"})
		require.NoError(t, err)
		message, event, err := commands.PostMessage(ctx, by, room.ID, domain.MessageText{Body: "entered"})
		require.NoError(t, err)

		waiting, err := s.WaitingEvents(ctx)
		require.NoError(t, err)
		require.Equal(t, event, waiting[len(waiting)-1])
		projected, err := s.ProjectedSince(ctx, began)
		require.NoError(t, err)
		require.Empty(t, projected)
		bodies, err := s.MessagesSince(ctx, w.ID, began)
		require.NoError(t, err)
		require.Equal(t, map[string]string{message.ID: "entered"}, bodies)
		bodies, err = s.MessagesSince(ctx, w.ID, time.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Empty(t, bodies)

		_, err = s.CommitEffects(ctx, store.Effects{Projected: []store.Projection{{EventID: event, WorkspaceID: w.ID}}})
		require.NoError(t, err)
		projected, err = s.ProjectedSince(ctx, began)
		require.NoError(t, err)
		require.Equal(t, []string{event}, projected)
		poisoned, err := s.PoisonedSince(ctx, began)
		require.NoError(t, err)
		require.Empty(t, poisoned)
	})
}
