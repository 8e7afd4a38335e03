package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestCommitEffects(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.SetLanes(t.Context(), 1))
		w, _, _ := storetest.SeedWorkspace(t, s)
		all := append(events(2, w.ID), events(3, "ws_new")...)
		publishAll(t, s, all)
		rows := waiting(t, s, 0, 10)

		revoke := projection(all[1], 2)
		revoke.Entries[1].Revoke = &domain.Revocation{MemberID: "mem_1", Channel: domain.RoomChannel("room_1")}
		revoke.Entries[1].Data = []byte(`{"type":"x","text":"quote \" slash \\ nul \u0000 line \u2028 <&> 🜁"}`)
		projected := []store.Projection{
			projection(all[2], 1), projection(all[0], 1), revoke, projection(all[3], 0), // a row gone: silence
		}
		appended, err := s.CommitEffects(t.Context(), store.Effects{
			Topic: store.Topic, Acked: []int64{rows[0].Seq, rows[1].Seq, rows[2].Seq, rows[3].Seq}, Projected: projected,
		})
		require.NoError(t, err)
		require.Len(t, appended, 2)
		require.Equal(t, eventIDs(rows[4:]), eventIDs(waiting(t, s, 0, 10)), "only what was acked is deleted")

		for _, a := range appended {
			entries, state, err := s.LogAfter(t.Context(), a.WorkspaceID, 0, 100, nil, 100)
			require.NoError(t, err)
			require.Equal(t, a.Entries, entries, "what is relayed is what the log has")
			require.Equal(t, a.Epoch, state.Epoch)
			require.NotEmpty(t, state.Epoch, "a workspace without a log gets one")
			require.EqualValues(t, len(entries), state.Head)
			if a.WorkspaceID == w.ID {
				require.Equal(t, []int64{1, 2, 3}, offsets(entries), "in the order of the projections")
				require.Equal(t, []string{all[0].ID, all[1].ID, all[1].ID},
					[]string{entries[0].EventID, entries[1].EventID, entries[2].EventID})
			}
		}
		empty, err := s.CommitEffects(t.Context(), store.Effects{})
		require.NoError(t, err)
		require.Empty(t, empty)
	})
}

// The last line of defence against a bus that delivers again: an event's
// entries are appended once, within a batch and across batches. A requeue is
// meant to append again.
func TestAppendOncePerEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		first, second := event("ws"), event("ws")
		for _, batch := range [][]store.Projection{
			{projection(first, 1), projection(first, 1)},
			{projection(first, 1), projection(second, 1), projection(second, 1)},
			{projection(first, 1), projection(second, 1)},
		} {
			_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Projected: batch})
			require.NoError(t, err)
		}
		entries, _, err := s.LogAfter(t.Context(), "ws", 0, 100, nil, 100)
		require.NoError(t, err)
		require.Equal(t, []string{first.ID, second.ID}, []string{entries[0].EventID, entries[1].EventID})
		require.Len(t, entries, 2)

		again := projection(first, 1)
		again.PoisonID = "psn_1"
		appended, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Projected: []store.Projection{again}})
		require.NoError(t, err)
		require.Equal(t, []int64{3}, offsets(appended[0].Entries))
	})
}

// Commits that share workspaces run side by side; readers run all the while.
// Offsets have no gaps, and nobody sees an offset before every lower one.
func TestOffsetsHaveNoGaps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		workspaces := []string{"ws_a", "ws_b", "ws_c"}
		const writers, rounds = 4, 25
		done := make(chan struct{})
		var writing, reading errgroup.Group
		for range writers {
			writing.Go(func() error {
				for i := range rounds {
					e := store.Effects{Topic: store.Topic}
					for j := range workspaces { // in an order of its own each time
						e.Projected = append(e.Projected, projection(event(workspaces[(i+j)%len(workspaces)]), 1+j))
					}
					if _, err := s.CommitEffects(t.Context(), e); err != nil {
						return err
					}
				}
				return nil
			})
		}
		reading.Go(func() error {
			seen := map[string]int64{}
			for {
				last := false
				select {
				case <-done:
					last = true
				default:
				}
				for _, ws := range workspaces {
					entries, state, err := s.LogAfter(t.Context(), ws, seen[ws], 1<<40, nil, 1000)
					if domain.CodeOf(err) == domain.CodeNotFound {
						continue // nothing was appended yet
					}
					if err != nil {
						return err
					}
					for _, e := range entries {
						if seen[ws]++; e.Offset != seen[ws] {
							return fmt.Errorf("%s: offset %d after %d", ws, e.Offset, seen[ws]-1)
						}
					}
					if state.Head != seen[ws] {
						return fmt.Errorf("%s: head %d, but the entries end at %d", ws, state.Head, seen[ws])
					}
				}
				if last {
					return nil
				}
			}
		})
		require.NoError(t, writing.Wait())
		close(done)
		require.NoError(t, reading.Wait())
		total := int64(0)
		states, err := s.LogStates(t.Context(), workspaces)
		require.NoError(t, err)
		for _, state := range states {
			total += state.Head
		}
		require.EqualValues(t, writers*rounds*6, total)
		mended, err := s.CheckLogs(t.Context())
		require.NoError(t, err)
		require.Empty(t, mended)
	})
}

