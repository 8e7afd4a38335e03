package prove

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A seed decides everything that a run decides, and nothing else does.
func TestASeedReplaysThePlan(t *testing.T) {
	o := Options{Seed: 42, Duration: 11 * time.Minute, Nemeses: []string{Mixed}}
	first := plan(o, nemeses)
	require.Equal(t, first, plan(o, nemeses))
	require.Len(t, first, 3, "five minutes a round at most")
	o.Seed = 43
	require.NotEqual(t, first, plan(o, nemeses))
	require.Equal(t, dice(1, "a", 2).Uint64(), dice(1, "a", 2).Uint64())
	require.NotEqual(t, dice(1, "a", 2).Uint64(), dice(1, "b", 2).Uint64())
}

// Two that hurt the same thing are never at it together, nor near the ends.
func TestFaultsDoNotGetInEachOthersWay(t *testing.T) {
	for seed := range uint64(50) {
		for _, r := range plan(Options{Seed: seed, Duration: time.Minute, Nemeses: []string{Mixed}}, nemeses) {
			last := map[target]time.Duration{}
			for _, f := range r.Faults {
				require.GreaterOrEqual(t, f.At, calm)
				require.LessOrEqual(t, f.At+f.For, r.Duration)
				require.GreaterOrEqual(t, f.At, last[f.target])
				last[f.target] = f.At + f.For
			}
		}
	}
}

// One round each: every nemesis acts in its own.
func TestEachHasItsRound(t *testing.T) {
	rounds := plan(Options{Seed: 1, Duration: time.Minute, Nemeses: []string{Each}}, nemeses)
	require.Len(t, rounds, len(nemeses))
	for i, r := range rounds {
		require.NotEmpty(t, r.Faults, nemeses[i].name)
		for _, f := range r.Faults {
			require.Equal(t, nemeses[i].name, f.Nemesis)
		}
	}
}
