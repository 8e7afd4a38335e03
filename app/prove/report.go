package prove

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// Report is what a run came to.
type Report struct {
	Engine     store.Dialect `json:"engine"`
	Seed       uint64        `json:"seed,string"`
	Nemeses    []string      `json:"nemeses"`
	Failpoints bool          `json:"failpoints"` // the binary has them
	LeftOut    []string      `json:"leftOut"`    // what this machine can't do, with the reason
	Machine    string        `json:"machine"`
	Started    time.Time     `json:"started"`
	Ended      time.Time     `json:"ended"`
	Rounds     []*Round      `json:"rounds"`
}

// Round is one of them.
type Round struct {
	Seconds    float64           `json:"seconds"`
	Faults     []Fault           `json:"faults"`
	Committed  int               `json:"committed"` // events, of writers who know
	Refused    int               `json:"refused"`
	Unknown    int               `json:"unknown"` // commands without an answer
	Logged     int               `json:"logged"`  // entries
	Poisoned   int               `json:"poisoned"`
	Clients    int               `json:"clients"`
	Deliveries int               `json:"deliveries"`
	Resumes    int               `json:"resumes"`
	Resyncs    int               `json:"resyncs"`
	P50        float64           `json:"p50Ms"` // command → tab
	P99        float64           `json:"p99Ms"`
	Counts     map[string]int    `json:"violationsByInvariant"`
	Violations []check.Violation `json:"violations"`
	Vitals     []check.Vitals    `json:"vitals"`
	Timeline   []Second          `json:"timeline"`
}

// Fault is one, in seconds since the round began.
type Fault struct {
	Name  string  `json:"name"`
	Start float64 `json:"start"`
	End   float64 `json:"end"`
}

// Second is one point of the timeline.
type Second struct {
	At         int     `json:"at"`
	Committed  int     `json:"committed"`
	Deliveries int     `json:"deliveries"`
	Resumes    int     `json:"resumes"`
	P50        float64 `json:"p50Ms"` // of what arrived in it
	P99        float64 `json:"p99Ms"`
}

func newReport(o Options, env *environment) *Report {
	r := &Report{
		Engine: o.Engine, Seed: o.Seed, Failpoints: o.Failpoints, LeftOut: env.notes, Started: time.Now(),
		Machine: fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version()),
	}
	for _, n := range env.possible {
		r.Nemeses = append(r.Nemeses, n.name)
	}
	return r
}

func (r *Report) add(round *Round) { r.Rounds = append(r.Rounds, round) }

// newRound sums a history up.
func newRound(r *round, h *check.History, violations []check.Violation) *Round {
	out := &Round{Seconds: r.now().Seconds(), Clients: len(h.Clients), Poisoned: len(h.Poison), Violations: violations, Counts: map[string]int{}, Vitals: h.Vitals}
	for _, v := range violations {
		out.Counts[v.Invariant]++
	}
	for _, f := range h.Faults {
		out.Faults = append(out.Faults, Fault{f.Name, f.Start.Seconds(), f.End.Seconds()})
	}
	slices.SortFunc(out.Faults, func(a, b Fault) int { return cmp.Compare(a.Start, b.Start) })
	seconds := make([]Second, int(out.Seconds)+1)
	at := func(d time.Duration) *Second { return &seconds[min(max(0, int(d.Seconds())), len(seconds)-1)] }
	sent := make(map[string]time.Duration, len(h.Ops))
	for i := range h.Ops {
		switch op := &h.Ops[i]; op.Outcome {
		case check.OK:
			out.Committed++
			at(op.Done).Committed++
			if op.Event != "" {
				sent[op.Event] = op.Sent
			}
		case check.Refused:
			out.Refused++
		case check.Unknown:
			out.Unknown++
		}
	}
	for i := range h.Workspaces {
		out.Logged += len(h.Workspaces[i].Entries)
	}
	latencies := make([][]time.Duration, len(seconds))
	var all []time.Duration
	for i := range h.Clients {
		for j := range h.Clients[i].Connections {
			for k := range h.Clients[i].Connections[j].Frames {
				f := &h.Clients[i].Connections[j].Frames[k]
				s := at(f.At)
				switch {
				case f.Cause != "":
					out.Deliveries++
					s.Deliveries++
					for _, cause := range f.Causes() {
						if start, ok := sent[cause]; ok {
							all = append(all, f.At-start)
							latencies[min(int(f.At.Seconds()), len(seconds)-1)] = append(latencies[min(int(f.At.Seconds()), len(seconds)-1)], f.At-start)
						}
					}
				case f.Type == domain.ServerSystemHello && f.More.Resumed:
					out.Resumes++
					s.Resumes++
				case f.Type == domain.ServerSystemResync:
					out.Resyncs++
				}
			}
		}
	}
	for i := range seconds {
		seconds[i].At, seconds[i].P50, seconds[i].P99 = i, quantile(latencies[i], 0.5), quantile(latencies[i], 0.99)
	}
	out.P50, out.P99, out.Timeline = quantile(all, 0.5), quantile(all, 0.99), seconds
	return out
}

