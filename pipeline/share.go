package pipeline

import (
	"math"
	"sync"
	"time"
)

const (
	// lanePatience is how long a node leaves a lane that isn't in its share to
	// those in whose share it is. It bounds a takeover when the others don't know
	// yet that the owner is dead.
	lanePatience = 1500 * time.Millisecond
	// laneSettle is how long a lane is kept at least, in the share or not: longer
	// than it takes to notice that a node is dead, or it would go back and forth.
	laneSettle = 6 * time.Second
)

// share is how many of the topic's lanes this process holds, and should.
type share struct {
	quota            func() int // nil: all there are
	patience, settle time.Duration

	mu   sync.Mutex
	held int // or being tried
}

func newShare(quota func() int) *share {
	return &share{quota: quota, patience: lanePatience, settle: laneSettle}
}

// take counts one more lane, unless the share is full. force counts it anyhow.
func (s *share) take(force bool) bool {
	quota := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held >= quota && !force {
		return false
	}
	s.held++
	return true
}

// give counts one less.
func (s *share) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
}

// shed counts one less if there is one too many, and reports whether.
func (s *share) shed() bool {
	quota := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held <= quota {
		return false
	}
	s.held--
	return true
}

func (s *share) now() int {
	if s.quota == nil {
		return math.MaxInt
	}
	return s.quota()
}
