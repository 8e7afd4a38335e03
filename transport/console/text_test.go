package console

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ünï, 日本\n\t": "plain, ünï, 日本\n\t",
		"\x1b[31mred":        "⟨U+001B⟩[31mred",
		"a\u202eb\u2066c":    "a⟨U+202E⟩b⟨U+2066⟩c",
		"nul\x00 del\x7f":    "nul⟨U+0000⟩ del⟨U+007F⟩",
		"c1\u009b31m":        "c1⟨U+009B⟩31m",
		"bad\xff":            "bad\uFFFD",
	} {
		require.Equal(t, want, Visible(in))
	}
}

func TestShowJSON(t *testing.T) {
	require.Equal(t, "{\n  \"a\": \"<b> & \\\\u003c\"\n}", showJSON([]byte(`{"a":"\u003cb\u003e \u0026 \\u003c"}`)).Text)
	require.Equal(t, "not JSON", showJSON([]byte(`not JSON`)).Text)
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 1500 * time.Microsecond: "1.5 ms", 900 * time.Millisecond: "900 ms", 90 * time.Second: "90 s",
		10 * time.Minute: "10 min", 5 * time.Hour: "5 h", 72 * time.Hour: "3 days",
	} {
		require.Equal(t, want, span(d))
	}
	require.Equal(t, "-1,234,567", count(int64(-1234567)))
	require.Equal(t, "123", count(123))
	require.Equal(t, "1,000", count(1000))
}
