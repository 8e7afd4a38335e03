package pipeline

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func newRunner() *runner { return &runner{logger: slog.New(slog.DiscardHandler)} }

// A projector that hangs and ignores its context would hold its lane for ever.
func TestRunnerLeavesAHangingProjectorBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, release := newRunner(), make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := r.run(ctx, func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
			<-release
			return nil, nil
		}, domain.Event{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second+graceToReturn, time.Since(began))
		require.EqualValues(t, 1, r.abandoned.Load())

		close(release)
		synctest.Wait()
		require.Zero(t, r.abandoned.Load(), "it ended after all")
	})
}

// One that listens is no leak, and has the last word.
func TestRunnerWaitsForAProjectorThatListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunner()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.run(ctx, func(ctx context.Context, _ domain.Reader, _ domain.Event) ([]domain.ServerEvent, error) {
			<-ctx.Done()
			time.Sleep(graceToReturn / 2)
			return nil, errBroken
		}, domain.Event{})
		require.ErrorIs(t, err, errBroken)
		require.Zero(t, r.abandoned.Load())
	})
}

// The router's recover can't see into another goroutine: unrecovered there, a
// panic would end the process.
func TestRunnerRecoversAPanic(t *testing.T) {
	_, err := newRunner().run(t.Context(), func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
		panic("boom")
	}, domain.Event{})
	var panicked middleware.RecoveredPanicError
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, "boom", panicked.V)
	require.Contains(t, panicked.Stacktrace, "TestRunnerRecoversAPanic")
}
