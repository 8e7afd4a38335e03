package pipeline

import (
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Waits between attempts while something that heals by itself is broken.
const (
	minWait = 50 * time.Millisecond
	maxWait = 2 * time.Second
)

// trouble follows a lane's streak of failures: it paces them, and logs the
// first of a streak and its end, so that an hour without a database is two
// lines and not ten thousand.
type trouble struct {
	logger *slog.Logger

	mu      sync.Mutex
	err     error
	since   time.Time
	backoff *backoff.ExponentialBackOff
}

func newTrouble(logger *slog.Logger) *trouble {
	return &trouble{logger: logger, backoff: &backoff.ExponentialBackOff{
		InitialInterval: minWait, MaxInterval: maxWait, Multiplier: 2, RandomizationFactor: 0.5,
	}}
}

// failed notes a failure and returns how long to wait: 50 ms to 2 s, with
// jitter of a half.
func (t *trouble) failed(err error) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.since = time.Now()
		t.backoff.Reset()
		t.logger.Warn("lane waits", "error", err)
	}
	t.err = err
	return t.backoff.NextBackOff()
}

// over ends the streak.
func (t *trouble) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		t.logger.Info("lane goes on", "waited", time.Since(t.since))
		t.err = nil
	}
}

// last returns the streak's latest error, or nil.
func (t *trouble) last() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
