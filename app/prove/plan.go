package prove

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// fault is one thing to be broken: when, since the round began, and for how long.
type fault struct {
	Nemesis string
	target  target
	At      time.Duration
	For     time.Duration
	Dice    uint64 // seed of its own decisions
}

// roundPlan is what a round will do: a function of the options alone.
type roundPlan struct {
	Duration time.Duration
	Faults   []fault
}

func (r roundPlan) String() string {
	var names []string
	for _, f := range r.Faults {
		if !slices.Contains(names, f.Nemesis) {
			names = append(names, f.Nemesis)
		}
	}
	return fmt.Sprintf("%s, %d faults (%s)", r.Duration.Round(time.Second), len(r.Faults), cmp.Or(strings.Join(names, " "), "none"))
}

// calm is how long a round goes on before the first fault and after the last.
const calm = 3 * time.Second

// plan decides all faults of a run.
func plan(o Options, possible []*nemesis) []roundPlan {
	if slices.Contains(o.Nemeses, Each) {
		var rounds []roundPlan
		length := min(roundLength, max(o.Duration/time.Duration(max(1, len(possible))), 8*time.Second))
		for i, n := range possible {
			rounds = append(rounds, planRound(o.Seed, i, max(length, n.least+2*calm), []*nemesis{n}))
		}
		return rounds
	}
	var rounds []roundPlan
	n := int((o.Duration + roundLength - 1) / roundLength)
	for i := range n {
		rounds = append(rounds, planRound(o.Seed, i, o.Duration/time.Duration(n), possible))
	}
	return rounds
}

// planRound fills a round with faults: those that hurt different things side by
// side, those that hurt the same one after the other.
func planRound(seed uint64, round int, length time.Duration, from []*nemesis) roundPlan {
	r := roundPlan{Duration: length}
	for _, target := range targets {
		var choice []*nemesis
		for _, n := range from {
			if n.target == target {
				choice = append(choice, n)
			}
		}
		if len(choice) == 0 {
			continue
		}
		d := dice(seed, "plan "+string(target), round)
		// Every nemesis has its turn before one has its second.
		var deck []*nemesis
		for at := calm + time.Duration(d.Int64N(int64(2*time.Second))); ; {
			if len(deck) == 0 {
				deck = slices.Clone(choice)
				d.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			}
			n := deck[0]
			deck = deck[1:]
			most := min(n.most, length/2)
			lasts := min(n.least, most) + time.Duration(d.Int64N(int64(max(1, most-n.least))))
			if room := length - calm/2 - at; lasts > room {
				if len(r.Faults) > 0 && r.Faults[len(r.Faults)-1].target == target || room < time.Second {
					break
				}
				lasts = room // a short one is better than none
			}
			r.Faults = append(r.Faults, fault{Nemesis: n.name, target: target, At: at, For: lasts, Dice: d.Uint64()})
			at += lasts + 2*time.Second + time.Duration(d.Int64N(int64(4*time.Second)))
		}
	}
	slices.SortStableFunc(r.Faults, func(a, b fault) int { return cmp.Compare(a.At, b.At) })
	return r
}
