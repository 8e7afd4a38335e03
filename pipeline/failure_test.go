package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func panicError(t *testing.T, v any) error {
	t.Helper()
	_, err := recoverer(func(*message.Message) ([]*message.Message, error) { panic(v) })(nil)
	require.Error(t, err)
	return err
}

func TestFailures(t *testing.T) {
	var syntax *json.SyntaxError
	require.ErrorAs(t, json.Unmarshal([]byte("{"), new(any)), &syntax)
	away := domain.Transient(errors.New("connection refused"), "the database is away")

	tests := []struct {
		name   string
		err    error
		class  string
		passes bool
	}{
		{"a coded error", fmt.Errorf("project: %w", domain.Errorf(domain.CodeConflict, "taken")), "conflict", false},
		{"an error of some library", fmt.Errorf("decode: %w", syntax), "*json.SyntaxError", false},
		{"a plain error", errors.New("no"), "*errors.errorString", false},
		{"a panic", panicError(t, "boom"), "panic", false},
		{"a timeout", &TimeoutError{Limit: time.Second, cause: context.DeadlineExceeded}, "timeout", false},
		{"a timeout while waiting for the database", &TimeoutError{Limit: time.Second, cause: away}, "timeout", false},
		{"the database is away", fmt.Errorf("read: %w", away), "unavailable", true},
		// Nobody cancelled the message: the projector cancelled something of
		// its own. Taken for a shutdown, it would be delivered again for ever.
		{"a cancellation of the projector's own", context.Canceled, "*errors.errorString", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.class, errorClass(tt.err))
			require.Equal(t, tt.passes, passes(t.Context(), tt.err))

			canceled, cancel := context.WithCancel(t.Context())
			cancel()
			require.True(t, passes(canceled, tt.err), "at shutdown, everything passes")
		})
	}
}

func TestErrorChain(t *testing.T) {
	root := errors.New("root")
	err := fmt.Errorf("outer: %w", errors.Join(fmt.Errorf("left: %w", root), errors.New("right")))
	require.Equal(t, []string{"outer: left: root\nright", "left: root\nright", "left: root", "root", "right"}, errorChain(err))
}

// Watermill writes the whole stack into a panic's text; here it has a field of
// its own.
func TestPanicTextIsShort(t *testing.T) {
	err := panicError(t, "boom")
	require.Equal(t, "panic: boom", errorText(err))
	require.Equal(t, []string{"panic: boom"}, errorChain(err))
	require.Contains(t, panicStack(err), "failure_test.go")
	require.Empty(t, panicStack(errors.New("no panic")))
}
