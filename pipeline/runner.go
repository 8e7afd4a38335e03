package pipeline

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/orbit/realtime/domain"
)

// graceToReturn is how long a projector has to notice that its context ended.
const graceToReturn = 50 * time.Millisecond

// runner runs projectors in goroutines of their own. Go can't stop a goroutine,
// so one that ignores its context is left behind: the lane goes on, and the
// goroutine is counted and logged. It holds no message and no batch, hence
// can't do harm beyond its own weight.
type runner struct {
	read      domain.Reader
	logger    *slog.Logger
	abandoned atomic.Int64 // goroutines left behind that still run
}

type outcome struct {
	events []domain.ServerEvent
	err    error
}

// run calls the projector. It returns within graceToReturn of the end of ctx.
func (r *runner) run(ctx context.Context, project domain.Projector, ev domain.Event) ([]domain.ServerEvent, error) {
	done := make(chan outcome, 1)
	go func() {
		var out outcome
		recovered := middleware.Recoverer(func(*message.Message) ([]*message.Message, error) {
			var err error
			out.events, err = project(ctx, r.read, ev)
			return nil, err
		})
		_, out.err = recovered(nil)
		done <- out
	}()

	select {
	case out := <-done:
		return out.events, out.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(graceToReturn)
	defer grace.Stop()
	select {
	case out := <-done:
		return out.events, out.err
	case <-grace.C:
	}
	r.abandon(ev, done)
	return nil, ctx.Err()
}

func (r *runner) abandon(ev domain.Event, done <-chan outcome) {
	running := r.abandoned.Add(1)
	r.logger.Error("a projector ignores its context and is left behind",
		"type", ev.Type, "event", ev.ID, "running", running)
	began := time.Now()
	go func() {
		<-done
		r.abandoned.Add(-1)
		r.logger.Warn("a projector left behind has ended",
			"type", ev.Type, "event", ev.ID, "after", time.Since(began))
	}()
}
