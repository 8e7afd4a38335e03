package domain

import (
	"context"
	"errors"
)

// NewRoom is the input of CreateRoom.
type NewRoom struct {
	Name    string `json:"name"`    // 1 to 80 characters
	Private bool   `json:"private"` // fixed from here on
	// MemberIDs are those invited into a private room, beside its maker.
	MemberIDs []string `json:"memberIds"`
}

// RoomPatch is the input of UpdateRoom: what is nil stays.
type RoomPatch struct {
	Name *string `json:"name"`
	// Private can be repeated, but not changed: what was said in confidence
	// stays so, and nobody is shut out of what they could read.
	Private *bool `json:"private"`
}

// CreateRoom opens a room. Any member may. Errors: CodeConflict (another open
// room has the name), CodeUnprocessable (members named for an open room).
func (c Commands) CreateRoom(ctx context.Context, by Actor, in NewRoom) (Room, string, error) {
	name, err := cleanName(in.Name)
	if err != nil {
		return Room{}, "", err
	}
	if len(in.MemberIDs) > 0 && !in.Private {
		return Room{}, "", errOpenRoom("memberIds")
	}
	var room Room
	var eventID string
	// The workspace is locked so that nobody is invited while they leave it.
	err = c.writeLocked(ctx, by, func(s scope) (err error) {
		members, err := s.membersNamed(ctx, in.MemberIDs)
		if err != nil {
			return err
		}
		if in.Private {
			members, _ = with(members, s.member.ID)
		}
		room = Room{
			ID: NewID("room"), Version: 1, WorkspaceID: s.workspace.ID,
			Name: name, Private: in.Private, MemberIDs: members,
		}
		if err = s.InsertRoom(ctx, room); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventRoomCreated, room.ID, Changed{room.Version})
		return err
	})
	return room, eventID, err
}

// UpdateRoom renames a room. An open room needs rooms.manage; in a private one
// each of its members may. Errors: CodeConflict (another open room has the
// name), CodeUnprocessable (Private would change).
func (c Commands) UpdateRoom(ctx context.Context, by Actor, id string, in RoomPatch) (Room, string, error) {
	name, err := optional(in.Name, cleanName)
	if err != nil {
		return Room{}, "", err
	}
	var room Room
	var eventID string
	err = c.write(ctx, by, func(s scope) (err error) {
		if room, err = s.roomToManage(ctx, id); err != nil {
			return err
		}
		if in.Private != nil && *in.Private != room.Private {
			return &Error{Code: CodeUnprocessable, Field: "private",
				Message: "whether a room is private is fixed when it is made: open a new one instead"}
		}
		var ch change
		if name != nil && room.Name != *name {
			room.Name, ch.event = *name, EventRoomUpdated
		}
		eventID, err = s.saveRoom(ctx, &room, ch)
		return err
	})
	return room, eventID, err
}

// DeleteRoom deletes a room with its messages. An open room needs
// rooms.manage; in a private one each of its members may.
func (c Commands) DeleteRoom(ctx context.Context, by Actor, id string) (string, error) {
	var eventID string
	err := c.write(ctx, by, func(s scope) error {
		room, err := s.roomToManage(ctx, id)
		if err != nil {
			return err
		}
		eventID, err = s.dropRoom(ctx, room)
		return err
	})
	return eventID, err
}

// AddRoomMember invites a member into a private room; one who is in it already
// stays. Each member of the room may. Errors: CodeUnprocessable (an open room).
func (c Commands) AddRoomMember(ctx context.Context, by Actor, id, memberID string) (Room, string, error) {
	var room Room
	var eventID string
	// The workspace is locked so that nobody is invited while they leave it.
	err := c.writeLocked(ctx, by, func(s scope) (err error) {
		if room, err = s.privateRoom(ctx, id); err != nil {
			return err
		}
		if _, err = find(ctx, "member", s.workspace.ID, memberID, s.Member); err != nil {
			return err
		}
		var changed bool
		var ch change
		if room.MemberIDs, changed = with(room.MemberIDs, memberID); changed {
			ch = change{EventRoomMemberAdded, memberID}
		}
		eventID, err = s.saveRoom(ctx, &room, ch)
		return err
	})
	return room, eventID, err
}

