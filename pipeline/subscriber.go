package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
)

// Subscriber reads one lane of any topic. Of several subscriptions to the same
// lane, in this process or others, one receives; when it ends, another takes
// over.
type Subscriber struct {
	bus  *Bus
	lane int

	mu     sync.Mutex
	closed bool
	subs   []*subscription
}

// subscription is one Subscribe call: a watermill-sql Subscriber with plug-ins
// of its own, because these keep the state of one lane of one topic.
type subscription struct {
	consumer *consumer
	cancel   context.CancelFunc
	inner    *wsql.Subscriber
	messages <-chan *message.Message
}

var _ message.Subscriber = (*Subscriber)(nil)

// NewSubscriber returns a subscriber to a lane. Messages without a workspace
// are in lane store.LaneOf("", store.Lanes()).
func (b *Bus) NewSubscriber(lane int) *Subscriber {
	return &Subscriber{bus: b, lane: lane}
}

// Subscribe returns at once, even when the database is away. The channel is
// closed when ctx ends or the subscriber is closed.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, wsql.ErrSubscriberClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	c := newConsumer(ctx, s.bus, topic, s.lane)
	var noAckDeadline time.Duration
	inner, err := wsql.NewSubscriber(c, wsql.SubscriberConfig{
		// Time is kept by the timeout middleware; a second clock would nack
		// messages whose handling was still going well.
		AckDeadline: &noAckDeadline,
		// Redelivery is paced by the delivery middleware, whose waiting can be
		// cancelled; this one can't, and zero would mean the default.
		ResendInterval: time.Nanosecond,
		BackoffManager: laneBackoff{c},
		SchemaAdapter:  schemaAdapter{store: s.bus.store, lane: s.lane, limit: c.size.current},
		OffsetsAdapter: offsetsAdapter{},
	}, s.bus.logger)
	if err != nil {
		cancel()
		return nil, err
	}
	messages, err := inner.Subscribe(ctx, topic)
	if err != nil {
		cancel()
		return nil, err
	}
	s.bus.register(c)
	s.subs = append(s.subs, &subscription{c, cancel, inner, messages})
	return messages, nil
}

// Drain begins no more messages, and waits for those in hand and the commit of
// what was handled, or until ctx ends. Close comes next.
func (s *Subscriber) Drain(ctx context.Context) error {
	s.mu.Lock()
	subs := s.subs
	s.mu.Unlock()
	var errs []error
	for _, sub := range subs {
		errs = append(errs, sub.consumer.drained(ctx))
	}
	return errors.Join(errs...)
}

// Close ends every subscription, cancels the messages in hand, and gives the
// lanes up. When it returns, the channels are closed. Idempotent.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	subs := s.subs
	s.mu.Unlock()
	var errs []error
	for _, sub := range subs {
		sub.cancel()
		errs = append(errs, sub.inner.Close())
		// Close of the library returns a moment before it closes the channel.
		for range sub.messages {
		}
		sub.consumer.leaveIfIdle()
	}
	return errors.Join(errs...)
}

// status tells how the lane is doing.
func (s *Subscriber) status() LaneStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := LaneStatus{Lane: s.lane}
	for _, sub := range s.subs {
		c := sub.consumer
		st.Owned, st.BatchSize = c.owned(), c.size.current()
		if err := c.trouble.last(); err != nil {
			st.LastError = err.Error()
		}
	}
	return st
}

// register lets the bus wake the consumer, until its subscription ends.
func (b *Bus) register(c *consumer) {
	b.mu.Lock()
	b.consumers[c] = struct{}{}
	b.mu.Unlock()
	context.AfterFunc(c.ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.consumers, c)
	})
}
