package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/orbit/realtime/domain"
)

// maxFilterText bounds PoisonFilter.Text, in bytes, and maxFilterIDs the ids.
const (
	maxFilterText = 200
	maxFilterIDs  = 10_000
)

// where is the filter as conditions on the table poison.
func where(d dialect, f domain.PoisonFilter) (*conditions, error) {
	w := &conditions{}
	for _, state := range f.States {
		if !slices.Contains(domain.PoisonStates, state) {
			return nil, domain.InvalidField("states", "%q is no state of a poison message", state)
		}
	}
	switch {
	case len(f.Text) > maxFilterText:
		return nil, domain.InvalidField("text", "a text to search for has at most %d bytes", maxFilterText)
	case len(f.IDs) > maxFilterIDs:
		return nil, domain.InvalidField("ids", "at most %d ids at a time", maxFilterIDs)
	}
	if len(f.States) > 0 {
		states := make([]string, len(f.States))
		for i, s := range f.States {
			states[i] = string(s)
		}
		w.among(d, "state", states)
	}
	for _, equal := range []struct{ column, value string }{
		{"fingerprint", f.Fingerprint}, {"workspace_id", f.WorkspaceID}, {"aggregate_id", f.AggregateID},
		{"type", string(f.Type)}, {"projector", f.Projector},
	} {
		if equal.value != "" {
			w.add(equal.column+" = ?", equal.value)
		}
	}
	if f.Text != "" {
		like := contains(strings.ToValidUTF8(strings.ReplaceAll(f.Text, "\x00", ""), ""))
		inError := "lower(error)"
		if f.IDsAlone {
			inError = "''"
		}
		w.add(`(`+inError+` LIKE ? ESCAPE '\' OR lower(id) LIKE ? ESCAPE '\' OR lower(event_id) LIKE ? ESCAPE '\'
			OR lower(workspace_id) LIKE ? ESCAPE '\' OR lower(aggregate_id) LIKE ? ESCAPE '\')`, like, like, like, like, like)
	}
	if f.Since != nil {
		w.add("poisoned_at >= ?", micros(*f.Since))
	}
	if f.Until != nil {
		w.add("poisoned_at < ?", micros(*f.Until))
	}
	if len(f.IDs) > 0 {
		w.among(d, "id", f.IDs)
	}
	return w, nil
}

// ListPoison lists poison messages, newest first, and returns the cursor of the
// next page, "" at the end.
func (s *Store) ListPoison(ctx context.Context, f domain.PoisonFilter, p domain.Page) ([]domain.Poison, string, error) {
	limit, err := limitOf(p)
	if err != nil {
		return nil, "", err
	}
	w, err := where(s.dialect, f)
	if err != nil {
		return nil, "", err
	}
	if p.After != "" {
		var at int64
		var id string
		if err := readCursor(p.After, &at, &id); err != nil {
			return nil, "", err
		}
		w.add("(poisoned_at, id) < (?, ?)", at, id)
	}
	// The page is found over narrow indexes, and only its rows are read.
	all, err := many(ctx, conn{s.read, s.dialect}, scanPoison, `SELECT `+poisonColumns+` FROM poison WHERE id IN (
			SELECT id FROM poison`+w.String()+` ORDER BY poisoned_at DESC, id DESC LIMIT `+w.arg(limit+1)+`)
		ORDER BY poisoned_at DESC, id DESC`, w.args...)
	if err != nil {
		return nil, "", err
	}
	all, next := paged(all, limit, func(last domain.Poison) string { return cursor(micros(last.PoisonedAt), last.ID) })
	return all, next, nil
}

// CountPoison counts what a filter selects, by state; every state has its number.
func (s *Store) CountPoison(ctx context.Context, f domain.PoisonFilter) (map[domain.PoisonState]int, error) {
	w, err := where(s.dialect, f)
	if err != nil {
		return nil, err
	}
	type count struct {
		state domain.PoisonState
		n     int
	}
	found, err := many(ctx, conn{s.read, s.dialect}, func(scan scanner) (c count, err error) {
		err = scan(&c.state, &c.n)
		return c, err
	}, `SELECT state, COUNT(*) FROM poison`+w.String()+` GROUP BY state`, w.args...)
	if err != nil {
		return nil, err
	}
	counts := noPoison()
	for _, c := range found {
		counts[c.state] = c.n
	}
	return counts, nil
}

func noPoison() map[domain.PoisonState]int {
	counts := make(map[domain.PoisonState]int, len(domain.PoisonStates))
	for _, state := range domain.PoisonStates {
		counts[state] = 0
	}
	return counts
}

// sortedGroup is a PoisonGroup with the numbers it is sorted by.
type sortedGroup struct {
	domain.PoisonGroup
	open             bool
	lastSeen, oldest int64
	total            int
}

func scanGroup(scan scanner) (g sortedGroup, err error) {
	var first int64
	var open, requeued, healed, superseded, discarded, hasOpen int
	err = scan(&g.Fingerprint, &open, &requeued, &healed, &superseded, &discarded, &g.Workspaces, &first, &g.lastSeen, &g.oldest, &hasOpen, &g.total)
	g.open = hasOpen == 1
	g.Counts = map[domain.PoisonState]int{
		domain.PoisonOpen: open, domain.PoisonRequeued: requeued, domain.PoisonHealed: healed,
		domain.PoisonSuperseded: superseded, domain.PoisonDiscarded: discarded,
	}
	g.FirstSeen, g.LastSeen, g.Builds = domainTime(first), domainTime(g.lastSeen), []string{}
	if g.oldest > 0 {
		oldest := domainTime(g.oldest)
		g.OldestOpen = &oldest
	}
	return g, err
}

