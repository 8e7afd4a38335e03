package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/store"
)

func idleLane(ctx context.Context) (*consumer, laneBackoff) {
	cfg := BusConfig{Logger: quiet}
	cfg.setDefaults()
	c := newConsumer(ctx, &Bus{cfg: cfg}, store.Topic, 0)
	return c, laneBackoff{c}
}

// watermill-sql polls each second by default: half a second of latency, on
// average, for an event that is there.
func TestAnIdleLaneSleepsUntilWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c, lane := idleLane(ctx)
		began := time.Now()
		time.AfterFunc(time.Millisecond, c.wake)
		require.Zero(t, lane.HandleError(nil, true, nil))
		require.Equal(t, time.Millisecond, time.Since(began))
	})
}

// A publisher may commit between the lane's last read and its going to sleep.
func TestAWakeUpIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c, lane := idleLane(ctx)
		began := time.Now()
		c.wake()
		c.wake()
		lane.HandleError(nil, true, nil)
		require.Zero(t, time.Since(began))
		lane.HandleError(nil, true, nil)
		require.Equal(t, 200*time.Millisecond, time.Since(began), "two wake-ups at once are one; then it is the safety poll")
	})
}

func TestAnIdleLaneEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, lane := idleLane(ctx)
		began := time.Now()
		time.AfterFunc(time.Millisecond, cancel)
		lane.HandleError(nil, true, nil)
		require.Equal(t, time.Millisecond, time.Since(began))
	})
}

// The library would ask for the next batch for ever, and be refused each time.
func TestADrainedLaneRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c, lane := idleLane(ctx)
		c.drain()
		began := time.Now()
		time.AfterFunc(time.Minute, cancel)
		lane.HandleError(nil, false, context.Canceled)
		require.Equal(t, time.Minute, time.Since(began))
		require.NoError(t, c.trouble.last(), "not a failure")
	})
}

func TestALaneInTroubleBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c, lane := idleLane(ctx)
		require.NotZero(t, lane.HandleError(nil, false, errBroken))
		require.Equal(t, errBroken, c.trouble.last())
		c.wake()
		lane.HandleError(nil, true, nil)
		require.NoError(t, c.trouble.last())
	})
}
