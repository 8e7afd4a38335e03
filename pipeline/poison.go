package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// patience is how many deliveries a projector gets that timed out waiting for
// the database, while the database does answer others.
const patience = 3

// poisoner takes events that failed for good out of their lane's way, once
// retries are spent, with the full story.
//
// Watermill's PoisonQueue is not used: it poisons what was merely cancelled,
// writes its findings into the message's metadata, and keeps neither time nor
// attempts, stack or build. It publishes in a transaction of its own, where
// here the poison row commits with the rest of the batch; if that fails, the
// event is delivered again.
type poisoner struct {
	ping func(context.Context) error // does the database answer?
	// concerns tells whose tabs are old now; nil: nobody is told.
	concerns func(context.Context, domain.Event) ([]domain.Channel, error)
	build    string
	node     string
	logger   *slog.Logger
}

func (p poisoner) middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx, s := msg.Context(), new(story)
		msg.SetContext(withStory(ctx, s))
		produced, err := h(msg)
		msg.SetContext(ctx)
		if err == nil {
			return produced, nil
		}
		b, batchErr := batchFrom(ctx)
		if batchErr != nil {
			return nil, batchErr
		}
		if b.broken() != nil || p.heals(ctx, b.delivered(msg.UUID), err) {
			return nil, err
		}
		poison, poisonErr := p.poison(msg, err, s)
		if poisonErr != nil {
			return nil, poisonErr
		}
		if err := b.stage(msg.UUID, effect{poison: &poison}); err != nil {
			return nil, err
		}
		logger := p.logger
		if id := domain.TraceID(poison.Event.Metadata[domain.MetaTraceparent]); id != "" {
			logger = logger.With("trace_id", id)
		}
		logger.Error("event poisoned", "event", poison.Event.ID, "type", poison.Event.Type,
			"workspace", poison.Event.WorkspaceID, "poison", poison.ID, "class", poison.ErrorClass, "error", poison.Error)
		return nil, nil
	}
}

// heals reports whether delivering the event again may help without anybody
// mending anything.
//
// A timeout needs a second look, for a database that hangs shows as one. If it
// doesn't answer us either, it is away. If the projector was waiting for it
// when time ran out, the event gets some more deliveries.
func (p poisoner) heals(ctx context.Context, delivery int, err error) bool {
	if passes(ctx, err) {
		return true
	}
	if errorClass(err) != classTimeout {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return p.ping(ctx) != nil || domain.IsTransient(err) && delivery < patience
}

// poison tells the story of an event that was given up.
func (p poisoner) poison(msg *message.Message, err error, s *story) (domain.Poison, error) {
	ev, convErr := eventFromMessage(msg)
	if convErr != nil {
		return domain.Poison{}, convErr
	}
	id := ev.Metadata[store.MetaPoisonID]
	if id == "" {
		id = domain.NewID("psn")
	} else {
		// Requeued, and failed again: the same poison message, of the same event.
		ev.Metadata = maps.Clone(ev.Metadata)
		delete(ev.Metadata, store.MetaPoisonID)
	}
	told, untold, askErr := p.audience(msg.Context(), ev)
	if askErr != nil {
		return domain.Poison{}, askErr
	}
	now := time.Now().UTC()
	return domain.Poison{
		ID: id, Told: told, Untold: untold, State: domain.PoisonOpen, Event: ev, Projector: string(ev.Type),
		Error: errorText(err), ErrorClass: errorClass(err), ErrorChain: errorChain(err), Stack: panicStack(err),
		Attempts: s.attempts, Build: p.build, Node: p.node,
		PoisonedAt: now, UpdatedAt: now,
	}, nil
}

// askTime bounds the question whose tabs are old.
const askTime = 2 * time.Second

// audience are the channels to tell of a failure, or why there are none. The
// error is the database's, which is away.
func (p poisoner) audience(ctx context.Context, ev domain.Event) (told []domain.Channel, untold string, err error) {
	if p.concerns == nil {
		return nil, "", nil
	}
	// What can't be projected may break this as well; then nobody is told, which
	// reveals nothing.
	defer func() {
		if v := recover(); v != nil {
			told, untold, err = nil, fmt.Sprintf("panic: %v", v), nil
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	told, err = p.concerns(ctx, ev)
	switch {
	case domain.IsTransient(err) || ctx.Err() != nil:
		return nil, "", cmp.Or(err, ctx.Err())
	case err != nil:
		var coded *domain.Error
		if errors.As(err, &coded) {
			return nil, coded.Message, nil
		}
		return nil, err.Error(), nil
	}
	return told, "", nil
}