// PoisonGroups lists groups: those with open messages first, then those that
// failed last, then the biggest. Counts, times and workspaces are of what the
// filter selects; projector, class, place, error and builds are the group's.
func (s *Store) PoisonGroups(ctx context.Context, f domain.PoisonFilter, p domain.Page) ([]domain.PoisonGroup, string, error) {
	limit, err := limitOf(p)
	if err != nil {
		return nil, "", err
	}
	w, err := where(s.dialect, f)
	if err != nil {
		return nil, "", err
	}
	after := &conditions{args: w.args}
	if p.After != "" {
		var open, total int
		var last int64
		var fingerprint string
		if err := readCursor(p.After, &open, &last, &total, &fingerprint); err != nil {
			return nil, "", err
		}
		after.add("(has_open, last_seen, total, fingerprint) < (?, ?, ?, ?)", open, last, total, fingerprint)
	}
	found, err := many(ctx, conn{s.read, s.dialect}, scanGroup, `SELECT * FROM (
			SELECT fingerprint,
				COUNT(CASE WHEN state = 'open' THEN 1 END) AS open,
				COUNT(CASE WHEN state = 'requeued' THEN 1 END) AS requeued,
				COUNT(CASE WHEN state = 'healed' THEN 1 END) AS healed,
				COUNT(CASE WHEN state = 'superseded' THEN 1 END) AS superseded,
				COUNT(CASE WHEN state = 'discarded' THEN 1 END) AS discarded,
				COUNT(DISTINCT CASE WHEN state IN ('open', 'requeued') THEN workspace_id END) AS workspaces,
				MIN(poisoned_at) AS first_seen, MAX(failed_at) AS last_seen,
				COALESCE(MIN(CASE WHEN state = 'open' THEN poisoned_at END), 0) AS oldest_open,
				MAX(CASE WHEN state = 'open' THEN 1 ELSE 0 END) AS has_open, COUNT(*) AS total
			FROM poison`+w.String()+` GROUP BY fingerprint) g`+after.String()+`
		ORDER BY has_open DESC, last_seen DESC, total DESC, fingerprint DESC LIMIT `+after.arg(limit+1), after.args...)
	if err != nil {
		return nil, "", err
	}
	found, next := paged(found, limit, func(g sortedGroup) string {
		open := 0
		if g.open {
			open = 1
		}
		return cursor(open, g.lastSeen, g.total, g.Fingerprint)
	})
	groups := make([]domain.PoisonGroup, len(found))
	byFingerprint := make(map[string]*domain.PoisonGroup, len(found))
	names := make([][]string, len(found))
	for i, g := range found {
		groups[i], names[i] = g.PoisonGroup, []string{g.Fingerprint}
		byFingerprint[g.Fingerprint] = &groups[i]
	}
	if err := s.describe(ctx, toJSON(names), byFingerprint); err != nil {
		return nil, "", err
	}
	return groups, next, nil
}

// maxBuilds is how many builds of a group are named.
const maxBuilds = 10

// describe fills in what a group's newest message tells, and its builds.
func (s *Store) describe(ctx context.Context, names string, groups map[string]*domain.PoisonGroup) error {
	if len(groups) == 0 {
		return nil
	}
	c := conn{s.read, s.dialect}
	newest, err := many(ctx, c, func(scan scanner) (g domain.PoisonGroup, err error) {
		err = scan(&g.Fingerprint, &g.Newest, &g.Projector, &g.ErrorClass, &g.Where, &g.Error)
		return g, err
	}, `SELECT p.fingerprint, p.id, p.projector, p.error_class, p.place, p.error
		FROM (SELECT value->>0 AS name FROM `+s.dialect.rows+`) g JOIN poison p ON p.id = (
			SELECT id FROM poison n WHERE n.fingerprint = g.name ORDER BY poisoned_at DESC, id DESC LIMIT 1)`, names)
	if err != nil {
		return err
	}
	for _, n := range newest {
		g := groups[n.Fingerprint]
		g.Newest, g.Projector, g.ErrorClass, g.Where, g.Error = n.Newest, n.Projector, n.ErrorClass, n.Where, n.Error
	}
	type build struct {
		fingerprint, name string
		last              int64
	}
	builds, err := many(ctx, c, func(scan scanner) (b build, err error) {
		err = scan(&b.fingerprint, &b.name, &b.last)
		return b, err
	}, `SELECT fingerprint, build, MAX(failed_at) FROM poison
		WHERE fingerprint IN (SELECT value->>0 FROM `+s.dialect.rows+`) GROUP BY fingerprint, build`, names)
	if err != nil {
		return err
	}
	slices.SortFunc(builds, func(a, b build) int { return cmp.Or(cmp.Compare(b.last, a.last), cmp.Compare(a.name, b.name)) })
	for _, b := range builds {
		if g := groups[b.fingerprint]; g != nil && len(g.Builds) < maxBuilds {
			g.Builds = append(g.Builds, b.name)
		}
	}
	return nil
}
