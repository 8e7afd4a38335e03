package handlers

import (
	"context"

	"github.com/orbit/realtime/domain"
)

var workspaceUpdated = changed(findWorkspace, func(w domain.Workspace) []domain.ServerEvent {
	return []domain.ServerEvent{{
		Type:    domain.ServerWorkspaceUpdated,
		Channel: domain.WorkspaceChannel(w.ID),
		Payload: domain.WorkspacePayload{Workspace: w},
	}}
})

// findWorkspace goes by the event's workspace: an aggregate id that says
// something else must not reach into another tenant.
func findWorkspace(read domain.Reader, ctx context.Context, workspaceID, _ string) (domain.Workspace, error) {
	return read.Workspace(ctx, workspaceID)
}
