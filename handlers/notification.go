package handlers

import "github.com/orbit/realtime/domain"

var memberNotified = changed(domain.Reader.Notification, func(n domain.Notification) []domain.ServerEvent {
	return []domain.ServerEvent{{
		Type:    domain.ServerMemberNotification,
		Channel: domain.MemberChannel(n.MemberID),
		Payload: domain.NotificationPayload{Notification: n},
	}}
})
