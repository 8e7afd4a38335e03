package domain_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestParsePosition(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want domain.Position // zero: refused
	}{
		{"k3f9-42", domain.Position{Epoch: "k3f9", Offset: 42}},
		{"a-0", domain.Position{Epoch: "a", Offset: 0}},
		{"K3F9-9223372036854775807", domain.Position{Epoch: "K3F9", Offset: 9223372036854775807}},
		{strings.Repeat("e", 32) + "-1", domain.Position{Epoch: strings.Repeat("e", 32), Offset: 1}},

		{"", domain.Position{}},
		{"k3f9", domain.Position{}},
		{"-42", domain.Position{}},
		{"k3f9-", domain.Position{}},
		{"k3f9-042", domain.Position{}}, // one place has one text, so that texts can be compared
		{"k3f9-00", domain.Position{}},
		{"k3f9--1", domain.Position{}},
		{"k3f9-+1", domain.Position{}},
		{"k3f9-1-2", domain.Position{}},
		{"k3f9-1 ", domain.Position{}},
		{"k3f9-1\n", domain.Position{}},
		{"k3f9-0x10", domain.Position{}},
		{"k3f9-1e3", domain.Position{}},
		{"k3f9-٤٢", domain.Position{}}, // decimal digits, but not ASCII
		{"k_f9-42", domain.Position{}},
		{"k3f9-9223372036854775808", domain.Position{}}, // one above int64
		{strings.Repeat("e", 33) + "-1", domain.Position{}},
		{"e-" + strings.Repeat("9", domain.MaxPositionLength), domain.Position{}},
	} {
		got, err := domain.ParsePosition(tc.in)
		require.Equal(t, tc.want, got, "%q", tc.in)
		if tc.want.IsZero() {
			require.Equal(t, domain.CodeInvalid, domain.CodeOf(err), "%q", tc.in)
		} else {
			require.NoError(t, err, "%q", tc.in)
			require.Equal(t, tc.in, got.String())
		}
	}
}

func TestPositionIsZero(t *testing.T) {
	require.True(t, domain.Position{}.IsZero())
	require.False(t, domain.Position{Epoch: "k3f9"}.IsZero(), "before the first entry is a place")
	require.Equal(t, domain.Position{Epoch: "k3f9", Offset: 7}, domain.LogState{Epoch: "k3f9", Head: 7, Floor: 3}.Position())
}

// Positions come from URLs, headers and frames of anybody: parsing must accept
// exactly what String writes, and refuse the rest as bad input.
func FuzzParsePosition(f *testing.F) {
	for _, seed := range []string{"k3f9-42", "a-0", "", "-", "k3f9-042", "k3f9-9223372036854775808", "é-1", "a-1\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := domain.ParsePosition(s)
		if err != nil {
			require.Equal(t, domain.CodeInvalid, domain.CodeOf(err))
			require.True(t, p.IsZero(), "a refused position names no place")
			return
		}
		require.Equal(t, s, p.String())
		require.False(t, p.IsZero())
		require.GreaterOrEqual(t, p.Offset, int64(0))
		require.LessOrEqual(t, len(s), domain.MaxPositionLength)
	})
}

func TestPositionInJSON(t *testing.T) {
	for text, p := range map[string]domain.Position{`"k3f9-9007199254740993"`: {"k3f9", 9007199254740993}, `""`: {}} {
		encoded, err := json.Marshal(p)
		require.NoError(t, err)
		require.Equal(t, text, string(encoded), "an offset never becomes a JavaScript number")
		back := domain.Position{"old", 1}
		require.NoError(t, json.Unmarshal(encoded, &back))
		require.Equal(t, p, back)
	}
	require.Error(t, json.Unmarshal([]byte(`"nonsense"`), new(domain.Position)))
}