// quantile is the nearest-rank one, in milliseconds; 0 for none.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	d := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
	return float64(d.Microseconds()) / 1000
}

// WriteJSON writes the report for machines.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// meaning says what was checked, for people.
var meaning = map[string]string{
	check.Complete:  "every committed event arrived, or a justified resync and its snapshot covered it",
	check.Once:      "nothing arrived or was logged twice",
	check.Ordered:   "positions, versions and each writer's commands in order",
	check.Isolated:  "nothing of another tenant, from before joining or after removal",
	check.Phantom:   "nothing that was rolled back or refused was ever seen",
	check.Presence:  "who is shown online is who is connected; one flip per transition",
	check.Accounted: "committed = projected + poisoned, nothing left over",
	check.Recovered: "files, goroutines and memory back to what they were",
	check.Harness:   "the history is consistent with itself",
}

// WriteText writes the page for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\norbit prove: %s, seed %d, %s (%s)\n\n", r.Engine, r.Seed, r.Ended.Sub(r.Started).Round(time.Second), r.Machine)
	table := tabwriter.NewWriter(&b, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "round\tfaults\tcommitted\tunknown\tdelivered\tresumed\tresyncs\tpoisoned\tp50 ms\tp99 ms\t")
	for i, round := range r.Rounds {
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t\n", i+1, len(round.Faults), round.Committed, round.Unknown,
			round.Deliveries, round.Resumes, round.Resyncs, round.Poisoned, round.P50, round.P99)
	}
	_ = table.Flush() // to memory
	fmt.Fprintf(&b, "\nfaults: %s\n\n", cmp.Or(strings.Join(r.faultCounts(), ", "), "none"))
	broken := r.Broken()
	for _, name := range check.Invariants {
		verdict := "kept  "
		if slices.Contains(broken, name) {
			verdict = "BROKEN"
		}
		fmt.Fprintf(&b, "  %s  %-10s %s\n", verdict, name, meaning[name])
	}
	for i, round := range r.Rounds {
		for _, v := range round.Violations {
			fmt.Fprintf(&b, "\n  round %d, %s: %s", i+1, v.At.Round(time.Millisecond), v)
		}
	}
	if len(r.LeftOut) > 0 {
		fmt.Fprintf(&b, "\nnot done here:\n  %s\n", strings.Join(r.LeftOut, "\n  "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// faultCounts lists how often each nemesis acted.
func (r *Report) faultCounts() []string {
	counts := map[string]int{}
	for _, round := range r.Rounds {
		for _, f := range round.Faults {
			counts[f.Name]++
		}
	}
	var out []string
	for name, n := range counts {
		out = append(out, fmt.Sprintf("%s × %d", name, n))
	}
	slices.Sort(out)
	return out
}
