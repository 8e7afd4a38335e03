package handlers

import (
	"context"
	"slices"

	"github.com/orbit/realtime/domain"
)

// Concerns tells the channels whose tabs show what an event is about: those that
// are old when it can't be projected. It goes by the committed database, and by
// the payload where the row is gone, and never guesses: where telling might
// reveal a room to somebody who may not know of it, the error says why nobody
// can be told. An error of the database passes through as it is.
func Concerns(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.Channel, error) {
	if !domain.ValidID(ev.WorkspaceID) {
		return nil, unknowable("%q is not a workspace's id", ev.WorkspaceID)
	}
	if !domain.ValidID(ev.AggregateID) {
		return nil, unknowable("%q is not an id", ev.AggregateID)
	}
	if _, err := read.Workspace(ctx, ev.WorkspaceID); err != nil {
		return nil, or(err, "there is no workspace %s", ev.WorkspaceID)
	}
	switch kind := domain.AggregateOf(ev.Type); kind {
	case "workspace", "member", "role", "team", "subscription":
		return []domain.Channel{domain.WorkspaceChannel(ev.WorkspaceID)}, nil
	case "room":
		return concernsOfRoom(ctx, read, ev)
	case "message":
		return concernsOfMessage(ctx, read, ev)
	case "notification":
		n, err := read.Notification(ctx, ev.WorkspaceID, ev.AggregateID)
		if err != nil {
			return nil, or(err, "the notification is gone, and with it whose it was")
		}
		return []domain.Channel{domain.MemberChannel(n.MemberID)}, nil
	default:
		return nil, unknowable("nobody knows what an event of type %q is about", ev.Type)
	}
}

// concernsOfRoom are those who may know of the room, and who came or went.
func concernsOfRoom(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.Channel, error) {
	var audience []domain.Channel
	switch room, ok, err := look(ctx, domain.Reader.Room, read, ev); {
	case err != nil:
		return nil, err
	case ok && !room.Private:
		return []domain.Channel{domain.WorkspaceChannel(ev.WorkspaceID)}, nil
	case ok:
		audience = members(room.MemberIDs)
	case ev.Type == domain.EventRoomDeleted:
		p, err := decode[domain.RoomDeleted](ev)
		if err == nil {
			err = requirePrivate(ev)
		}
		if err != nil {
			return nil, unknowable("the room is gone, and its event doesn't say who knew of it: %v", err)
		}
		if !p.Private {
			return []domain.Channel{domain.WorkspaceChannel(ev.WorkspaceID)}, nil
		}
		audience = members(p.MemberIDs)
	}
	if ev.Type == domain.EventRoomMemberAdded || ev.Type == domain.EventRoomMemberRemoved {
		if p, err := decode[domain.GroupChanged](ev); err == nil {
			audience = append(audience, domain.MemberChannel(p.MemberID))
		}
	}
	if len(audience) == 0 {
		return nil, unknowable("the room is gone or empty: nobody is known to show it")
	}
	slices.Sort(audience)
	return slices.Compact(audience), nil
}

// concernsOfMessage are those in its room.
func concernsOfMessage(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.Channel, error) {
	message, ok, err := look(ctx, domain.Reader.Message, read, ev)
	if err != nil {
		return nil, err
	}
	roomID := message.RoomID
	if !ok {
		p, err := decode[domain.MessageChanged](ev)
		if err != nil {
			return nil, unknowable("the message is gone, and its event doesn't say where it was: %v", err)
		}
		roomID = p.RoomID
	}
	if _, err := read.Room(ctx, ev.WorkspaceID, roomID); err != nil {
		return nil, or(err, "the message's room is gone")
	}
	return []domain.Channel{domain.RoomChannel(roomID)}, nil
}

func members(ids []string) []domain.Channel {
	channels := make([]domain.Channel, len(ids))
	for i, id := range ids {
		channels[i] = domain.MemberChannel(id)
	}
	return channels
}

func unknowable(format string, args ...any) error {
	return domain.Errorf(domain.CodeUnprocessable, format, args...)
}

// or says what a missing row means; other errors stay as they are.
func or(err error, format string, args ...any) error {
	if domain.CodeOf(err) == domain.CodeNotFound {
		return unknowable(format, args...)
	}
	return err
}
