package handlers

import (
	"context"

	"github.com/orbit/realtime/domain"
)

var subscriptionUpdated = changed(findSubscription, func(s domain.Subscription) []domain.ServerEvent {
	return []domain.ServerEvent{{
		Type:    domain.ServerSubscriptionUpdated,
		Channel: domain.WorkspaceChannel(s.WorkspaceID),
		Payload: domain.SubscriptionPayload{Subscription: s},
	}}
})

// findSubscription needs no id: a workspace has one subscription.
func findSubscription(read domain.Reader, ctx context.Context, workspaceID, _ string) (domain.Subscription, error) {
	return read.Subscription(ctx, workspaceID)
}
