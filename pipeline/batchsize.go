package pipeline

import (
	"sync/atomic"
	"time"
)

// A batch is committed as a whole, so its first event waits for its last:
// handling a batch shall take about batchTarget. The commit itself is not
// counted, for its price is mostly fixed, and smaller batches would only pay it
// more often.
const (
	minBatch    = 1
	firstBatch  = 100
	maxBatch    = 500
	batchTarget = 10 * time.Millisecond
)

// batchSize is how many rows a lane reads at once. It adapts.
type batchSize struct{ rows atomic.Int64 }

func newBatchSize() *batchSize {
	var s batchSize
	s.rows.Store(firstBatch)
	return &s
}

func (s *batchSize) current() int { return int(s.rows.Load()) }

// observe learns from a batch: how many rows were handled, in what time.
func (s *batchSize) observe(handled int, took time.Duration) {
	s.rows.Store(int64(nextBatchSize(s.current(), handled, took)))
}

// nextBatchSize moves towards the size that would have taken batchTarget. It
// halves or doubles at most, so that one odd batch doesn't throw it off, and
// grows only on the evidence of a full batch.
func nextBatchSize(size, handled int, took time.Duration) int {
	if handled == 0 {
		return size
	}
	ideal := int64(maxBatch)
	if took > 0 {
		ideal = int64(handled) * int64(batchTarget) / int64(took)
	}
	if handled < size && ideal > int64(size) {
		return size
	}
	next := min(max(int(min(ideal, maxBatch)), size/2), size*2)
	return min(max(next, minBatch), maxBatch)
}
