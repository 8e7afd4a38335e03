package telemetry

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindowQuantilesAreClose(t *testing.T) {
	w := new(window)
	random := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(20*time.Millisecond))
		w.observe(d)
		all = append(all, d)
	}
	slices.Sort(all)
	n, got := w.quantiles(0.5, 0.95, 0.99)
	require.EqualValues(t, len(all), n)
	for i, q := range []float64{0.5, 0.95, 0.99} {
		want := ms(all[int(q*float64(len(all)))])
		require.InEpsilon(t, want, got[i], 0.08, "quantile %v", q)
	}
}

func TestWindowForgetsAfterAMinute(t *testing.T) {
	w := new(window)
	n, got := w.quantiles(0.5)
	require.Zero(t, n)
	require.Equal(t, []float64{0}, got)

	w.observe(time.Millisecond)
	for range windowSlots - 1 {
		w.advance()
		n, _ = w.quantiles(0.5)
		require.EqualValues(t, 1, n)
	}
	w.observe(time.Second)
	w.advance()
	n, got = w.quantiles(0.5, 1)
	require.EqualValues(t, 1, n)
	require.InEpsilon(t, 1000, got[1], 0.08)
}

func TestWindowBucketsCoverEverything(t *testing.T) {
	before := -1
	for _, d := range []time.Duration{-time.Second, 0, 1, time.Microsecond, 7 * time.Microsecond, 8 * time.Microsecond,
		15 * time.Microsecond, 16 * time.Microsecond, time.Millisecond, time.Second, time.Minute, 2 * time.Minute, 24 * time.Hour} {
		b := bucketOf(d)
		require.GreaterOrEqual(t, b, before)
		require.Less(t, b, windowBuckets)
		if d >= time.Microsecond && d <= 2*time.Minute {
			require.InEpsilon(t, ms(d), middleOf(b), 0.07, d)
		}
		before = b
	}
}
