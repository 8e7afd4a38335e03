package pipeline

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/orbit/realtime/store"
)

const (
	// operationPace is the time between two steps of an operation that runs.
	operationPace = 50 * time.Millisecond
	// operationPoll is how long a sleeping runner overlooks an operation that
	// another process made.
	operationPoll = time.Second
)

// Operations is the service that carries out bulk operations on the poison
// queue. It keeps nothing in memory: each step goes by what the database says,
// so that a restart, or several nodes that run it side by side, make no
// difference to what is done, or to its rate.
type Operations struct {
	store  *store.Store
	logger *slog.Logger
	woken  chan struct{} // holds one wake-up

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup
}

// NewOperations makes the service. A nil logger is slog.Default.
func NewOperations(s *store.Store, logger *slog.Logger) *Operations {
	if logger == nil {
		logger = slog.Default()
	}
	o := &Operations{store: s, logger: logger, woken: make(chan struct{}, 1)}
	s.OnOperation(o.wake)
	return o
}

func (o *Operations) wake() {
	select {
	case o.woken <- struct{}{}:
	default:
	}
}

// Start begins to take steps and returns at once.
func (o *Operations) Start(ctx context.Context) {
	ctx, o.stop = context.WithCancel(context.WithoutCancel(ctx))
	o.running.Go(func() {
		trouble := newTrouble(o.logger.With("service", "operations"))
		for {
			select {
			case <-time.After(o.round(ctx, trouble)):
			case <-o.woken:
			case <-ctx.Done():
				return
			}
		}
	})
}

// Stop ends the step under way and waits for it. Idempotent. What is left to do
// is done after the next Start, here or elsewhere.
func (o *Operations) Stop() {
	if o.stop != nil {
		o.stop()
		o.running.Wait()
	}
}

// round takes a step of each operation that has one left, and returns how long
// to wait for the next round.
func (o *Operations) round(ctx context.Context, trouble *trouble) time.Duration {
	ids, err := o.store.ActiveOperations(ctx)
	pause := operationPoll
	for _, id := range ids {
		active, stepErr := o.store.StepOperation(ctx, id)
		if stepErr != nil {
			err = stepErr
		}
		if active || stepErr != nil {
			pause = operationPace
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return pause
		}
		return trouble.failed(err)
	}
	trouble.over()
	return pause
}