// RemoveRoomMember takes a member out of a private room; when it was the last
// one, the room is deleted. Each member of the room may, and so anybody can
// leave. Errors: CodeUnprocessable (an open room).
func (c Commands) RemoveRoomMember(ctx context.Context, by Actor, id, memberID string) (string, error) {
	var eventID string
	err := c.write(ctx, by, func(s scope) error {
		room, err := s.privateRoom(ctx, id)
		if err != nil {
			return err
		}
		if !room.Admits(memberID) {
			return Errorf(CodeNotFound, "no such member in this room")
		}
		eventID, err = s.leaveRoom(ctx, room, memberID)
		return err
	})
	return eventID, err
}

func errNoRoom() error { return Errorf(CodeNotFound, "no such room") }

func errOpenRoom(field string) error {
	return &Error{Code: CodeUnprocessable, Field: field,
		Message: "an open room is for every member: only a private room has members of its own"}
}

// visibleRoom finds a room that the member may read. To others a private room
// doesn't exist, whatever their role grants.
func (s standing) visibleRoom(ctx context.Context, id string,
	lookup func(ctx context.Context, workspaceID, id string) (Room, error)) (Room, error) {
	room, err := find(ctx, "room", s.workspace.ID, id, lookup)
	if err != nil {
		return Room{}, err
	}
	if !room.Admits(s.member.ID) {
		return Room{}, errNoRoom()
	}
	return room, nil
}

func (s scope) roomToManage(ctx context.Context, id string) (Room, error) {
	room, err := s.visibleRoom(ctx, id, s.LockRoom)
	if err != nil || room.Private {
		return room, err
	}
	return room, s.need(PermRoomsManage)
}

func (s scope) privateRoom(ctx context.Context, id string) (Room, error) {
	room, err := s.visibleRoom(ctx, id, s.LockRoom)
	if err == nil && !room.Private {
		err = errOpenRoom("")
	}
	return room, err
}

// saveRoom writes a changed room, and publishes what changed about it.
func (s scope) saveRoom(ctx context.Context, room *Room, ch change) (string, error) {
	if ch.nothing() {
		return "", nil
	}
	room.Version++
	if err := s.UpdateRoom(ctx, *room); err != nil {
		return "", err
	}
	return s.publish(ctx, ch.event, room.ID, ch.payload(room.Version))
}

func (s scope) dropRoom(ctx context.Context, room Room) (string, error) {
	if err := s.DeleteRoom(ctx, s.workspace.ID, room.ID); err != nil {
		return "", err
	}
	return s.publish(ctx, EventRoomDeleted, room.ID,
		RoomDeleted{room.Version + 1, room.Private, room.MemberIDs})
}

// leaveRoom takes a member out of a private room, and returns the id of the
// event that says so. A room that nobody could enter anymore is deleted.
func (s scope) leaveRoom(ctx context.Context, room Room, memberID string) (string, error) {
	room.MemberIDs, _ = without(room.MemberIDs, memberID)
	eventID, err := s.saveRoom(ctx, &room, change{EventRoomMemberRemoved, memberID})
	if err == nil && len(room.MemberIDs) == 0 {
		_, err = s.dropRoom(ctx, room)
	}
	return eventID, err
}

// leaveRooms takes a member, who is about to go, out of every private room.
// The workspace is locked, so nobody can invite them again meanwhile.
func (s scope) leaveRooms(ctx context.Context, memberID string) error {
	rooms, err := s.Rooms(ctx, s.workspace.ID)
	if err != nil {
		return err
	}
	for _, room := range rooms {
		if !room.Private || !room.Admits(memberID) {
			continue
		}
		room, err = s.LockRoom(ctx, s.workspace.ID, room.ID)
		if errors.Is(err, ErrNotFound) {
			continue // deleted before we had the lock
		}
		if err != nil {
			return err
		}
		if !room.Admits(memberID) {
			continue // left before we had the lock
		}
		if _, err = s.leaveRoom(ctx, room, memberID); err != nil {
			return err
		}
	}
	return nil
}
