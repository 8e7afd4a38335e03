package pipeline

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An hour without a database shall be two lines in the log.
func TestTroubleLogsAStreakOnce(t *testing.T) {
	var log bytes.Buffer
	tr := newTrouble(slog.New(slog.NewTextHandler(&log, nil)))

	require.NoError(t, tr.last())
	tr.over()
	require.Empty(t, log.String(), "no streak, nothing to end")

	for range 10 {
		tr.failed(errors.New("away"))
	}
	require.EqualError(t, tr.last(), "away")
	require.Equal(t, 1, strings.Count(log.String(), "lane waits"))

	tr.over()
	tr.over()
	require.NoError(t, tr.last())
	require.Equal(t, 1, strings.Count(log.String(), "lane goes on"))

	tr.failed(errors.New("away again"))
	require.Equal(t, 2, strings.Count(log.String(), "lane waits"))
}

func TestTroubleWaitsLongerAndLonger(t *testing.T) {
	tr := newTrouble(slog.New(slog.DiscardHandler))
	within := func(around time.Duration) {
		t.Helper()
		got := tr.failed(errors.New("away"))
		require.GreaterOrEqual(t, got, around/2)
		require.LessOrEqual(t, got, around*3/2)
	}
	for _, around := range []time.Duration{50, 100, 200, 400, 800, 1600, 2000, 2000} {
		within(around * time.Millisecond)
	}
	tr.over()
	within(50 * time.Millisecond)
}
