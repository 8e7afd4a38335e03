package console

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
)

// query reads the parameters of a request, and remembers the first that is
// wrong. One that a route doesn't know is an error: a filter that is misspelt
// must not select everything.
type query struct {
	values url.Values
	err    error
}

func newQuery(values url.Values, known []string) *query {
	q := &query{values: values}
	for name := range values {
		if !slices.Contains(known, name) {
			q.fail(name, "unknown parameter %q; known are: %s", name, strings.Join(known, ", "))
		}
	}
	return q
}

func (q *query) fail(field, format string, args ...any) {
	if q.err == nil {
		q.err = domain.InvalidField(field, format, args...)
	}
}

// text reads a parameter of at most 1,024 bytes.
func (q *query) text(name string) string {
	s := strings.TrimSpace(q.values.Get(name))
	if len(s) > 1024 {
		q.fail(name, "%s is longer than 1,024 bytes", name)
	}
	if s != valid(s) || strings.Contains(s, "\x00") {
		q.fail(name, "%s is not text", name)
		return ""
	}
	return s
}

func (q *query) flag(name string) bool {
	switch q.values.Get(name) {
	case "", "false":
		return false
	case "true":
		return true
	}
	q.fail(name, "%s is true or false", name)
	return false
}

// number reads a parameter from low to high.
func (q *query) number(name string, fallback, low, high int) int {
	given := q.values.Get(name)
	if given == "" {
		return fallback
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < low || n > high {
		q.fail(name, "%s is a number from %d to %d", name, low, high)
		return fallback
	}
	return n
}

// moment reads a time, or how long ago it was: "24h".
func (q *query) moment(name string) *time.Time {
	s := q.text(name)
	if s == "" {
		return nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		at := time.Now().Add(-ago)
		return &at
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, s); err == nil {
			return &at
		}
	}
	q.fail(name, "%s is a time such as 2026-01-02T15:04:05Z, or how long ago, such as 24h", name)
	return nil
}

// defaultPage is how many items an answer holds when nobody says.
const defaultPage = 100

// pageNames are the parameters of every list.
var pageNames = []string{"limit", "after"}

func (q *query) page() domain.Page {
	return domain.Page{Limit: q.number("limit", defaultPage, 1, 1000), After: q.text("after")}
}

// filterNames are the parameters that select poison messages.
var filterNames = []string{"state", "fingerprint", "workspace", "aggregate", "type", "projector", "q", "since", "until", "id"}

// maxIDs is how many messages can be named one by one.
const maxIDs = 1000

// filter reads what selects poison messages, as far as the caller may look;
// without state, of every state.
func (q *query) filter(ctx context.Context, s *Service, who Caller) domain.PoisonFilter {
	f := domain.PoisonFilter{
		Fingerprint: q.text("fingerprint"), AggregateID: q.text("aggregate"), Type: domain.EventType(q.text("type")),
		Projector: q.text("projector"), Text: q.text("q"), IDsAlone: !who.seesAll(), Since: q.moment("since"), Until: q.moment("until"),
	}
	f.States = q.states()
	for _, id := range q.values["id"] {
		if !domain.ValidID(id) {
			q.fail("id", "that is not an id")
		}
		f.IDs = append(f.IDs, id)
	}
	if len(f.IDs) > maxIDs {
		q.fail("id", "at most %d messages can be named one by one; use a filter", maxIDs)
	}
	if q.err == nil {
		f.WorkspaceID, q.err = s.workspaceID(ctx, q.text("workspace"))
	}
	return f
}

func (q *query) states() (states []domain.PoisonState) {
	for _, given := range q.values["state"] {
		for name := range strings.SplitSeq(given, ",") {
			state := domain.PoisonState(strings.TrimSpace(name))
			switch {
			case state == "all" || state == "":
			case !slices.Contains(domain.PoisonStates, state):
				q.fail("state", "a state is one of %s, or all", join(domain.PoisonStates))
			case !slices.Contains(states, state):
				states = append(states, state)
			}
		}
	}
	return states
}

func join[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
