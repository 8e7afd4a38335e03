package app

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/config"
)

// slog's JSON has durations as a number of nanoseconds, which nobody can read.
func TestLogWritesDurationsForPeople(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		cfg := config.Default()
		cfg.LogFormat = format
		newLogger(cfg, &out).Info("shutting down", "timeout", 20*time.Second)
		require.Contains(t, out.String(), "20s")
	}
}

// ":9797" listens on [::], an address that no browser can open.
func TestTheAnnouncedURLCanBeVisited(t *testing.T) {
	for _, tc := range []struct {
		addr net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.IPv6unspecified, Port: 9797}, "http://localhost:9797"},
		{&net.TCPAddr{IP: net.IPv4zero, Port: 9797}, "http://localhost:9797"},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, "http://127.0.0.1:8080"},
	} {
		require.Equal(t, tc.want, visit(tc.addr))
	}
}
