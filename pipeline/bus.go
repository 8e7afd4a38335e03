package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// BusConfig configures a [Bus]. Zero values mean the defaults.
type BusConfig struct {
	// OnAppended is told of new log entries after their commit, in the order
	// of each lane's commits. It must not block.
	OnAppended func([]domain.Appended)
	// SafetyPoll is how long an idle lane sleeps at most (default 200 ms). It
	// bounds what a lost wake-up costs.
	SafetyPoll time.Duration
	// LaneQuota is how many lanes of the outbox this process should hold; asked
	// again and again. Default: all it can get.
	LaneQuota func() int
	Observer  Observer     // default: nobody
	Logger    *slog.Logger // default slog.Default
}

func (c *BusConfig) setDefaults() {
	if c.OnAppended == nil {
		c.OnAppended = func([]domain.Appended) {}
	}
	c.SafetyPoll = cmp.Or(c.SafetyPoll, 200*time.Millisecond)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Observer == nil {
		c.Observer = deaf{}
	}
}

// Bus makes Watermill publishers and subscribers over the outbox, and wakes
// lanes. A process needs one per store.
//
// Delivery is at least once, in order of insertion within a lane, one message
// at a time. Acked messages are deleted: there are no consumer groups and no
// second reading.
type Bus struct {
	store   *store.Store
	cfg     BusConfig
	logger  watermill.LoggerAdapter
	notices *notices
	share   *share

	mu        sync.Mutex
	consumers map[*consumer]struct{}

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup
}

// NewBus makes a bus. It asks the store to be woken after each commit.
func NewBus(s *store.Store, cfg BusConfig) *Bus {
	cfg.setDefaults()
	b := &Bus{
		store: s, cfg: cfg, logger: watermillLogger(cfg.Logger),
		notices:   newNotices(),
		share:     newShare(cfg.LaneQuota),
		consumers: make(map[*consumer]struct{}),
	}
	s.OnPublish(b.Wake)
	return b
}

// shareOf is this process's share of a topic's lanes. Only the outbox's are
// shared out.
func (b *Bus) shareOf(topic string) *share {
	if topic == store.Topic {
		return b.share
	}
	return newShare(nil)
}

// Start begins to listen for, and to notify, other processes. It returns at
// once. Without it everything works, but between processes at the pace of the
// safety poll.
func (b *Bus) Start(ctx context.Context) {
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	b.running.Go(func() { b.listen(ctx) })
	b.running.Go(func() { b.notify(ctx) })
}

// Stop ends what Start began. Idempotent. Subscribers are closed by whoever
// made them.
func (b *Bus) Stop() {
	if b.stop != nil {
		b.stop()
		b.running.Wait()
	}
}

// NewPublisher returns a publisher to any topic, in transactions of its own.
// Business code doesn't need it: it publishes with domain.Tx.
func (b *Bus) NewPublisher() (*Publisher, error) {
	inner, err := wsql.NewPublisher(executor{b.store}, wsql.PublisherConfig{
		SchemaAdapter: schemaAdapter{store: b.store},
	}, b.logger)
	if err != nil {
		return nil, err
	}
	return &Publisher{inner: inner, bus: b}, nil
}

// Publisher appends messages to the outbox. Safe for concurrent use.
type Publisher struct {
	inner *wsql.Publisher
	bus   *Bus
}

var _ message.Publisher = (*Publisher)(nil)

// Publish appends the messages in order, store.MaxInsert to a statement, and wakes
// their lanes. A message whose UUID waits in the topic already is skipped.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	for some := range slices.Chunk(messages, store.MaxInsert) {
		if err := p.publish(topic, some); err != nil {
			return err
		}
	}
	return nil
}

func (p *Publisher) publish(topic string, messages []*message.Message) error {
	if err := p.inner.Publish(topic, messages...); err != nil {
		return err
	}
	var lanes []int
	seen := make(map[int]bool)
	for _, msg := range messages {
		lane := store.LaneOf(msg.Metadata[metaWorkspaceID], p.bus.store.Lanes())
		if !seen[lane] {
			seen[lane] = true
			lanes = append(lanes, lane)
		}
	}
	p.bus.wake(topic, lanes)
	return nil
}

// Close waits for Publish calls under way. Idempotent.
func (p *Publisher) Close() error { return p.inner.Close() }

// executor runs the library's autocommit statements.
type executor struct{ store *store.Store }

func (e executor) ExecContext(ctx context.Context, query string, args ...any) (wsql.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	res, err := e.store.WriteDB().ExecContext(ctx, query, args...)
	return res, store.MapError(err)
}

// QueryContext is part of wsql.ContextExecutor, but nobody asks: batches read
// for themselves.
func (e executor) QueryContext(context.Context, string, ...any) (wsql.Rows, error) {
	return nil, errors.New("read through a batch")
}

// watermillLogger tones Watermill down by a level: what it tells as information
// happens per handler and subscription, what it tells for debugging per message.
func watermillLogger(l *slog.Logger) watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(l, map[slog.Level]slog.Level{
		slog.LevelInfo:       slog.LevelDebug,
		slog.LevelDebug:      watermill.LevelTrace,
		watermill.LevelTrace: watermill.LevelTrace,
	})
}
