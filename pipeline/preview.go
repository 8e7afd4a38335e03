package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// Previewer runs projectors for a look: against the database as it is, and
// without any effect.
type Previewer struct {
	store      *store.Store
	projectors map[domain.EventType]domain.Projector
	timeout    time.Duration
	runner     *runner
}

// NewPreviewer makes one with the projectors of a pipeline. timeout bounds a
// projector's run (0: 5 s, as in [Config]); a nil logger is slog.Default.
func NewPreviewer(s *store.Store, projectors map[domain.EventType]domain.Projector, timeout time.Duration, logger *slog.Logger) *Previewer {
	return &Previewer{
		store: s, projectors: maps.Clone(projectors), timeout: cmp.Or(timeout, 5*time.Second),
		runner: &runner{read: s.Reader(), logger: cmp.Or(logger, slog.Default())},
	}
}

// Preview tells what projecting the event now would append, byte for byte but
// for positions, or what it would fail with. It has an error only if it can't
// tell: the database is away, or ctx has ended.
func (p *Previewer) Preview(ctx context.Context, ev domain.Event) (domain.PoisonSample, error) {
	sample := domain.PoisonSample{Events: []domain.PreviewedEvent{}}
	switch poison, err := p.store.PoisonByEvent(ctx, ev.ID); {
	case err == nil:
		sample.Superseded = poison.Superseded()
	case !errors.Is(err, domain.ErrNotFound):
		return sample, err
	}
	events, err := p.project(ctx, ev)
	if err != nil && passes(ctx, err) {
		return sample, err
	}
	var entries []domain.Entry
	if err == nil {
		entries, err = encode(events, ev)
	}
	if err != nil {
		sample.Error, sample.ErrorClass = errorText(err), errorClass(err)
		return sample, nil
	}
	for _, e := range entries {
		sample.Events = append(sample.Events, domain.PreviewedEvent{
			Type: e.Type, Channel: e.Channel, Data: e.Data, Sessions: map[string]int{}, Revokes: e.Revoke != nil,
		})
	}
	return sample, nil
}

func (p *Previewer) project(ctx context.Context, ev domain.Event) ([]domain.ServerEvent, error) {
	project, err := projectorOf(p.projectors, ev)
	if err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	events, err := p.runner.run(timed, project, ev)
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		err = &TimeoutError{Limit: p.timeout, cause: err}
	}
	return events, err
}

// AggregateNow reads what an event is about as it is now, in the shape that
// clients know it by. It is nil when it is gone, and when nobody knows what the
// event is about.
func (p *Previewer) AggregateNow(ctx context.Context, ev domain.Event) (any, error) {
	if !domain.ValidID(ev.WorkspaceID) {
		return nil, nil
	}
	read := p.store.Reader()
	switch domain.AggregateOf(ev.Type) {
	case "workspace":
		return now(read.Workspace(ctx, ev.WorkspaceID))
	case "member":
		return now(read.Member(ctx, ev.WorkspaceID, ev.AggregateID))
	case "role":
		return now(read.Role(ctx, ev.WorkspaceID, ev.AggregateID))
	case "team":
		return now(read.Team(ctx, ev.WorkspaceID, ev.AggregateID))
	case "subscription":
		return now(read.Subscription(ctx, ev.WorkspaceID))
	case "room":
		return now(read.Room(ctx, ev.WorkspaceID, ev.AggregateID))
	case "message":
		return now(read.Message(ctx, ev.WorkspaceID, ev.AggregateID))
	case "notification":
		return now(read.Notification(ctx, ev.WorkspaceID, ev.AggregateID))
	}
	return nil, nil
}

func now[T any](aggregate T, err error) (any, error) {
	switch {
	case errors.Is(err, domain.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return aggregate, nil
}
