package pipeline

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"

	"github.com/orbit/realtime/domain"
)

// attempt wraps each single try, inside retry. Of one that failed it
//
//   - notes time, duration and error in the event's story, for the poison queue;
//   - discards what was staged;
//   - flushes the batch: a wait follows, and what is done shall not wait along;
//   - stops retry when waiting a second can't help: the handler was cancelled,
//     or the database is away.
func attempt(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		b, err := batchFrom(ctx)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		produced, err := h(msg)
		if err == nil {
			return produced, nil
		}
		if s := storyFrom(ctx); s != nil {
			s.attempts = append(s.attempts, domain.PoisonAttempt{
				At: began.UTC(), DurationMS: float64(time.Since(began).Microseconds()) / 1000, Error: errorText(err),
			})
		}
		if stageErr := b.stage(msg.UUID, effect{}); stageErr != nil {
			return nil, backoff.Permanent(stageErr)
		}
		if flushErr := b.flush(ctx, msg.UUID); flushErr != nil {
			return nil, backoff.Permanent(flushErr)
		}
		if passes(ctx, err) {
			return nil, backoff.Permanent(err)
		}
		return nil, err
	}
}

// story is what happened to a message in this delivery.
type story struct{ attempts []domain.PoisonAttempt }

type storyKey struct{}

func withStory(ctx context.Context, s *story) context.Context {
	return context.WithValue(ctx, storyKey{}, s)
}

func storyFrom(ctx context.Context) *story {
	s, _ := ctx.Value(storyKey{}).(*story)
	return s
}
