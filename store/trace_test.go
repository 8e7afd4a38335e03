package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// told is a projection whose story is kept.
func told(ev domain.Event, entries int) store.Projection {
	p := projection(ev, entries)
	p.Story = store.NewStory(&ev, "node1", 2, ev.CreatedAt.Add(3*time.Millisecond), 1500*time.Microsecond)
	p.Story.Entries = entries
	return p
}

func TestTraceFollowsAnEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		all := events(3, "ws")
		for i := range all {
			all[i].CreatedAt = time.Now().UTC().Truncate(time.Millisecond)
			all[i].Metadata = map[string]string{domain.MetaTraceparent: "00-abc-def-01"}
		}
		_, err := s.Trace(ctx, all[0].ID)
		require.ErrorIs(t, err, domain.ErrNotFound)

		publishAll(t, s, all)
		lane := store.LaneOf("ws", s.Lanes())
		got, err := s.Trace(ctx, all[2].ID)
		require.NoError(t, err)
		require.Equal(t, domain.TraceWaits, got.State)
		require.Equal(t, &domain.TraceWaiting{Ahead: 2}, got.Waiting)
		require.Equal(t, lane, got.Lane)
		require.Equal(t, all[2].Type, got.Type)
		require.Equal(t, "ws", got.WorkspaceID)
		require.Equal(t, domain.At(all[2].CreatedAt), *got.PublishedAt)
		require.Nil(t, got.CommittedAt)

		appended, err := s.CommitEffects(ctx, store.Effects{
			Topic: store.Topic, Acked: seqs(waiting(t, s, lane, 10)),
			Projected: []store.Projection{told(all[0], 2), told(all[1], 0), projection(all[2], 1)},
		})
		require.NoError(t, err)
		epoch := appended[0].Epoch

		got, err = s.Trace(ctx, all[0].ID)
		require.NoError(t, err)
		require.Equal(t, domain.TraceProjected, got.State)
		require.Nil(t, got.Waiting)
		require.Equal(t, "node1", got.Node)
		require.Equal(t, 2, got.Lane)
		require.InDelta(t, 1.5, got.ProjectedMS, 0.0001)
		require.Equal(t, domain.At(all[0].CreatedAt.Add(3*time.Millisecond)), *got.ClaimedAt)
		require.NotNil(t, got.CommittedAt)
		require.Equal(t, "00-abc-def-01", got.Traceparent)
		require.Len(t, got.Entries, 2)
		require.Equal(t, domain.Position{Epoch: epoch, Offset: 1}, got.Entries[0].Position)
		require.Empty(t, got.Entries[0].Writes)
		require.Zero(t, got.Trimmed)

		got, err = s.Trace(ctx, all[1].ID)
		require.NoError(t, err)
		require.Equal(t, domain.TraceSilent, got.State)
		// No story was kept of the third: that it was projected is all there is.
		got, err = s.Trace(ctx, all[2].ID)
		require.NoError(t, err)
		require.Equal(t, domain.TraceExpired, got.State)
	})
}

// Retention took one of an event's two entries, and then the other: its trace
// once told of what was left as if that had been all.
func TestTraceTellsWhatIsTrimmed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, ev := t.Context(), events(1, "ws")[0]
		_, err := s.CommitEffects(ctx, store.Effects{Topic: store.Topic, Projected: []store.Projection{told(ev, 2)}})
		require.NoError(t, err)
		for left := 1; left >= 0; left-- {
			_, err = s.WriteDB().ExecContext(ctx, `DELETE FROM log_entries WHERE "offset" = $1`, 2-left)
			require.NoError(t, err)
			got, err := s.Trace(ctx, ev.ID)
			require.NoError(t, err)
			require.Len(t, got.Entries, left)
			require.Equal(t, 2-left, got.Trimmed)
		}
	})
}

func seqs(rows []store.OutboxRow) []int64 {
	all := make([]int64, len(rows))
	for i, r := range rows {
		all[i] = r.Seq
	}
	return all
}

