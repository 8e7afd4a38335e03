package pipeline

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// never is a safety poll that doesn't come to help during a test.
const never = time.Hour

// Without the safety poll, only wake-ups move events.
func TestPublishingWakesItsLane(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, projectors("test.ok", ok), Config{SafetyPoll: never})
		for n := range 5 {
			publish(t, s, newEvent("test.ok", "ws", n))
			drained(t, s)
		}
		require.Equal(t, upTo(5), logged(t, s, "ws"))
	})
}

// The process that publishes doesn't hold the lane: NOTIFY tells the one that does.
func TestOtherProcessesAreNotified(t *testing.T) {
	dsn := storetest.DSN(t, store.Postgres)
	a, b := storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)
	p := start(t, a, projectors("test.ok", ok), Config{SafetyPoll: never})
	require.Eventually(t, func() bool {
		return !slices.ContainsFunc(p.Status(), func(l LaneStatus) bool { return !l.Owned })
	}, patiently, tick)

	bus := NewBus(b, BusConfig{Logger: quiet})
	bus.Start(t.Context())
	t.Cleanup(bus.Stop)
	for n := range 5 {
		publish(t, b, newEvent("test.ok", "ws", n))
		drained(t, b)
	}
	require.Equal(t, upTo(5), logged(t, a, "ws"))
}

// A product in another language calls orbit_publish.
func TestForeignProducersWake(t *testing.T) {
	s := storetest.Open(t, store.Postgres)
	start(t, s, projectors("test.ok", ok), Config{SafetyPoll: never})
	_, err := s.WriteDB().ExecContext(t.Context(), `SELECT orbit_publish('test.ok', 'ws', 'agg_1', '{"n": 7}')`)
	require.NoError(t, err)
	drained(t, s)
	require.Equal(t, []int{7}, logged(t, s, "ws"))
}

// A wake-up is a hint: when all are lost, it takes longer, and that is all.
func TestTheSafetyPollIsTheNet(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, projectors("test.ok", ok), Config{SafetyPoll: 20 * time.Millisecond})
		drained(t, s)
		query, args, err := s.OutboxInsert(store.Topic, newEvent("test.ok", "ws", 1))
		require.NoError(t, err)
		_, err = s.WriteDB().ExecContext(context.Background(), query, args...) // behind everybody's back
		require.NoError(t, err)
		drained(t, s)
		require.Equal(t, []int{1}, logged(t, s, "ws"))
	})
}

// NOTIFY in each publishing transaction would halve the rate of publishing.
func TestNoticesAreCollected(t *testing.T) {
	n := newNotices()
	n.add([]int{3, 1})
	n.add([]int{1})
	n.add([]int{2})
	require.Len(t, n.some, 1)
	require.Equal(t, []int{1, 2, 3}, n.take())
	require.Empty(t, n.take())
}

// The publisher splits what no statement can carry, in order, and refuses what
// the outbox can't tell apart.
func TestPublisher(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	bus := NewBus(s, BusConfig{Logger: quiet, SafetyPoll: never})
	pub, err := bus.NewPublisher()
	require.NoError(t, err)
	require.NoError(t, pub.Publish("topic"))
	require.Error(t, pub.Publish("topic", message.NewMessage("", nil)))

	sub := bus.NewSubscriber(store.LaneOf("", s.Lanes()))
	t.Cleanup(func() { require.NoError(t, sub.Close()) })
	received, err := sub.Subscribe(t.Context(), "topic")
	require.NoError(t, err)

	var sent message.Messages
	for range 2*store.MaxInsert + 1 {
		sent = append(sent, message.NewMessage(watermill.NewUUID(), nil))
	}
	require.NoError(t, pub.Publish("topic", sent...))
	for _, want := range sent {
		msg := <-received
		require.Equal(t, want.UUID, msg.UUID)
		msg.Ack()
	}
	require.NoError(t, pub.Close())
	require.Error(t, pub.Publish("topic", sent[0]))
}

func TestSubscriberRefusesAfterClose(t *testing.T) {
	bus := NewBus(storetest.Open(t, store.SQLite), BusConfig{Logger: quiet})
	sub := bus.NewSubscriber(0)
	_, err := sub.Subscribe(t.Context(), "no such/topic name")
	require.Error(t, err)
	require.NoError(t, sub.Close())
	require.NoError(t, sub.Close())
	_, err = sub.Subscribe(t.Context(), "topic")
	require.Error(t, err)
}

// Of two subscriptions to a lane one receives; when it closes, the other does.
func TestSubscribersTakeTurns(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		bus := NewBus(s, BusConfig{Logger: quiet})
		lane := store.LaneOf("ws", s.Lanes())
		first, second := bus.NewSubscriber(lane), bus.NewSubscriber(lane)
		t.Cleanup(func() { require.NoError(t, second.Close()) })
		publish(t, s, newEvent("test.ok", "ws", 1), newEvent("test.ok", "ws", 2))

		received, err := first.Subscribe(context.Background(), store.Topic)
		require.NoError(t, err)
		one := <-received
		waiting, err := second.Subscribe(context.Background(), store.Topic)
		require.NoError(t, err)
		one.Ack()
		two := <-received
		require.True(t, first.status().Owned)
		require.False(t, second.status().Owned)

		require.NoError(t, first.Close()) // two was not acked, one was
		require.Equal(t, two.UUID, (<-waiting).UUID)
		require.True(t, second.status().Owned)
	})
}
