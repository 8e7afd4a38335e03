package handlers

import "github.com/orbit/realtime/domain"

func messageChanged(t domain.ServerEventType) domain.Projector {
	return changed(domain.Reader.Message, func(m domain.Message) []domain.ServerEvent {
		return []domain.ServerEvent{{
			Type:    t,
			Channel: domain.RoomChannel(m.RoomID),
			Payload: domain.MessagePayload{Message: m},
		}}
	})
}

var messageDeleted = deleted(domain.Reader.Message, func(ev domain.Event, p domain.MessageChanged) domain.ServerEvent {
	return domain.ServerEvent{
		Type:    domain.ServerMessageDeleted,
		Channel: domain.RoomChannel(p.RoomID),
		Payload: domain.MessageTombstone{Message: domain.Tombstone{ID: ev.AggregateID, Version: p.Version}},
	}
})
