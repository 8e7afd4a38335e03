package domain_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestEncodeServerEvent(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 30, 14, 123_987_654, time.FixedZone("CET", 3600))
	for name, tc := range map[string]struct {
		event domain.ServerEvent
		cause string
		at    time.Time
		want  string
	}{
		"everything": {
			domain.ServerEvent{Type: domain.ServerRoleDeleted, Channel: "workspace:ws_01", Payload: domain.RoleTombstone{Role: domain.Tombstone{ID: "r", Version: 8}}},
			"019ab", at,
			`{"type":"workspace.role.deleted","channel":"workspace:ws_01","cause":"019ab","at":"2026-11-23T09:30:14.123Z","role":{"id":"r","version":8}}`,
		},
		"to one session": {
			domain.ServerEvent{Type: domain.ServerSystemResync, Payload: domain.ResyncPayload{Reason: domain.ResyncEpochChanged}},
			"", time.Time{},
			`{"type":"system.resync","reason":"epoch_changed"}`,
		},
		"a payload without fields": {
			domain.ServerEvent{Type: domain.ServerSystemLive, Payload: domain.EmptyPayload{}},
			"", time.Time{},
			`{"type":"system.live"}`,
		},
		"no payload": {domain.ServerEvent{Type: domain.ServerSystemLive}, "", time.Time{}, `{"type":"system.live"}`},
		"a revocation is for the server alone": {
			domain.ServerEvent{Type: domain.ServerSystemLive, Revoke: &domain.Revocation{MemberID: "m"}},
			"", time.Time{},
			`{"type":"system.live"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := domain.EncodeServerEvent(tc.event, tc.cause, tc.at)
			require.NoError(t, err)
			require.Equal(t, tc.want, string(data))
		})
	}
}

func TestEncodeServerEventRefuses(t *testing.T) {
	for name, payload := range map[string]any{
		"not an object":       []string{"a"},
		"null":                (*domain.RolePayload)(nil),
		"cannot be marshaled": map[string]any{"f": func() {}},
	} {
		_, err := domain.EncodeServerEvent(domain.ServerEvent{Type: "t", Payload: payload}, "", time.Time{})
		require.ErrorContains(t, err, "encode t", name)
	}
}

func TestFrame(t *testing.T) {
	data := []byte(`{"type":"system.heartbeat"}`)
	require.Equal(t, `{"id":"k3f9-42","type":"system.heartbeat"}`, string(domain.Frame(data, domain.Position{Epoch: "k3f9", Offset: 42})))
	require.Equal(t, `{"type":"system.heartbeat"}`, string(data), "the encoded event is shared by sessions and must not change")
}

// What users type ends up inside frames: whatever it is, a frame stays one
// line (NDJSON batches and SSE depend on it) of valid JSON that says the same.
func FuzzFrame(f *testing.F) {
	f.Add("hello", "019ab", int64(42))
	f.Add("line\nbreak\r\u2028\u2029", "\"", int64(0))
	f.Add("</script>\x00\xff\xed\xa0\x80", "\\", int64(1)<<62)
	f.Fuzz(func(t *testing.T, body, cause string, offset int64) {
		ev := domain.ServerEvent{
			Type:    domain.ServerMessagePosted,
			Channel: domain.RoomChannel("r1"),
			Payload: domain.MessagePayload{Message: domain.Message{ID: "m1", Body: body}},
		}
		data, err := domain.EncodeServerEvent(ev, cause, time.UnixMilli(0))
		require.NoError(t, err)
		frame := domain.Frame(data, domain.Position{Epoch: "k3f9", Offset: offset})
		require.True(t, json.Valid(frame), "%s", frame)
		require.False(t, bytes.ContainsAny(frame, "\n\r\u2028\u2029"), "%s", frame)

		var got struct {
			ID      string
			Type    domain.ServerEventType
			Cause   string
			Message struct{ Body string }
		}
		require.NoError(t, json.Unmarshal(frame, &got))
		require.Equal(t, domain.Position{Epoch: "k3f9", Offset: offset}.String(), got.ID)
		require.Equal(t, domain.ServerMessagePosted, got.Type)
		require.Equal(t, asJSON(t, body), got.Message.Body)
		require.Equal(t, asJSON(t, cause), got.Cause)
	})
}

// asJSON is what JSON makes of s: invalid UTF-8 becomes U+FFFD.
func asJSON(t *testing.T, s string) (out string) {
	raw, err := json.Marshal(s)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}
