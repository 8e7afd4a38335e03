package pipeline

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// dedupe is Watermill's Deduplicator with a key and a repository of our own.
//
// The stock key is a checksum of the payload, which makes one event of two that
// say the same; ours is the event's id. The stock repository marks an event
// before it is handled, so that one which fails is dropped when delivered
// again; ours only reads. The mark is part of what projecting the event stages.
func dedupe() message.HandlerMiddleware {
	d := &middleware.Deduplicator{
		KeyFactory: func(msg *message.Message) (string, error) { return msg.UUID, nil },
		Repository: projectedEvents{},
		Timeout:    time.Minute, // for repositories that do I/O
	}
	return d.Middleware
}

// projectedEvents knows the events projected within the dedupe window: the read
// that fetched the batch brought it along, so asking costs nothing.
type projectedEvents struct{}

// IsDuplicate is false for an event that an operator sent back.
func (projectedEvents) IsDuplicate(ctx context.Context, eventID string) (bool, error) {
	b, err := batchFrom(ctx)
	if err != nil {
		return false, err
	}
	return b.duplicate(eventID), nil
}
