package demo

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/orbit/realtime/domain"
)

// How a projector can be broken.
const (
	breakError = "error" // it fails
	breakPanic = "panic" // it panics
	breakHang  = "hang"  // it never comes back
)

// errBroken is what a projector fails with that was broken by "error". It has no
// code, as a bug would have none: time doesn't mend it.
var errBroken = errors.New("broken on purpose, by the demo's button")

// switches say which projectors are broken, and how.
type switches struct {
	mu     sync.Mutex
	broken map[domain.EventType]string
}

func (s *switches) how(t domain.EventType) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken[t]
}

func (s *switches) all() map[domain.EventType]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[domain.EventType]string, len(s.broken))
	maps.Copy(all, s.broken)
	return all
}

func (s *switches) set(t domain.EventType, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = map[domain.EventType]string{}
	}
	s.broken[t] = how
}

// mend mends one type, or all of them with "".
func (s *switches) mend(t domain.EventType) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t == "" {
		clear(s.broken)
	}
	delete(s.broken, t)
}

// Projectors puts a switch in front of each projector of the table.
func (d *Demo) Projectors(table map[domain.EventType]domain.Projector) map[domain.EventType]domain.Projector {
	switched := make(map[domain.EventType]domain.Projector, len(table))
	for t, project := range table {
		switched[t] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			switch d.switches.how(t) {
			case breakError:
				return nil, errBroken
			case breakPanic:
				panic(errBroken)
			case breakHang:
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return project(ctx, read, ev)
		}
	}
	return switched
}

// breakInput is the body of POST /demo/break, mendInput that of POST /demo/mend.
type (
	breakInput struct {
		Type domain.EventType `json:"type"`
		How  string           `json:"how"`
	}
	mendInput struct {
		Type domain.EventType `json:"type"` // absent: all
	}
)

func (in breakInput) check() error {
	if err := known(in.Type); err != nil {
		return err
	}
	if choices := []string{breakError, breakPanic, breakHang}; !slices.Contains(choices, in.How) {
		return oneOf("how", choices)
	}
	return nil
}

func (in mendInput) check() error {
	if in.Type == "" {
		return nil
	}
	return known(in.Type)
}

func known(t domain.EventType) error {
	if !slices.ContainsFunc(domain.EventTypes, func(spec domain.EventSpec) bool { return spec.Type == t }) {
		return domain.InvalidField("type", "there is no projector for this type")
	}
	return nil
}
