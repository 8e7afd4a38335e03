package presence_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/presence"
)

// fakeRecord is a table of who is online.
type fakeRecord struct {
	mu     sync.Mutex
	online map[string]bool
	writes int
	down   bool
	last   int64
	forgot []int64
}

func (f *fakeRecord) ForgetPresence(_ context.Context, _ string, version int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgot = append(f.forgot, version)
	return nil
}

func (f *fakeRecord) SavePresence(_ context.Context, _ string, flips []domain.NodePresence) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.down {
		return errors.New("away")
	}
	for _, p := range flips {
		f.online[p.MemberID] = p.Online
		if p.Version <= f.last || p.Node != "node_a" {
			return errors.New("versions ascend")
		}
		f.last = p.Version
	}
	return nil
}

// saved returns a copy of the table, and how many writes there were.
func (f *fakeRecord) saved() (map[string]bool, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.online), f.writes
}

func (f *fakeRecord) set(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		record := &fakeRecord{online: map[string]bool{}}
		tr := presence.New(&recorder{}, grace)
		saved := map[string]bool{}
		rec := presence.NewRecorder(tr, record, "node_a", func(changes []domain.NodePresence) {
			for _, c := range changes {
				saved[c.MemberID] = c.Online
			}
		}, slog.New(slog.DiscardHandler))
		rec.Start(t.Context())

		tr.Join("w", "first", "s")
		synctest.Wait()
		for range 50 {
			tr.Join("w", "flapping", "s")
			tr.Leave("w", "flapping", "s", true)
		}
		time.Sleep(time.Second)
		online, writes := record.saved()
		require.Equal(t, map[string]bool{"first": true, "flapping": false}, online)
		require.Equal(t, 2, writes, "a hundred flips are one write")

		record.set(true)
		tr.Leave("w", "first", "s", true)
		tr.Join("w", "second", "s")
		time.Sleep(time.Second)
		tr.Join("w", "first", "s")
		record.set(false)
		time.Sleep(time.Second)
		online, _ = record.saved()
		require.Equal(t, map[string]bool{"first": true, "second": true, "flapping": false}, online,
			"what couldn't be written is written later, the newest flip of each")

		tr.Leave("w", "second", "s", true)
		rec.Stop()
		rec.Stop()
		online, _ = record.saved()
		require.False(t, online["second"], "Stop writes what is left")
		require.Equal(t, online, saved, "others are told of what is on record")
		tr.Stop()
	})
}

// A node that was taken for dead has lost its record, and writes all of it; who
// left is kept on record for a minute or two.
func TestRewriteAndForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		record := &fakeRecord{online: map[string]bool{}}
		tr := presence.New(&recorder{}, 0)
		rec := presence.NewRecorder(tr, record, "node_a", func([]domain.NodePresence) {}, slog.New(slog.DiscardHandler))
		rec.Start(t.Context())
		for _, m := range []string{"a", "b", "c"} {
			tr.Join("w", m, "s-"+m)
		}
		tr.Leave("w", "c", "s-c", true)
		tr.Apply([]domain.NodePresence{there("node_b", "x", 1)})
		time.Sleep(time.Second)
		record.mu.Lock()
		clear(record.online)
		record.mu.Unlock()
		rec.Rewrite()
		time.Sleep(time.Second)
		online, _ := record.saved()
		require.Equal(t, map[string]bool{"a": true, "b": true}, online, "one's own set, and nobody else's")

		for range 5 {
			time.Sleep(presence.ForgetAfter)
			tr.Join("w", "d", "s")
			tr.Leave("w", "d", "s", true)
		}
		time.Sleep(time.Second)
		rec.Stop()
		require.NotEmpty(t, record.forgot)
		require.Less(t, record.forgot[len(record.forgot)-1], record.last-1, "not what has just been written")
	})
}
