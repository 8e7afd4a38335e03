package domain

import "context"

// MessageText is the input of PostMessage and EditMessage.
type MessageText struct {
	Body string `json:"body"` // 1 to 4,000 characters, kept as typed
}

// NewNotification is the input of Notify.
type NewNotification struct {
	Title string `json:"title"` // 1 to 120 characters
	Body  string `json:"body"`  // 1 to 4,000 characters
}

// PostMessage says something in a room that the actor may read.
func (c Commands) PostMessage(ctx context.Context, by Actor, roomID string, in MessageText) (Message, string, error) {
	body, err := cleanBody(in.Body)
	if err != nil {
		return Message{}, "", err
	}
	var message Message
	var eventID string
	err = c.write(ctx, by, func(s scope) (err error) {
		// Held: the room can't go, nor the right to it, before this is said.
		room, err := s.visibleRoom(ctx, roomID, s.HoldRoom)
		if err != nil {
			return err
		}
		message = Message{
			// Ids ascend, so messages of one millisecond keep their order.
			ID: "msg_" + NewEventID(), Version: 1, WorkspaceID: s.workspace.ID,
			RoomID: room.ID, AuthorID: s.member.ID, Body: body, PostedAt: c.now(),
		}
		if err = s.InsertMessage(ctx, message); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventMessagePosted, message.ID, MessageChanged{message.Version, room.ID})
		return err
	})
	return message, eventID, err
}

// EditMessage changes what the actor said.
func (c Commands) EditMessage(ctx context.Context, by Actor, roomID, id string, in MessageText) (Message, string, error) {
	body, err := cleanBody(in.Body)
	if err != nil {
		return Message{}, "", err
	}
	var message Message
	var eventID string
	err = c.write(ctx, by, func(s scope) (err error) {
		if message, err = s.messageIn(ctx, roomID, id); err != nil {
			return err
		}
		if message.AuthorID != s.member.ID {
			return Errorf(CodeForbidden, "only its author can edit a message")
		}
		if message.Body == body {
			eventID = ""
			return nil
		}
		editedAt := c.now()
		message.Body, message.EditedAt = body, &editedAt
		message.Version++
		if err = s.UpdateMessage(ctx, message); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventMessageEdited, message.ID, MessageChanged{message.Version, roomID})
		return err
	})
	return message, eventID, err
}

// DeleteMessage takes a message back. Needs rooms.manage, except for one's own.
func (c Commands) DeleteMessage(ctx context.Context, by Actor, roomID, id string) (string, error) {
	var eventID string
	err := c.write(ctx, by, func(s scope) error {
		message, err := s.messageIn(ctx, roomID, id)
		if err != nil {
			return err
		}
		if message.AuthorID != s.member.ID {
			if err = s.need(PermRoomsManage); err != nil {
				return err
			}
		}
		if err = s.DeleteMessage(ctx, s.workspace.ID, id); err != nil {
			return err
		}
		eventID, err = s.publish(ctx, EventMessageDeleted, id, MessageChanged{message.Version + 1, roomID})
		return err
	})
	return eventID, err
}

// Notify sends a signal to one member, in all their tabs. Needs members.notify.
func (c Commands) Notify(ctx context.Context, by Actor, memberID string, in NewNotification) (Notification, string, error) {
	title, err := line("title", in.Title, MaxTitleLength)
	if err != nil {
		return Notification{}, "", err
	}
	body, err := cleanBody(in.Body)
	if err != nil {
		return Notification{}, "", err
	}
	var notification Notification
	var eventID string
	// The workspace is locked so that nobody is notified while they leave it.
	err = c.writeLocked(ctx, by, func(s scope) (err error) {
		if err = s.need(PermMembersNotify); err != nil {
			return err
		}
		member, err := find(ctx, "member", s.workspace.ID, memberID, s.Member)
		if err != nil {
			return err
		}
		notification = Notification{
			ID: NewID("ntf"), WorkspaceID: s.workspace.ID, MemberID: member.ID,
			Title: title, Body: body, At: c.now(),
		}
		if err = s.InsertNotification(ctx, notification); err != nil {
			return err
		}
		// A notification never changes: its version is always 1.
		eventID, err = s.publish(ctx, EventMemberNotified, notification.ID, Changed{1})
		return err
	})
	return notification, eventID, err
}

// messageIn finds and locks a message in a room that the member may read.
func (s scope) messageIn(ctx context.Context, roomID, id string) (Message, error) {
	room, err := s.visibleRoom(ctx, roomID, s.Room)
	if err != nil {
		return Message{}, err
	}
	message, err := find(ctx, "message", s.workspace.ID, id, s.LockMessage)
	if err == nil && message.RoomID != room.ID {
		err = Errorf(CodeNotFound, "no such message")
	}
	return message, err
}
