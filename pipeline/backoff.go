package pipeline

import (
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
)

// laneBackoff is called by the subscriber after each batch. It is where an idle
// lane sleeps: a wake-up ends the sleep at once, where a poll interval would
// cost half of itself on average.
type laneBackoff struct{ *consumer }

var _ wsql.BackoffManager = laneBackoff{}

// HandleError returns how long to wait before the next batch. When there was
// nothing to read it blocks instead, until the lane is woken, the subscription
// ends, or the safety poll is due (a wake-up is a hint and may be lost).
func (b laneBackoff) HandleError(_ watermill.LoggerAdapter, noMsg bool, err error) time.Duration {
	switch {
	case b.work.Err() != nil:
		<-b.ctx.Done() // drained: nothing to do until the subscription ends
		return 0
	case err != nil:
		return b.trouble.failed(err)
	case noMsg:
		b.trouble.over()
		safety := time.NewTimer(b.bus.cfg.SafetyPoll)
		defer safety.Stop()
		select {
		case <-b.woken:
		case <-safety.C:
		case <-b.work.Done():
		}
	}
	return 0
}
