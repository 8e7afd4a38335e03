package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
)

func waitForEnd(msg *message.Message) ([]*message.Message, error) {
	<-msg.Context().Done()
	return nil, msg.Context().Err()
}

// Watermill's Timeout leaves its expired context on the message. A poison queue
// that publishes with it fails, so the message is delivered again at once: the
// handler was called 139,254 times in two seconds and nothing was poisoned.
func TestTimeoutRestoresTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		msg := message.NewMessageWithContext(t.Context(), "m", nil)
		_, err := timeout(5 * time.Second)(waitForEnd)(msg)

		var timedOut *TimeoutError
		require.ErrorAs(t, err, &timedOut)
		require.Equal(t, 5*time.Second, timedOut.Limit)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, t.Context(), msg.Context())
		require.NoError(t, msg.Context().Err())
	})
}

func TestTimeoutRestoresTheContextAfterAPanic(t *testing.T) {
	msg := message.NewMessageWithContext(t.Context(), "m", nil)
	require.Panics(t, func() {
		_, _ = timeout(time.Minute)(func(*message.Message) ([]*message.Message, error) { panic("boom") })(msg)
	})
	require.Equal(t, t.Context(), msg.Context())
}

// A cancelled message is not one that took too long.
func TestCancellationIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := timeout(5 * time.Second)(waitForEnd)(message.NewMessageWithContext(ctx, "m", nil))
		require.Equal(t, context.Canceled, err)
	})
}

// Nor is success that came late a failure.
func TestLateSuccessIsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := timeout(time.Second)(func(*message.Message) ([]*message.Message, error) {
			time.Sleep(2 * time.Second)
			return nil, nil
		})(message.NewMessageWithContext(t.Context(), "m", nil))
		require.NoError(t, err)
	})
}
