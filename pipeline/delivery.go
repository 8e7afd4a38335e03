package pipeline

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// delivery is the outermost middleware. It decides what becomes of a message:
//
//   - The batch admits it, and handling succeeds (or stages a poison row): ack.
//   - It can't be handled now (cancelled, or the database is away): wait, and
//     nack, which delivers it again within the same batch.
//   - The batch doesn't admit it, or broke meanwhile: ack without handling. The
//     row stays in the outbox, for what the batch commits doesn't include it.
func delivery(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		b, err := batchFrom(ctx)
		if err != nil {
			return nil, err
		}
		if !b.admit(msg.UUID) {
			return nil, nil
		}
		produced, err := h(msg)
		if err == nil || b.broken() != nil {
			return produced, nil
		}
		b.waitOut(ctx, err)
		// The router would nack too, but also log an error each time.
		msg.Nack()
		return nil, nil
	}
}

// waitOut waits before the event is delivered again. Failures in a row make it
// longer; shutdown, or the loss of the lane, ends it.
func (b *batch) waitOut(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	select {
	case <-time.After(b.lane.trouble.failed(err)):
	case <-b.lane.work.Done(): // ends with ctx at the latest
	case <-b.claim.Lost():
		b.abandon(errLaneLost)
	}
}
