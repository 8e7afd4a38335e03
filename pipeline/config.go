package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/orbit/realtime/domain"
)

// Config configures a [Pipeline]. Zero values mean the defaults.
type Config struct {
	// Lanes is how many lanes the outbox shall have (1 to 64). 0 keeps what the
	// database is laid out for.
	Lanes int
	// LaneQuota is how many lanes this process should hold while others share the
	// database; asked again and again. It gives up what it has too many between
	// two batches. Default: all it can get.
	LaneQuota func() int
	// OnAppended is told of new log entries after their commit, in the order of
	// each lane's commits. It must not block.
	OnAppended func([]domain.Appended)
	// Concerns tells the channels whose tabs are old when an event can't be
	// projected; they get system.stale. Its error, unless it is transient, says
	// why nobody can be told. Default: nobody is.
	Concerns func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.Channel, error)
	Retry    RetryConfig
	// Each projects every event by itself: no backlog is collapsed. It is there
	// to measure and to compare.
	Each bool
	// HandlerTimeout is how long one attempt of a projector may take (default 5 s).
	HandlerTimeout time.Duration
	// SafetyPoll is how long an idle lane sleeps at most (default 200 ms).
	SafetyPoll time.Duration
	Retention  RetentionConfig
	// Audit looks for what differs from what tabs were told. A Rate of 0 looks for
	// nothing.
	Audit    AuditConfig
	Observer Observer     // default: nobody
	Build    string       // version of the binary; default "unknown"
	Node     string       // name of the process; default host name and process id
	Logger   *slog.Logger // default slog.Default
}

// RetryConfig says how an event that failed is tried again in place. Its lane
// stands still meanwhile.
type RetryConfig struct {
	// MaxRetries is how many attempts follow the first (default 3; negative: none).
	MaxRetries int
	// InitialInterval is the first wait (default 50 ms); each further one is
	// three times as long, up to MaxInterval (default 500 ms), give or take a third.
	InitialInterval time.Duration
	MaxInterval     time.Duration
	// Budget is the time after which no further attempt begins (default 1 s).
	Budget time.Duration
}

// RetentionConfig says how much history is kept.
type RetentionConfig struct {
	MaxAge     time.Duration // of log entries (default 24 h)
	MaxEntries int           // per workspace's log (default 10,000)
	// DedupeWindow is how long an event is remembered as projected, at least
	// (default 24 h).
	DedupeWindow time.Duration
	// Traces is of how many events the story is kept, up to MaxAge, for
	// store.Trace. 0: of none.
	Traces int
	// PoisonMaxAge is how long a poison message is kept once it is healed,
	// superseded or discarded, and an operation once it has ended (default 30
	// days). Open and requeued messages are kept for good.
	PoisonMaxAge time.Duration
	AuditMaxAge  time.Duration // of audit entries (default a year)
	Interval     time.Duration // between two rounds (default 1 min)
	Logger       *slog.Logger  // default slog.Default
}

func (c *Config) setDefaults() {
	c.Retry.MaxRetries = cmp.Or(c.Retry.MaxRetries, 3)
	c.Retry.InitialInterval = cmp.Or(c.Retry.InitialInterval, 50*time.Millisecond)
	c.Retry.MaxInterval = cmp.Or(c.Retry.MaxInterval, 500*time.Millisecond)
	c.Retry.Budget = cmp.Or(c.Retry.Budget, time.Second)
	c.HandlerTimeout = cmp.Or(c.HandlerTimeout, 5*time.Second)
	c.SafetyPoll = cmp.Or(c.SafetyPoll, 200*time.Millisecond)
	if c.OnAppended == nil {
		c.OnAppended = func([]domain.Appended) {}
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Observer == nil {
		c.Observer = deaf{}
	}
	c.Build = cmp.Or(c.Build, "unknown")
	c.Node = cmp.Or(c.Node, DefaultNode())
	c.Audit.Logger = cmp.Or(c.Audit.Logger, c.Logger)
	c.Retention.Logger = cmp.Or(c.Retention.Logger, c.Logger)
	c.Retention.setDefaults()
}

func (c *RetentionConfig) setDefaults() {
	c.MaxAge = cmp.Or(c.MaxAge, 24*time.Hour)
	c.MaxEntries = cmp.Or(c.MaxEntries, 10_000)
	c.DedupeWindow = cmp.Or(c.DedupeWindow, 24*time.Hour)
	c.PoisonMaxAge = cmp.Or(c.PoisonMaxAge, 30*24*time.Hour)
	c.AuditMaxAge = cmp.Or(c.AuditMaxAge, 365*24*time.Hour)
	c.Interval = cmp.Or(c.Interval, time.Minute)
	c.Logger = cmp.Or(c.Logger, slog.Default())
}

// Validate reports every value out of range.
func (c Config) Validate() error {
	var errs []error
	if c.Lanes < 0 || c.Lanes > 64 {
		errs = append(errs, fmt.Errorf("lanes: %d is not within 1 to 64", c.Lanes))
	}
	for name, d := range map[string]time.Duration{
		"retry initial interval": c.Retry.InitialInterval,
		"retry max interval":     c.Retry.MaxInterval,
		"retry budget":           c.Retry.Budget,
		"handler timeout":        c.HandlerTimeout,
		"safety poll":            c.SafetyPoll,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s: %s is negative", name, d))
		}
	}
	if c.Audit.Rate < 0 || c.Audit.Patience < 0 {
		errs = append(errs, errors.New("audit: rate and patience are not negative"))
	}
	return errors.Join(append(errs, c.Retention.Validate())...)
}

// Validate reports every value out of range.
func (c RetentionConfig) Validate() error {
	var errs []error
	for name, d := range map[string]time.Duration{
		"retention max age": c.MaxAge, "dedupe window": c.DedupeWindow, "retention interval": c.Interval,
		"poison max age": c.PoisonMaxAge, "audit max age": c.AuditMaxAge,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s: %s is negative", name, d))
		}
	}
	if c.Traces < 0 {
		errs = append(errs, fmt.Errorf("retention traces: %d is negative", c.Traces))
	}
	if c.MaxEntries < 0 {
		errs = append(errs, fmt.Errorf("retention max entries: %d is negative", c.MaxEntries))
	}
	return errors.Join(errs...)
}

// DefaultNode names this process: host name and process id.
func DefaultNode() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
