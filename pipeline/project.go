package pipeline

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// dispatcher is the innermost handler: it finds the projector by event type,
// runs it, and stages the entries it led to together with the dedupe mark.
type dispatcher struct {
	projectors map[domain.EventType]domain.Projector
	runner     *runner
	observer   Observer
	node       string
	stories    bool // kept for traces
}

func (d dispatcher) handle(msg *message.Message) error {
	b, err := batchFrom(msg.Context())
	if err != nil {
		return err
	}
	ev, err := eventFromMessage(msg)
	if err != nil {
		return err
	}
	project, err := projectorOf(d.projectors, ev)
	if err != nil {
		return err
	}
	began := time.Now()
	events, err := d.runner.run(msg.Context(), project, ev)
	took := time.Since(began)
	d.observer.Attempted(ev.Type, took, err)
	if err != nil {
		return err
	}
	entries, err := encode(events, ev)
	if err != nil {
		return err
	}
	var story *store.Story
	if d.stories {
		story = store.NewStory(&ev, d.node, b.lane.lane, b.claimedAt(), took)
		story.Entries = len(entries)
	}
	return b.stage(ev.ID, effect{projection: &store.Projection{
		Story:   story,
		EventID: ev.ID, WorkspaceID: ev.WorkspaceID, Entries: entries,
		Kind: domain.AggregateOf(ev.Type), AggregateID: ev.AggregateID,
		PoisonID: ev.Metadata[store.MetaPoisonID],
	}, took: took})
}

// projectorOf finds an event's projector. The error is permanent: no such event
// can be handled by this build.
func projectorOf(table map[domain.EventType]domain.Projector, ev domain.Event) (domain.Projector, error) {
	if !domain.ValidID(ev.WorkspaceID) {
		return nil, domain.InvalidField("workspace_id", "%q is not a workspace's id", ev.WorkspaceID)
	}
	project, ok := table[ev.Type]
	if !ok {
		return nil, domain.InvalidField("type", "no projector for type %q", ev.Type)
	}
	return project, nil
}

// encode renders server events as log entries.
func encode(events []domain.ServerEvent, cause domain.Event) ([]domain.Entry, error) {
	entries := make([]domain.Entry, len(events))
	for i, ev := range events {
		data, err := domain.EncodeServerEvent(ev, cause.ID, cause.CreatedAt)
		if err != nil {
			return nil, err
		}
		entries[i] = domain.Entry{
			Channel: ev.Channel, Type: ev.Type, Data: data, Revoke: ev.Revoke,
			EventID: cause.ID, At: cause.CreatedAt,
		}
	}
	return entries, nil
}
