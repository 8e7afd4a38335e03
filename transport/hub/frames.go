package hub

import (
	"time"

	"github.com/orbit/realtime/domain"
)

var liveFrame = Frame{Data: system(domain.ServerSystemLive, domain.EmptyPayload{})}

// system encodes an event addressed to one session.
func system(t domain.ServerEventType, payload any) []byte {
	data, err := domain.EncodeServerEvent(domain.ServerEvent{Type: t, Payload: payload}, "", time.Time{})
	if err != nil {
		panic(err) // payloads are structs of package domain
	}
	return data
}

func frame(data []byte, p domain.Position) Frame {
	return Frame{ID: p.String(), Data: domain.Frame(data, p)}
}

func resyncFrame(reason domain.ResyncReason, p domain.Position) Frame {
	return frame(system(domain.ServerSystemResync, domain.ResyncPayload{Reason: reason}), p)
}

func unsubscribed(room, reason string, ref *int64) []byte {
	return system(domain.ServerSystemUnsubscribed, domain.SubscribedPayload{Room: room, Reason: reason, Ref: ref})
}

// heartbeat is system.heartbeat at an offset. Idle sessions share the offset,
// and so the frame. With f.mu held.
func (f *feed) heartbeat(offset int64) Frame {
	if f.beatAt != offset {
		f.beatAt = offset
		f.beat = frame(system(domain.ServerSystemHeartbeat, domain.EmptyPayload{}), f.position(offset))
	}
	return f.beat
}
