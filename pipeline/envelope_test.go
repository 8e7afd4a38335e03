package pipeline

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// Whatever a product puts into an event comes out the same at the projector.
func TestEnvelopeRoundTrips(t *testing.T) {
	text := rapid.String()
	events := rapid.Custom(func(t *rapid.T) domain.Event {
		ev := domain.Event{
			ID:          rapid.StringN(1, 36, -1).Draw(t, "id"),
			Type:        domain.EventType(text.Draw(t, "type")),
			WorkspaceID: text.Draw(t, "workspace"),
			AggregateID: text.Draw(t, "aggregate"),
			Payload:     json.RawMessage(rapid.SliceOf(rapid.Byte()).Draw(t, "payload")),
		}
		if rapid.Bool().Draw(t, "has metadata") {
			ev.Metadata = rapid.MapOfN(rapid.StringMatching(`[a-z_]{1,12}`), text, 1, 4).Draw(t, "metadata")
		}
		if rapid.Bool().Draw(t, "has time") {
			ev.CreatedAt = time.UnixMicro(rapid.Int64Range(1, 4e15).Draw(t, "µs")).UTC()
		}
		return ev
	})
	rapid.Check(t, func(t *rapid.T) {
		ev := events.Draw(t, "event")
		got, err := eventFromMessage(messageFromEvent(ev))
		require.NoError(t, err)
		require.Equal(t, ev, got)
	})
}

// A message of somebody else's, without our keys, keeps all it has.
func TestEnvelopeLeavesPlainMessagesAlone(t *testing.T) {
	msg := message.NewMessage("some-uuid", []byte("not JSON"))
	msg.Metadata.Set("their_key", "value")

	ev, err := eventFromMessage(msg)
	require.NoError(t, err)
	require.Empty(t, ev.WorkspaceID)
	require.True(t, messageFromEvent(ev).Equals(msg))
}

func TestEnvelopeKeepsThePoisonMark(t *testing.T) {
	ev := domain.Event{ID: "e", Metadata: map[string]string{store.MetaPoisonID: "psn_1"}}
	got, err := eventFromMessage(messageFromEvent(ev))
	require.NoError(t, err)
	require.Equal(t, ev.Metadata, got.Metadata)
}

func TestEnvelopeRefuses(t *testing.T) {
	_, err := eventFromMessage(message.NewMessage("", nil))
	require.ErrorContains(t, err, "without UUID")

	msg := message.NewMessage("some-uuid", nil)
	msg.Metadata.Set(metaCreatedAt, "yesterday")
	_, err = eventFromMessage(msg)
	require.ErrorContains(t, err, metaCreatedAt)
}
