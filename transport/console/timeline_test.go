package console

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

// TestTimelineGoesForward: an event that was requeued is claimed after its
// attempts failed; the picture once went there and back.
func TestTimelineGoesForward(t *testing.T) {
	begin := time.Now()
	at := func(s int) domain.Time { return domain.At(begin.Add(time.Duration(s) * time.Second)) }
	published, claimed, committed := at(0), at(60), at(61)
	d := traceData{Trace: &domain.Trace{
		PublishedAt: &published, ClaimedAt: &claimed, CommittedAt: &committed,
		Attempts: []domain.PoisonAttempt{{At: at(1).Time}, {At: at(2).Time}},
	}}
	d.draw()
	names := []string{}
	for _, m := range d.Marks {
		names = append(names, m.Name)
	}
	require.Equal(t, []string{"published", "attempt failed", "attempt failed", "claimed by a lane", "in the log"}, names)
	require.EqualValues(t, 100, d.Marks[len(d.Marks)-1].X)
}
