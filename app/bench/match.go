package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// commit is one domain event as its writer saw it.
type commit struct {
	eventID string
	at      time.Time
}

// sightings is what one tab saw, by the domain event that caused it.
type sightings struct {
	total *atomic.Int64 // of all tabs

	mu   sync.Mutex
	seen map[string]sighting
}

type sighting struct {
	first time.Time
	times int
}

func newSightings(total *atomic.Int64) *sightings {
	return &sightings{total: total, seen: map[string]sighting{}}
}

func (s *sightings) note(cause string, at time.Time) {
	s.mu.Lock()
	v := s.seen[cause]
	if v.times++; v.times == 1 {
		v.first = at
	}
	s.seen[cause] = v
	s.mu.Unlock()
	s.total.Add(1)
}

// match pairs every commit with every tab. A tab that never saw a commit lost
// it; each sighting after a tab's first is one too many. What a tab saw of
// other people's commits doesn't count.
func match(commits []commit, tabs []*sightings) (latencies []time.Duration, lost, twice int) {
	latencies = make([]time.Duration, 0, len(commits)*len(tabs))
	for _, tab := range tabs {
		tab.mu.Lock()
		for _, c := range commits {
			v := tab.seen[c.eventID]
			if v.times == 0 {
				lost++
				continue
			}
			twice += v.times - 1
			// A tab may hear of a commit before its writer does.
			latencies = append(latencies, max(0, v.first.Sub(c.at)))
		}
		tab.mu.Unlock()
	}
	return latencies, lost, twice
}
