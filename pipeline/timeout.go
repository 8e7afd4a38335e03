package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// TimeoutError says that a projector didn't end within its time.
type TimeoutError struct {
	Limit time.Duration
	cause error
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the projector didn't end within %s: %v", e.Limit, e.cause)
}

func (e *TimeoutError) Unwrap() error { return e.cause }

// timeout is Watermill's, which sets a deadline on the message's context and
// leaves it there, expired: whoever uses that context afterwards fails too. So
// the context from before is restored. A failure past the deadline is wrapped
// in a [TimeoutError].
func timeout(limit time.Duration) message.HandlerMiddleware {
	withDeadline := middleware.Timeout(limit)
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			before := msg.Context()
			defer msg.SetContext(before)
			return withDeadline(func(msg *message.Message) ([]*message.Message, error) {
				produced, err := h(msg)
				expired := errors.Is(msg.Context().Err(), context.DeadlineExceeded) && before.Err() == nil
				if err != nil && expired {
					err = &TimeoutError{Limit: limit, cause: err}
				}
				return produced, err
			})(msg)
		}
	}
}
