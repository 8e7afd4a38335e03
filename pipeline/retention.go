package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/orbit/realtime/store"
)

// Retention is the service that forgets: log entries past their age or count,
// dedupe marks past their window, expired sign-in sessions, poison messages that
// were closed long ago, and old audit entries. Several nodes may run it side by
// side.
type Retention struct {
	store *store.Store
	cfg   RetentionConfig

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup
}

// NewRetention makes the service.
func NewRetention(s *store.Store, cfg RetentionConfig) (*Retention, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Retention{store: s, cfg: cfg}, nil
}

// Start begins the rounds, the first one at once, and returns at once.
func (r *Retention) Start(ctx context.Context) {
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.running.Go(func() {
		tick := time.NewTicker(r.cfg.Interval)
		defer tick.Stop()
		for {
			r.round(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// Stop ends the round under way and waits for it. Idempotent.
func (r *Retention) Stop() {
	if r.stop != nil {
		r.stop()
		r.running.Wait()
	}
}

// round forgets what is due. A step that fails is left to the next round.
func (r *Retention) round(ctx context.Context) {
	steps := []struct {
		what string
		run  func() (int64, error)
	}{
		{"log entries", func() (int64, error) { return r.store.TrimLogs(ctx, r.cfg.MaxAge, r.cfg.MaxEntries) }},
		{"dedupe marks", func() (int64, error) {
			return r.store.PruneProjected(ctx, r.cfg.DedupeWindow, r.cfg.MaxAge, r.cfg.Traces)
		}},
		{"traces", func() (int64, error) { return r.store.PruneWrites(ctx, r.cfg.MaxAge) }},
		{"alerts", func() (int64, error) { return r.store.PruneAlerts(ctx) }},
		{"sign-in sessions", func() (int64, error) { return r.store.PruneSessions(ctx) }},
		{"closed poison", func() (int64, error) { return r.store.PrunePoison(ctx, r.cfg.PoisonMaxAge) }},
		{"audit", func() (int64, error) { return r.store.PruneAudit(ctx, r.cfg.AuditMaxAge) }},
	}
	for _, step := range steps {
		n, err := step.run()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.cfg.Logger.Warn("retention failed; the next round tries again", "of", step.what, "error", err)
		case n > 0:
			r.cfg.Logger.Debug("retention", "of", step.what, "deleted", n)
		}
	}
}
