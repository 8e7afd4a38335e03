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

// A restart: whoever was online has a grace to come back in.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		tr := presence.New(r, grace)
		tr.Restore([]domain.Presence{
			{WorkspaceID: "w", MemberID: "back", Online: true},
			{WorkspaceID: "w", MemberID: "gone", Online: true},
		})
		require.Equal(t, []string{"back", "gone"}, tr.Online("w"))
		tr.Join("w", "back", "s1")
		tr.Join("w", "new", "s2")
		time.Sleep(grace + time.Second)
		require.Equal(t, []string{"+new", "-gone"}, r.take())
		require.Equal(t, []string{"back", "new"}, tr.Online("w"))
		tr.Leave("w", "back", "s1", true)
		require.Equal(t, []string{"-back"}, r.take(), "the grace was taken over")
		tr.Stop()
	})
}

// fakeRecord is a table of who is online.
type fakeRecord struct {
	mu     sync.Mutex
	online map[string]bool
	writes int
	down   bool
}

func (f *fakeRecord) SavePresence(_ context.Context, flips []domain.Presence) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.down {
		return errors.New("away")
	}
	for _, p := range flips {
		f.online[p.MemberID] = p.Online
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
		rec := presence.NewRecorder(tr, record, slog.New(slog.DiscardHandler))
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
		tr.Stop()
	})
}
