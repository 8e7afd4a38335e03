package pipeline

import (
	"errors"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/stretchr/testify/require"
)

// A panic passes Retry and a poison queue by, and is delivered again for ever,
// unless it is made an error inside of them.
func TestPanicIsAnErrorWithItsStack(t *testing.T) {
	_, err := recoverer(func(*message.Message) ([]*message.Message, error) {
		var nothing *message.Message
		return nil, errors.New(nothing.UUID)
	})(message.NewMessage("m", nil))

	var panicked middleware.RecoveredPanicError
	require.ErrorAs(t, err, &panicked)
	require.ErrorContains(t, panicked.V.(error), "nil pointer dereference")
	require.Contains(t, panicked.Stacktrace, "recover_test.go")
}
