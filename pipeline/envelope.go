package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orbit/realtime/domain"
)

// Metadata keys under which a message carries the parts of a domain event that
// Watermill has no field for. They are reserved: an event's own metadata can't
// use them. A message without them is a plain Watermill message and passes
// through unharmed; it belongs to the lane of the empty workspace.
const (
	metaType        = "orbit_type"
	metaWorkspaceID = "orbit_workspace_id"
	metaAggregateID = "orbit_aggregate_id"
	metaCreatedAt   = "orbit_created_at" // RFC 3339 with nanoseconds, UTC
)

// messageFromEvent wraps a domain event. The message's UUID is the event's id.
func messageFromEvent(ev domain.Event) *message.Message {
	msg := message.NewMessage(ev.ID, message.Payload(ev.Payload))
	maps.Copy(msg.Metadata, ev.Metadata)
	set := func(key, value string) {
		if value != "" {
			msg.Metadata[key] = value
		}
	}
	set(metaType, string(ev.Type))
	set(metaWorkspaceID, ev.WorkspaceID)
	set(metaAggregateID, ev.AggregateID)
	if !ev.CreatedAt.IsZero() {
		set(metaCreatedAt, ev.CreatedAt.UTC().Format(time.RFC3339Nano))
	}
	return msg
}

// eventFromMessage is the inverse of messageFromEvent. It fails on a message
// without UUID, because the outbox tells events apart by their ids, and on a
// malformed time.
func eventFromMessage(msg *message.Message) (domain.Event, error) {
	if msg.UUID == "" {
		return domain.Event{}, domain.InvalidField("uuid", "a message without UUID can't be an event")
	}
	ev := domain.Event{
		ID:          msg.UUID,
		Type:        domain.EventType(msg.Metadata[metaType]),
		WorkspaceID: msg.Metadata[metaWorkspaceID],
		AggregateID: msg.Metadata[metaAggregateID],
		Payload:     json.RawMessage(msg.Payload),
	}
	if at := msg.Metadata[metaCreatedAt]; at != "" {
		createdAt, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return domain.Event{}, fmt.Errorf("message %s: %s: %w", msg.UUID, metaCreatedAt, err)
		}
		ev.CreatedAt = createdAt
	}
	for key, value := range msg.Metadata {
		switch key {
		case metaType, metaWorkspaceID, metaAggregateID, metaCreatedAt:
			continue
		}
		if ev.Metadata == nil {
			ev.Metadata = make(map[string]string, len(msg.Metadata))
		}
		ev.Metadata[key] = value
	}
	return ev, nil
}
