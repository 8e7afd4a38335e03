package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestPresence(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w, owner, _ := storetest.SeedWorkspace(t, s)
		online := func() []domain.Presence {
			list, err := s.OnlineMembers(t.Context())
			require.NoError(t, err)
			return list
		}
		require.Empty(t, online())
		here := domain.Presence{WorkspaceID: w.ID, MemberID: owner.ID, Online: true}
		stranger := domain.Presence{WorkspaceID: w.ID, MemberID: "mem_gone", Online: true}
		nowhere := domain.Presence{WorkspaceID: "ws_gone", MemberID: owner.ID, Online: true}
		for range 2 { // twice is once
			require.NoError(t, s.SavePresence(t.Context(), []domain.Presence{here, stranger, nowhere}))
			require.Equal(t, []domain.Presence{here}, online(), "members of workspaces that are there")
		}
		here.Online = false
		require.NoError(t, s.SavePresence(t.Context(), []domain.Presence{here, nowhere}))
		require.Empty(t, online())
		require.NoError(t, s.SavePresence(t.Context(), nil))
	})
}
