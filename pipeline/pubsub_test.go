package pipeline

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// Watermill's universal suite, which every Pub/Sub has to pass, over our bus.
func TestPubSub(t *testing.T) {
	features := tests.Features{
		// Acked messages are deleted: a topic has one reader and no history.
		ConsumerGroups:                   false,
		NewSubscriberReceivesOldMessages: false,
		// A subscriber that dies between its handler and the ack gets the
		// message again. (The log still has its entries once: that is the
		// doing of staged effects and dedupe, not of the bus.)
		ExactlyOnceDelivery: false,
		GuaranteedOrder:     true,
		Persistent:          true,
	}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		bus := NewBus(s, BusConfig{Logger: quiet})
		bus.Start(context.Background())
		t.Cleanup(bus.Stop)
		tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) {
			pub, err := bus.NewPublisher()
			require.NoError(t, err)
			sub := bus.NewSubscriber(store.LaneOf("", s.Lanes()))
			t.Cleanup(func() { require.NoError(t, sub.Close()) }) // the suite leaves some open
			return pub, sub
		}, nil)
	})
}