// A lane's old owner, who was paused and doesn't know that another took over,
// writes nothing at all.
func TestFence(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			dsn := storetest.DSN(t, engine)
			old, s := storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)
			publishAll(t, s, events(1, "ws"))
			lane := store.LaneOf("ws", s.Lanes())
			row := waiting(t, s, lane, 1)[0]
			effects := func(epoch int64) store.Effects {
				return store.Effects{
					Topic: store.Topic, Lane: lane, Epoch: epoch, Acked: []int64{row.Seq},
					Projected: []store.Projection{projection(row.Event, 1)},
				}
			}
			before, err := old.TryLane(t.Context(), store.Topic, lane)
			require.NoError(t, err)
			require.NotNil(t, before)
			before.Release()
			now, err := s.TryLane(t.Context(), store.Topic, lane)
			require.NoError(t, err)
			require.NotNil(t, now)
			require.Greater(t, now.Epoch(), before.Epoch())

			_, err = old.CommitEffects(t.Context(), effects(before.Epoch()))
			require.ErrorIs(t, err, store.ErrFenced)
			require.Len(t, waiting(t, s, lane, 10), 1)
			_, err = s.Reader().LogState(t.Context(), "ws")
			require.ErrorIs(t, err, domain.ErrNotFound)

			appended, err := s.CommitEffects(t.Context(), effects(now.Epoch()))
			require.NoError(t, err)
			require.Len(t, appended, 1)
			require.Empty(t, waiting(t, s, lane, 10))
		})
	}
}

// All or nothing: when one statement of the commit fails, no other counts.
func TestCommitEffectsIsAtomic(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		publishAll(t, s, events(1, "ws"))
		lane := store.LaneOf("ws", s.Lanes())
		row := waiting(t, s, lane, 1)[0]
		bad := poison(event("ws"))
		twin := poison(event("ws"))
		twin.ID = bad.ID // an id that is taken
		_, err := s.CommitEffects(t.Context(), store.Effects{
			Topic: store.Topic, Acked: []int64{row.Seq},
			Projected: []store.Projection{projection(row.Event, 1)}, Poisoned: []domain.Poison{bad, twin},
		})
		requireCode(t, domain.CodeConflict, err)
		require.Len(t, waiting(t, s, lane, 1), 1)
		require.False(t, waiting(t, s, lane, 1)[0].Projected, "no mark is left")
		_, err = s.Reader().LogState(t.Context(), "ws")
		require.ErrorIs(t, err, domain.ErrNotFound)
		_, err = s.PoisonByID(t.Context(), bad.ID)
		require.ErrorIs(t, err, domain.ErrNotFound)
	})
}

// An unrelated transaction that has written, and keeps its snapshot open, must
// stall neither reading the outbox nor committing: watermill-sql's default
// schema delivered 0 of 20 events while one was open, in any database of the
// cluster.
func TestForeignTransactionStallsNobody(t *testing.T) {
	s := storetest.Open(t, store.Postgres)
	w, _, _ := storetest.SeedWorkspace(t, s)
	write(t, s, func(_ context.Context, tx domain.Tx) error {
		_, err := tx.LockWorkspace(t.Context(), w.ID)
		require.NoError(t, err)
		all := events(20, w.ID)
		publishAll(t, s, all)
		rows := waiting(t, s, store.LaneOf(w.ID, s.Lanes()), 100)
		require.Equal(t, ids(all), eventIDs(rows))
		e := store.Effects{Topic: store.Topic}
		for _, row := range rows {
			e.Acked = append(e.Acked, row.Seq)
			e.Projected = append(e.Projected, projection(row.Event, 1))
		}
		_, err = s.CommitEffects(t.Context(), e)
		require.NoError(t, err)
		return nil
	})
}

func poison(ev domain.Event) domain.Poison {
	return domain.Poison{
		ID: domain.NewID("psn"), Event: ev, Projector: string(ev.Type), Error: "boom", ErrorClass: "panic",
		ErrorChain: []string{"outer: boom", "boom"}, Stack: "goroutine 1 [running]:\n\tmain.go:1",
		Attempts: []domain.PoisonAttempt{{At: time.Now().UTC().Truncate(time.Microsecond), DurationMS: 1.5, Error: "boom"}},
		Build:    "v1.2.3", Node: "host:42",
	}
}
