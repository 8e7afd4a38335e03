package handlers

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/orbit/realtime/domain"
)

// The lifecycle of an open room is told on the workspace's channel. A private
// room's is told to each of its members alone, on their own channel: to
// everybody else the room must not even seem to exist.

func roomChanged(t domain.ServerEventType) domain.Projector {
	return changed(domain.Reader.Room, func(r domain.Room) []domain.ServerEvent {
		if !r.Private {
			return []domain.ServerEvent{showRoom(t, domain.WorkspaceChannel(r.WorkspaceID), r)}
		}
		events := make([]domain.ServerEvent, 0, len(r.MemberIDs))
		for _, id := range r.MemberIDs {
			events = append(events, showRoom(t, domain.MemberChannel(id), r))
		}
		return events
	})
}

// roomMemberAdded shows the room as new to who came in, and as updated to those
// who were there. If they are out again by now, the later event tells.
func roomMemberAdded(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
	p, err := decode[domain.GroupChanged](ev)
	if err != nil {
		return nil, err
	}
	room, ok, err := look(ctx, domain.Reader.Room, read, ev)
	if err != nil || !ok || !slices.Contains(room.MemberIDs, p.MemberID) {
		return nil, err
	}
	events := make([]domain.ServerEvent, 0, len(room.MemberIDs))
	for _, id := range room.MemberIDs {
		t := domain.ServerRoomUpdated
		if id == p.MemberID {
			t = domain.ServerRoomCreated
		}
		events = append(events, showRoom(t, domain.MemberChannel(id), room))
	}
	return events, nil
}

// roomMemberRemoved buries the room for who left, ends their right to its
// channel, and shows it as updated to those who stay. If they are in again by
// now, the later event tells.
//
// A room that is gone is no reason for silence here: its deletion is told to
// those who were in it at the end, and who left before is not among them.
func roomMemberRemoved(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
	p, err := decode[domain.GroupChanged](ev)
	if err != nil {
		return nil, err
	}
	room, ok, err := look(ctx, domain.Reader.Room, read, ev)
	if err != nil || ok && room.Admits(p.MemberID) {
		return nil, err
	}
	goodbye := buryRoom(domain.MemberChannel(p.MemberID), ev.AggregateID, max(p.Version, room.Version))
	goodbye.Revoke = &domain.Revocation{MemberID: p.MemberID, Channel: domain.RoomChannel(ev.AggregateID)}
	events := []domain.ServerEvent{goodbye}
	for _, id := range room.MemberIDs {
		events = append(events, showRoom(domain.ServerRoomUpdated, domain.MemberChannel(id), room))
	}
	return events, nil
}

// roomDeleted buries the room for all who could see it, and ends everybody's
// right to its channel, once.
func roomDeleted(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
	_, ok, err := look(ctx, domain.Reader.Room, read, ev)
	if err != nil || ok {
		return nil, err
	}
	p, err := decode[domain.RoomDeleted](ev)
	if err != nil {
		return nil, err
	}
	if err := requirePrivate(ev); err != nil {
		return nil, err
	}
	var audience []domain.Channel
	switch {
	case !p.Private:
		audience = []domain.Channel{domain.WorkspaceChannel(ev.WorkspaceID)}
	case len(p.MemberIDs) == 0:
		// Nobody is left to tell, but the revocation needs an entry to travel in.
		audience = []domain.Channel{domain.RoomChannel(ev.AggregateID)}
	default:
		for _, id := range p.MemberIDs {
			audience = append(audience, domain.MemberChannel(id))
		}
	}
	events := make([]domain.ServerEvent, 0, len(audience))
	for _, channel := range audience {
		events = append(events, buryRoom(channel, ev.AggregateID, p.Version))
	}
	// On the last one: everybody's tombstone comes before their right ends.
	events[len(events)-1].Revoke = &domain.Revocation{Channel: domain.RoomChannel(ev.AggregateID)}
	return events, nil
}

// requirePrivate refuses a deletion that leaves out whether the room was
// private: taken for an open room, it would be told to the whole workspace.
func requirePrivate(ev domain.Event) error {
	var p struct{ Private *bool }
	if err := json.Unmarshal(ev.Payload, &p); err != nil || p.Private == nil {
		return malformed(ev, "private", "must say whether the room was private")
	}
	return nil
}

func showRoom(t domain.ServerEventType, on domain.Channel, r domain.Room) domain.ServerEvent {
	return domain.ServerEvent{Type: t, Channel: on, Payload: domain.RoomPayload{Room: r}}
}

func buryRoom(on domain.Channel, id string, version int64) domain.ServerEvent {
	return domain.ServerEvent{
		Type:    domain.ServerRoomDeleted,
		Channel: on,
		Payload: domain.RoomTombstone{Room: domain.Tombstone{ID: id, Version: version}},
	}
}
