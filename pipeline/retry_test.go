package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	"github.com/stretchr/testify/require"
)

var errBroken = errors.New("broken")

// failing returns a handler that notes when it was called, and fails.
func failing(calls *[]time.Time, err error) message.HandlerFunc {
	return func(*message.Message) ([]*message.Message, error) {
		*calls = append(*calls, time.Now())
		return nil, err
	}
}

func defaultRetry() RetryConfig {
	var cfg Config
	cfg.setDefaults()
	return cfg.Retry
}

// Watermill's ShouldRetry and OnRetryHook each draw from the backoff: with
// them, delays of 20, 41, 81 ms became 42, 160, 642. Ours grow as configured.
func TestRetryDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []time.Time
		_, err := retry(defaultRetry())(failing(&calls, errBroken))(message.NewMessage("m", nil))
		require.ErrorIs(t, err, errBroken)
		require.Len(t, calls, 4)
		for i, around := range []time.Duration{50, 150, 450} {
			around *= time.Millisecond
			wait := calls[i+1].Sub(calls[i])
			require.InDelta(t, around, wait, float64(around)/3+1, "wait %d: %s", i, wait)
		}
		require.Less(t, calls[3].Sub(calls[0]), time.Second)
	})
}

// A handler that takes long to fail, say until its timeout, isn't tried again:
// the lane would stand still for the timeout times the attempts.
func TestRetryKeepsItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		_, err := retry(defaultRetry())(func(*message.Message) ([]*message.Message, error) {
			calls++
			time.Sleep(5 * time.Second)
			return nil, errBroken
		})(message.NewMessage("m", nil))
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, 1, calls)
	})
}

func TestRetryStopsAtOnceWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []time.Time
		_, err := retry(defaultRetry())(failing(&calls, backoff.Permanent(errBroken)))(message.NewMessage("m", nil))
		require.Equal(t, errBroken, err, "without backoff's wrapping")
		require.Len(t, calls, 1)
	})
}

func TestRetryCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(20*time.Millisecond, cancel)
		var calls []time.Time
		_, err := retry(defaultRetry())(failing(&calls, errBroken))(message.NewMessageWithContext(ctx, "m", nil))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 20*time.Millisecond, time.Since(began))
		require.Len(t, calls, 1)
	})
}

func TestRetryCanBeTurnedOff(t *testing.T) {
	var calls []time.Time
	cfg := defaultRetry()
	cfg.MaxRetries = -1
	_, err := retry(cfg)(failing(&calls, errBroken))(message.NewMessage("m", nil))
	require.ErrorIs(t, err, errBroken)
	require.Len(t, calls, 1)
}
