package telemetry

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A window holds the last minute, in slots of windowStep.
const (
	windowStep  = 5 * time.Second
	windowSlots = 12
	// windowBuckets cover 0 to about 2 minutes, eight to each power of two of
	// microseconds: a quantile is off by 6 % at most.
	windowBuckets = 8 * 26
)

// window counts durations over the last minute. observe is one atomic addition;
// advance is called every windowStep, by one goroutine.
type window struct {
	slot  atomic.Int64 // the one being filled
	slots [windowSlots]struct{ counts [windowBuckets]atomic.Int64 }
}

func (w *window) observe(d time.Duration) {
	w.slots[w.slot.Load()].counts[bucketOf(d)].Add(1)
}

// advance forgets the oldest slot and begins to fill it anew.
func (w *window) advance() {
	next := (w.slot.Load() + 1) % windowSlots
	for i := range w.slots[next].counts {
		w.slots[next].counts[i].Store(0)
	}
	w.slot.Store(next)
}

// quantiles returns how many durations there were, and the quantiles asked for
// (0 to 1, ascending), in milliseconds; zeros when there were none.
func (w *window) quantiles(qs ...float64) (n int64, ms []float64) {
	var sums [windowBuckets]int64
	for s := range w.slots {
		for b := range w.slots[s].counts {
			c := w.slots[s].counts[b].Load()
			sums[b] += c
			n += c
		}
	}
	ms = make([]float64, len(qs))
	if n == 0 {
		return 0, ms
	}
	seen, b := int64(0), 0
	for i, q := range qs {
		rank := max(1, int64(q*float64(n)+0.5))
		for ; b < windowBuckets-1 && seen+sums[b] < rank; b++ {
			seen += sums[b]
		}
		ms[i] = middleOf(b)
	}
	return n, ms
}

// bucketOf finds a duration's bucket: one per microsecond below 8, then eight
// to each power of two.
func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 8 {
		return int(us)
	}
	exponent := bits.Len64(us) - 4 // us>>exponent is 8 to 15
	return min(8*exponent+int(us>>exponent), windowBuckets-1)
}

// middleOf is the middle of a bucket, in milliseconds.
func middleOf(bucket int) float64 {
	if bucket < 8 {
		return float64(bucket) / 1000
	}
	exponent := bucket/8 - 1
	low := float64(uint64(8+bucket%8) << exponent)
	return (low + float64(uint64(1)<<exponent)/2) / 1000
}
