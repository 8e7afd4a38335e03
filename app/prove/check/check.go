package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// The invariants.
const (
	Complete  = "complete"
	Once      = "once"
	Ordered   = "ordered"
	Isolated  = "isolated"
	Phantom   = "phantom"
	Presence  = "presence"
	Accounted = "accounted"
	Recovered = "recovered"
	Harness   = "harness"
)

// Invariants lists them, in the order of reports.
var Invariants = []string{Complete, Once, Ordered, Isolated, Phantom, Presence, Accounted, Recovered, Harness}

// Violation is one broken promise.
type Violation struct {
	Invariant string        `json:"invariant"`
	Workspace string        `json:"workspace,omitempty"` // slug
	Client    string        `json:"client,omitempty"`
	At        time.Duration `json:"atNs"` // since the round began; 0: of the whole round
	Detail    string        `json:"detail"`
}

func (v Violation) String() string {
	where := v.Client
	if where == "" {
		where = v.Workspace
	}
	return fmt.Sprintf("%s: %s: %s", v.Invariant, cmp.Or(where, "server"), v.Detail)
}

// maxPerSubject is how many violations of one invariant are listed for one
// client or workspace: a broken stream would list every event after the break.
const maxPerSubject = 5

// Check returns every broken promise in h; none for a history that kept them all.
func Check(h History) []Violation {
	r := &result{counts: map[[3]string]int{}}
	truths := map[string]*truth{}
	for i := range h.Workspaces {
		w := &h.Workspaces[i]
		truths[w.ID] = newTruth(w)
	}
	everywhere := owners(truths)
	checkLogs(r, truths)
	checkOps(r, &h, truths)
	checkAccounts(r, &h, truths)
	for i := range h.Clients {
		c := &h.Clients[i]
		t := truths[c.Workspace]
		if t == nil {
			r.add(Violation{Invariant: Harness, Client: c.Name, Detail: "is in a workspace whose log was not read"})
			continue
		}
		(&stream{result: r, client: c, truth: t, everywhere: everywhere, rolledBack: set(h.RolledBack)}).check()
		checkModel(r, c)
	}
	checkPresence(r, &h, truths)
	checkVitals(r, h.Vitals)
	return r.all()
}

// result collects violations, and counts those it leaves out.
type result struct {
	found  []Violation
	counts map[[3]string]int
}

func (r *result) add(v Violation) {
	key := [3]string{v.Invariant, v.Workspace, v.Client}
	if r.counts[key]++; r.counts[key] <= maxPerSubject {
		r.found = append(r.found, v)
	}
}

func (r *result) all() []Violation {
	for key, n := range r.counts {
		if n > maxPerSubject {
			r.found = append(r.found, Violation{Invariant: key[0], Workspace: key[1], Client: key[2], Detail: fmt.Sprintf("and %d more", n-maxPerSubject)})
		}
	}
	rank := func(v Violation) int { return slices.Index(Invariants, v.Invariant) }
	slices.SortStableFunc(r.found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Workspace, b.Workspace))
	})
	return r.found
}

func set(ids []string) map[string]bool {
	s := make(map[string]bool, len(ids))
	for _, id := range ids {
		s[id] = true
	}
	return s
}

// checkModel compares what a tab shows with what the database says.
func checkModel(r *result, c *Client) {
	if c.Model == nil || c.Database == nil {
		return
	}
	complain := func(format string, args ...any) {
		r.add(Violation{Invariant: Complete, Client: c.Name, Detail: fmt.Sprintf(format, args...)})
	}
	for entity, version := range c.Database {
		if shown, ok := c.Model[entity]; !ok {
			complain("the tab doesn't show %s, which the database has", entity)
		} else if shown != version {
			complain("the tab shows version %d of %s, the database has %d", shown, entity, version)
		}
	}
	for entity := range c.Model {
		if _, ok := c.Database[entity]; !ok {
			complain("the tab shows %s, which is not in the database", entity)
		}
	}
}

// How much heavier a healed server may be than before the faults. Go gives
// memory back late, and pools keep what a storm made them open: what is looked
// for is a leak, which grows with every fault.
const (
	spareGoroutines = 100
	spareFiles      = 60
	spareMemoryKB   = 128 << 10
	// And what a client more may cost.
	clientGoroutines = 5
	clientFiles      = 1
	clientMemoryKB   = 100
)

// checkVitals compares the first and the last look at each process.
func checkVitals(r *result, all []Vitals) {
	first := map[int]Vitals{}
	for _, v := range all {
		before, known := first[v.PID]
		if !known {
			first[v.PID] = v
			continue
		}
		more := max(0, int64(v.Clients-before.Clients))
		for _, of := range []struct {
			what         string
			before, now  int64
			spare, times int64
		}{
			{"goroutines", int64(before.Goroutines), int64(v.Goroutines), spareGoroutines + more*clientGoroutines, 1},
			{"open files", int64(before.Files), int64(v.Files), spareFiles + more*clientFiles, 1},
			{"kB of memory", before.MemoryKB, v.MemoryKB, spareMemoryKB + more*clientMemoryKB, 2},
		} {
			if of.before > 0 && of.now > of.times*of.before+of.spare {
				r.add(Violation{Invariant: Recovered, At: v.At,
					Detail: fmt.Sprintf("process %d had %d %s before the faults, and has %d after", v.PID, of.before, of.what, of.now)})
			}
		}
	}
}
