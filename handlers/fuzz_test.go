package handlers_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
)

// Products in any language publish payloads of any shape. A projector answers
// each with events that can be sent, or with a permanent, coded error; never
// with a panic, which would be as good as an error but hides its reason.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{``, `null`, `[]`, `{}`, `{"version":1}`, `{"version":-1}`, `{"version":1e400}`, `{"version":9223372036854775807,"memberId":"ann"}`,
		`{"version":2,"roomId":"room_1","private":true,"memberIds":["ann",null]}`, `{"version":2,"memberIds":{}}`, "\xff", `{"VERSION":3}`} {
		for i := range domain.EventTypes {
			f.Add(i, "room_1", []byte(seed))
		}
	}
	table := handlers.Table()
	f.Fuzz(func(t *testing.T, i int, aggregate string, payload []byte) {
		spec := domain.EventTypes[uint(i)%uint(len(domain.EventTypes))]
		w := newWorld()
		w.createRoom("room_1")
		ev := domain.Event{ID: "ev", Type: spec.Type, WorkspaceID: "ws_1", AggregateID: aggregate, Payload: json.RawMessage(payload)}
		events, err := table[spec.Type](context.Background(), w, ev)
		if err != nil {
			require.Empty(t, events)
			require.False(t, domain.IsTransient(err))
			require.NotEqual(t, domain.CodeInternal, domain.CodeOf(err))
			return
		}
		for _, e := range events {
			_, err := domain.ParseChannel(string(e.Channel))
			require.NoError(t, err)
			_, err = json.Marshal(e.Payload)
			require.NoError(t, err)
		}
	})
}
