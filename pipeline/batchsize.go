package pipeline

import (
	"sync/atomic"
	"time"
)

// A batch is committed as a whole, so its first event waits for its last:
// handling a batch shall take about batchTarget. The commit itself is not
// counted, for its price is mostly fixed, and smaller batches would only pay it
// more often.
//
// Of a backlog the events have waited for long already: a tenth of that, up to
// backlogTarget, is not felt, and the larger the batch, the more collapses.
const (
	minBatch      = 1
	firstBatch    = 100
	maxBatch      = 10_000
	maxBatchBytes = 8 << 20 // of payload
	batchTarget   = 10 * time.Millisecond
	backlogTarget = 500 * time.Millisecond
)

// batchSize is how many rows a lane reads at once. It adapts.
type batchSize struct{ rows atomic.Int64 }

func newBatchSize() *batchSize {
	var s batchSize
	s.rows.Store(firstBatch)
	return &s
}

func (s *batchSize) current() int { return int(s.rows.Load()) }

// observe learns from a batch: how many rows were handled, in what time, and
// how long the first had waited before.
func (s *batchSize) observe(handled int, took, waited time.Duration) {
	target := min(max(batchTarget, waited/10), backlogTarget)
	s.rows.Store(int64(nextBatchSize(s.current(), handled, took, target)))
}

// shrink follows a commit that failed, perhaps for being too much at once.
func (s *batchSize) shrink() { s.rows.Store(int64(max(s.current()/2, minBatch))) }

// nextBatchSize moves towards the size that would have taken target. It
// halves or doubles at most, so that one odd batch doesn't throw it off, and
// grows only on the evidence of a full batch.
func nextBatchSize(size, handled int, took, target time.Duration) int {
	if handled == 0 {
		return size
	}
	ideal := int64(maxBatch)
	if took > 0 {
		ideal = int64(handled) * int64(target) / int64(took)
	}
	if handled < size && ideal > int64(size) {
		return size
	}
	next := min(max(int(min(ideal, maxBatch)), size/2), size*2)
	return min(max(next, minBatch), maxBatch)
}
