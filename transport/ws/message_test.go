package ws

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func ref(n int64) *int64 { return &n }

func TestParse(t *testing.T) {
	for input, want := range map[string]message{
		`{"type":"subscribe","room":"r1","ref":1,"position":"k3f9-40"}`: {Type: "subscribe", Room: "r1", Ref: ref(1), Position: "k3f9-40"},
		`{"type":"unsubscribe","room":"r1"}`:                            {Type: "unsubscribe", Room: "r1"},
		`{"type":"ping","later":{"a":[1]}}`:                             {Type: "ping"},
	} {
		got, err := parse([]byte(input))
		require.NoError(t, err, input)
		require.Equal(t, want, got, input)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, input := range []string{
		``, `null`, `[]`, `"subscribe"`, `7`, `{`, `{"type":"ping"} {"type":"ping"}`, `{}`, `{"type":"shout"}`, `{"type":null}`,
		`{"type":"subscribe"}`, `{"type":"subscribe","room":""}`, `{"type":"subscribe","room":"../x"}`,
		`{"type":"subscribe","room":7}`, `{"type":"subscribe","room":"r1","ref":"one"}`, `{"type":"subscribe","room":"r1","ref":1.5}`,
		`{"type":"subscribe","room":"` + strings.Repeat("r", domain.MaxIDLength+1) + `"}`,
	} {
		_, err := parse([]byte(input))
		require.Error(t, err, input)
	}
	// The answer names the message it is for, whatever else is wrong with it.
	for _, input := range []string{
		`{"type":"shout","ref":5}`, `{"type":"subscribe","room":7,"ref":5}`, `{"ref":5,"type":"subscribe"}`,
	} {
		m, err := parse([]byte(input))
		require.Error(t, err, input)
		require.Equal(t, ref(5), m.Ref, input)
	}
	// encoding/json leaves 0 in the field it couldn't fill; an answer with a ref
	// that was never sent would be taken for another's.
	for _, input := range []string{`{"type":"ping","ref":"x"}`, `{"type":"ping","ref":1.5}`, `{"ref":12345678901234567890,"type":"ping"}`} {
		m, err := parse([]byte(input))
		require.Error(t, err, input)
		require.Nil(t, m.Ref, input)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"type":"subscribe","room":"r1","ref":1,"position":"k3f9-40"}`, `{"type":"ping"}`, `{"type":7}`, `null`, "\xff", `{"ref":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parse(data)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		switch m.Type {
		case messageSubscribe, messageUnsubscribe:
			require.True(t, domain.ValidID(m.Room))
		case messagePing:
		default:
			t.Fatalf("accepted type %q", m.Type)
		}
	})
}
