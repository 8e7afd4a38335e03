// Package handlers holds the projectors: what turns a domain event into server
// events by reading the committed aggregate again.
//
// A projector is level-triggered. The event says "look again"; the database
// says what is true:
//
//   - The row is there: its full state and version, under the type that the
//     catalog pairs with the event.
//   - The row is gone: silence. Its deletion has an event of its own.
//   - A deletion: a tombstone, whose version travels in the event; silence if
//     the row is there again.
//
// So a duplicate, a late event or a requeue can only repeat what is true, and
// clients, who ignore a version that isn't newer, converge on the database.
//
// Projectors only read: they know neither the bus nor HTTP, and run again, or
// just for a look, without harm.
package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/orbit/realtime/domain"
)

// Table pairs every domain event type with its one projector.
func Table() map[domain.EventType]domain.Projector {
	return map[domain.EventType]domain.Projector{
		domain.EventWorkspaceUpdated: workspaceUpdated,

		domain.EventMemberJoined:      memberChanged(domain.ServerMemberJoined),
		domain.EventMemberUpdated:     memberChanged(domain.ServerMemberUpdated),
		domain.EventMemberRoleChanged: memberChanged(domain.ServerMemberRoleChanged),
		domain.EventMemberRemoved:     memberRemoved,

		domain.EventRoleCreated: roleChanged(domain.ServerRoleCreated),
		domain.EventRoleUpdated: roleChanged(domain.ServerRoleUpdated),
		domain.EventRoleDeleted: roleDeleted,

		domain.EventTeamCreated:       teamChanged(domain.ServerTeamCreated),
		domain.EventTeamUpdated:       teamChanged(domain.ServerTeamUpdated),
		domain.EventTeamDeleted:       teamDeleted,
		domain.EventTeamMemberAdded:   teamMemberAdded,
		domain.EventTeamMemberRemoved: teamMemberRemoved,

		domain.EventSubscriptionUpdated: subscriptionUpdated,

		domain.EventRoomCreated:       roomChanged(domain.ServerRoomCreated),
		domain.EventRoomUpdated:       roomChanged(domain.ServerRoomUpdated),
		domain.EventRoomDeleted:       roomDeleted,
		domain.EventRoomMemberAdded:   roomMemberAdded,
		domain.EventRoomMemberRemoved: roomMemberRemoved,

		domain.EventMessagePosted:  messageChanged(domain.ServerMessagePosted),
		domain.EventMessageEdited:  messageChanged(domain.ServerMessageEdited),
		domain.EventMessageDeleted: messageDeleted,

		domain.EventMemberNotified: memberNotified,
	}
}

// finder re-reads the aggregate an event is about; most are methods of
// domain.Reader as they stand.
type finder[T any] func(read domain.Reader, ctx context.Context, workspaceID, id string) (T, error)

// look re-reads the aggregate of ev. ok is false, and the entity zero, when the
// row is gone.
func look[T any](ctx context.Context, find finder[T], read domain.Reader, ev domain.Event) (entity T, ok bool, err error) {
	found, err := find(read, ctx, ev.WorkspaceID, ev.AggregateID)
	switch {
	case errors.Is(err, domain.ErrNotFound):
		return entity, false, nil
	case err != nil:
		return entity, false, err
	}
	return found, true, nil
}

// changed is the projector of events after which the aggregate stands: show
// tells its full state, and a row that is gone by now is silence.
func changed[T any](find finder[T], show func(T) []domain.ServerEvent) domain.Projector {
	return func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		entity, ok, err := look(ctx, find, read, ev)
		if err != nil || !ok {
			return nil, err
		}
		return show(entity), nil
	}
}

// deleted is the projector of deletions: bury tells what is left, with what the
// payload P still knows. A row that is there again is silence: whatever brought
// it back has an event of its own.
func deleted[T, P any](find finder[T], bury func(domain.Event, P) domain.ServerEvent) domain.Projector {
	return func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		_, ok, err := look(ctx, find, read, ev)
		if err != nil || ok {
			return nil, err
		}
		payload, err := decode[P](ev)
		if err != nil {
			return nil, err
		}
		return []domain.ServerEvent{bury(ev, payload)}, nil
	}
}

// decode reads what the database can no longer tell. Products in any language
// publish through SQL, so the payload is checked here: what is missing or
// malformed is a permanent error that names the field, for no later attempt
// could find it.
func decode[P any](ev domain.Event) (P, error) {
	var payload P
	if err := json.Unmarshal(ev.Payload, &payload); err != nil {
		return payload, domain.Wrap(err, domain.CodeInvalid, "the payload of %s is not the JSON object it should be", ev.Type)
	}
	return payload, check(ev, payload)
}

// check refuses what would make a nonsensical tombstone or channel.
func check(ev domain.Event, payload any) error {
	var version int64
	var field string
	var ids []string
	switch p := payload.(type) {
	case domain.Changed:
		version = p.Version
	case domain.GroupChanged:
		version, field, ids = p.Version, "memberId", []string{p.MemberID}
	case domain.MessageChanged:
		version, field, ids = p.Version, "roomId", []string{p.RoomID}
	case domain.RoomDeleted:
		version, field, ids = p.Version, "memberIds", p.MemberIDs
	}
	if !domain.ValidID(ev.AggregateID) {
		return domain.InvalidField("aggregateId", "%s: aggregate id %q is not an id", ev.Type, ev.AggregateID)
	}
	if version < 1 {
		return malformed(ev, "version", "must be the aggregate's version after the change, at least 1")
	}
	for _, id := range ids {
		if !domain.ValidID(id) {
			return malformed(ev, field, fmt.Sprintf("has %q, which is not an id", id))
		}
	}
	return nil
}

func malformed(ev domain.Event, field, how string) error {
	return domain.InvalidField(field, "%s of %s: payload field %q %s; publish it again, under a new event id", ev.Type, ev.AggregateID, field, how)
}