func TestTraceSumsWrites(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		all := events(1, "ws")
		appended, err := s.CommitEffects(ctx, store.Effects{Topic: store.Topic, Projected: []store.Projection{told(all[0], 1)}})
		require.NoError(t, err)
		epoch := appended[0].Epoch
		at := time.Now().UTC().Truncate(time.Millisecond)
		save := func(node, epoch string, at time.Time, writes ...store.EntryWrite) {
			require.NoError(t, s.SaveWrites(ctx, node, at, []store.LogWrites{{WorkspaceID: "ws", Epoch: epoch, Writes: writes}}))
		}
		save("n1", epoch, at,
			store.EntryWrite{Offset: 9, Transport: "ws", Live: 99, First: at, Last: at},
			store.EntryWrite{Offset: 1, Transport: "sse", Live: 1, First: at.Add(time.Millisecond), Last: at.Add(time.Millisecond)},
			store.EntryWrite{Offset: 1, Transport: "ws", Live: 3, First: at, Last: at.Add(2 * time.Millisecond)})
		save("n1", epoch, at.Add(time.Second), store.EntryWrite{Offset: 1, Transport: "ws", Live: 1, Replayed: 2, First: at.Add(time.Second), Last: at.Add(time.Second)})
		save("n2", epoch, at, store.EntryWrite{Offset: 1, Transport: "poll", Replayed: 1, First: at.Add(time.Minute), Last: at.Add(time.Minute)})
		save("n1", "another", at, store.EntryWrite{Offset: 1, Transport: "ws", Live: 50, First: at, Last: at})
		require.NoError(t, s.SaveWrites(ctx, "n1", at, nil))

		got, err := s.Trace(ctx, all[0].ID)
		require.NoError(t, err)
		require.Equal(t, []domain.TraceWrite{
			{Node: "n1", Transport: "ws", Live: 4, Replayed: 2, FirstAt: domain.At(at), LastAt: domain.At(at.Add(time.Second))},
			{Node: "n1", Transport: "sse", Live: 1, FirstAt: domain.At(at.Add(time.Millisecond)), LastAt: domain.At(at.Add(time.Millisecond))},
			{Node: "n2", Transport: "poll", Replayed: 1, FirstAt: domain.At(at.Add(time.Minute)), LastAt: domain.At(at.Add(time.Minute))},
		}, got.Entries[0].Writes)

		n, err := s.PruneWrites(ctx, time.Hour)
		require.NoError(t, err)
		require.Zero(t, n)
		// What the log forgets is forgotten with it; the mark stays.
		gone, err := s.TrimLogs(ctx, -time.Hour, 1000)
		require.NoError(t, err)
		require.EqualValues(t, 1, gone)
		require.Equal(t, 1, value[int](t, s, `SELECT COUNT(*) FROM entry_writes`), "the row that reaches beyond")
		got, err = s.Trace(ctx, all[0].ID)
		require.NoError(t, err)
		require.Equal(t, domain.TraceExpired, got.State)
		n, err = s.PruneWrites(ctx, -time.Hour)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	})
}

func TestTraceOfPoison(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ev := events(1, "ws_2")[0]
		lane := store.LaneOf("ws_2", s.Lanes())
		require.NotZero(t, lane)
		p := domain.Poison{
			ID: domain.NewID("psn"), Event: ev, Projector: string(ev.Type), Error: "boom", ErrorClass: "panic", Node: "n1",
			Attempts: []domain.PoisonAttempt{{At: time.Now(), DurationMS: 3, Error: "boom"}}, PoisonedAt: time.Now(), UpdatedAt: time.Now(),
		}
		_, err := s.CommitEffects(ctx, store.Effects{Topic: store.Topic, Poisoned: []domain.Poison{p}})
		require.NoError(t, err)
		got, err := s.Trace(ctx, ev.ID)
		require.NoError(t, err)
		require.Equal(t, domain.TracePoisoned, got.State)
		require.Equal(t, p.ID, got.PoisonID)
		require.Len(t, got.Attempts, 1)
		require.Equal(t, "n1", got.Node)
		require.Equal(t, lane, got.Lane, "which it waited in, though nothing of it is in the outbox")

		require.NoError(t, s.RequeuePoison(ctx, domain.Act{Operator: "test", Role: "operator", Via: "cli"}, p.ID))
		got, err = s.Trace(ctx, ev.ID)
		require.NoError(t, err)
		require.Equal(t, domain.TraceRequeued, got.State)
		require.NotNil(t, got.Waiting)

		healed := told(ev, 1)
		healed.PoisonID = p.ID
		_, err = s.CommitEffects(ctx, store.Effects{
			Topic: store.Topic, Projected: []store.Projection{healed}, Acked: seqs(waiting(t, s, lane, 10)),
		})
		require.NoError(t, err)
		got, err = s.Trace(ctx, ev.ID)
		require.NoError(t, err)
		require.Equal(t, domain.TraceProjected, got.State)
		require.Equal(t, p.ID, got.PoisonID, "that it was poisoned once is part of its way")
	})
}

// The stories of the newest events stay beyond the dedupe window; a mark never
// goes before it.
func TestPruneKeepsTheNewestStories(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		all := events(10, "ws")
		for i, ev := range all {
			_, err := s.CommitEffects(ctx, store.Effects{Topic: store.Topic, Projected: []store.Projection{told(ev, 0)}})
			require.NoError(t, err)
			execSQL(t, s, `UPDATE projected SET at = at - $2 WHERE event_id = $1`, ev.ID, int64(10-i)*time.Minute.Microseconds())
		}
		left := func(window, maxAge time.Duration, newest int) int {
			_, err := s.PruneProjected(ctx, window, maxAge, newest)
			require.NoError(t, err)
			return value[int](t, s, `SELECT COUNT(*) FROM projected`)
		}
		require.Equal(t, 10, left(time.Minute, time.Hour, 100))
		require.Equal(t, 9, left(time.Minute, 9*time.Minute+30*time.Second, 100), "too old")
		require.Equal(t, 6, left(time.Minute, time.Hour, 6), "too many")
		require.Equal(t, 5, left(5*time.Minute+30*time.Second, time.Hour, 2), "within the window")
		require.Zero(t, left(0, 0, 0))
	})
}

func TestLanesNameTheirOwner(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		lock, err := s.TryLane(ctx, store.Topic, 1)
		require.NoError(t, err)
		require.Equal(t, "", value[string](t, s, `SELECT owner FROM lanes`))
		lock.Release()
	})
	if len(storetest.Engines(t)) < 2 {
		return
	}
	s, err := store.Open(t.Context(), store.Config{DSN: storetest.DSN(t, store.Postgres), Node: "host/7"})
	require.NoError(t, err)
	defer s.Close()
	lock, err := s.TryLane(t.Context(), store.Topic, 1)
	require.NoError(t, err)
	defer lock.Release()
	h, err := s.Health(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[int]string{1: "host/7"}, h.Owners)
}
