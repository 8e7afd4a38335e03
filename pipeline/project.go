package pipeline

import (
	"context"
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
	each       bool // collapse nothing
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
	return d.project(msg.Context(), b, ev)
}

// project stages what the event leads to.
func (d dispatcher) project(ctx context.Context, b *batch, ev domain.Event) error {
	project, err := projectorOf(d.projectors, ev)
	if err != nil {
		return err
	}
	if !d.each {
		if first := b.answeredBy(&ev); first != nil {
			return b.stage(ev.ID, d.collapsed(b, &ev, first))
		}
	}
	began := time.Now()
	events, err := d.runner.run(ctx, project, ev)
	took := time.Since(began)
	d.observer.Attempted(ev.Type, took, err)
	if err != nil {
		return err
	}
	entries, err := encode(events, ev)
	if err != nil {
		return err
	}
	story := d.story(b, &ev, took, len(entries))
	return b.stage(ev.ID, effect{projection: &store.Projection{
		Story:   story,
		EventID: ev.ID, WorkspaceID: ev.WorkspaceID, Entries: entries,
		Kind: domain.AggregateOf(ev.Type), AggregateID: ev.AggregateID,
		PoisonID: ev.Metadata[store.MetaPoisonID],
	}, took: took})
}

// collapsed is the effect of an event that the entries of first answer for.
func (d dispatcher) collapsed(b *batch, ev *domain.Event, first *store.Projection) effect {
	story := d.story(b, ev, 0, len(first.Entries))
	if story != nil {
		story.Into = first.EventID
	}
	return effect{projection: &store.Projection{
		EventID: ev.ID, WorkspaceID: ev.WorkspaceID, Into: first.EventID, Story: story,
	}}
}

// story is what is kept of an event, if anything is.
func (d dispatcher) story(b *batch, ev *domain.Event, took time.Duration, entries int) *store.Story {
	if !d.stories {
		return nil
	}
	story := store.NewStory(ev, d.node, b.lane.lane, b.claimedAt(), took)
	story.Entries = entries
	return story
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
