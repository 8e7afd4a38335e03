package bench

import (
	"math"
	"slices"
	"time"
)

// Spread describes a set of durations, in milliseconds. All zero for none.
type Spread struct {
	P50  float64 `json:"p50Ms"`
	P99  float64 `json:"p99Ms"`
	P999 float64 `json:"p999Ms"`
	Max  float64 `json:"maxMs"`
}

// spread sorts samples in place.
func spread(samples []time.Duration) Spread {
	slices.Sort(samples)
	return Spread{
		P50:  milliseconds(percentile(samples, 50)),
		P99:  milliseconds(percentile(samples, 99)),
		P999: milliseconds(percentile(samples, 99.9)),
		Max:  milliseconds(percentile(samples, 100)),
	}
}

// percentile is the nearest-rank one: a value that was really measured, never
// one interpolated between two.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
