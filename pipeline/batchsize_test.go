package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNextBatchSize(t *testing.T) {
	tests := []struct {
		name          string
		size, handled int
		took          time.Duration
		want          int
	}{
		{"on target: stays", 100, 100, 10 * time.Millisecond, 100},
		{"fast: grows towards the target", 100, 100, 8 * time.Millisecond, 125},
		{"very fast: doubles at most", 100, 100, time.Millisecond, 200},
		{"too fast to measure: doubles", 100, 100, 0, 200},
		{"slow: shrinks towards the target", 100, 100, 16 * time.Millisecond, 62},
		{"one odd batch: halves at most", 100, 100, 5 * time.Second, 50},
		{"never above the maximum", 8_000, 8_000, time.Millisecond, 10_000},
		{"never below one", 1, 1, time.Minute, 1},
		{"a part of a batch is no reason to grow", 100, 3, time.Microsecond, 100},
		{"a slow part is one to shrink", 100, 50, 20 * time.Millisecond, 50},
		{"nothing handled, nothing learnt", 100, 0, time.Minute, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, nextBatchSize(tt.size, tt.handled, tt.took, batchTarget))
		})
	}
}

// Whatever an event costs, the size settles where a batch takes the target.
func TestBatchSizeSettles(t *testing.T) {
	for _, each := range []time.Duration{20 * time.Microsecond, 100 * time.Microsecond, time.Millisecond, time.Second} {
		s := newBatchSize()
		for range 20 {
			s.observe(s.current(), time.Duration(s.current())*each, 0)
		}
		want := min(max(int(batchTarget/each), minBatch), maxBatch)
		require.Equal(t, want, s.current(), "at %s an event", each)
	}
}

// What has waited for minutes may wait for its batch a little longer, but not
// at any length.
func TestBatchesOfABacklogAreLarger(t *testing.T) {
	settle := func(waited time.Duration) int {
		s := newBatchSize()
		for range 20 {
			s.observe(s.current(), time.Duration(s.current())*100*time.Microsecond, waited)
		}
		return s.current()
	}
	require.Equal(t, 100, settle(50*time.Millisecond))
	require.Equal(t, 1000, settle(time.Second))
	require.Equal(t, 5000, settle(time.Hour))
	require.Equal(t, 100, settle(-time.Hour), "clocks differ")
}

// A commit that timed out would time out again.
func TestAFailedCommitMakesBatchesSmaller(t *testing.T) {
	s := newBatchSize()
	s.shrink()
	require.Equal(t, firstBatch/2, s.current())
	for range 20 {
		s.shrink()
	}
	require.Equal(t, minBatch, s.current())
}
