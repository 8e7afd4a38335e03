package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestOutboxKeepsOrderAndContent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const ws = "ws_order"
		lane := store.LaneOf(ws, s.Lanes())
		all := events(5, ws)
		all[0].Metadata = map[string]string{domain.MetaTraceparent: "00-ab-cd-01", "ünïcode \"quoted\"": "völlig\negal"}
		all[1].Payload = json.RawMessage(`{"b":1,  "a":{"n":1.00, "n":2}}`)      // spaces, order, duplicate keys
		all[2].Payload = json.RawMessage{0, 0xff, '\\', '"', 'x'}                // not even JSON
		all[3].Payload = json.RawMessage{}                                       // nothing at all
		all[4].CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC) // microseconds stay
		before := time.Now().Truncate(time.Microsecond)
		publishAll(t, s, all)

		rows := waiting(t, s, lane, 10)
		require.Equal(t, ids(all), eventIDs(rows))
		for i, row := range rows {
			require.False(t, row.Projected)
			if all[i].CreatedAt.IsZero() {
				require.False(t, row.Event.CreatedAt.Before(before), "no time given: now")
				all[i].CreatedAt = row.Event.CreatedAt
			}
			require.Equal(t, []byte(all[i].Payload), append([]byte{}, row.Event.Payload...))
			row.Event.Payload = all[i].Payload
			require.Equal(t, all[i], row.Event)
			require.True(t, i == 0 || row.Seq > rows[i-1].Seq)
		}
		require.Equal(t, ids(all[:2]), eventIDs(waiting(t, s, lane, 2)), "the lowest rows")
		require.Empty(t, waiting(t, s, (lane+1)%s.Lanes(), 10))

		query, args := s.OutboxDelete([]int64{rows[1].Seq, rows[3].Seq})
		execSQL(t, s, query, args...)
		require.Equal(t, []string{all[0].ID, all[2].ID, all[4].ID}, eventIDs(waiting(t, s, lane, 10)))
	})
}

// A sequence number isn't given twice, not even when the outbox ran empty:
// SQLite's plain rowid would be.
func TestOutboxSeqOnlyGrows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.SetLanes(t.Context(), 1))
		var last int64
		for range 3 {
			publishAll(t, s, events(2, "ws"))
			rows := waiting(t, s, 0, 10)
			require.Len(t, rows, 2)
			require.Greater(t, rows[0].Seq, last)
			last = rows[1].Seq
			query, args := s.OutboxDelete([]int64{rows[0].Seq, rows[1].Seq})
			execSQL(t, s, query, args...)
		}
	})
}

func TestPublishingTwiceIsOneEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		all := events(2, "ws")
		lane := store.LaneOf("ws", s.Lanes())
		publishAll(t, s, all)
		publishAll(t, s, []domain.Event{all[1], all[0], all[1]})
		require.Equal(t, ids(all), eventIDs(waiting(t, s, lane, 10)))

		// Equal payloads are two events, if their ids differ.
		twin := all[0]
		twin.ID = domain.NewEventID()
		publishAll(t, s, []domain.Event{twin})
		require.Len(t, waiting(t, s, lane, 10), 3)

		requireCode(t, domain.CodeInvalid, tryWrite(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.Publish(ctx, domain.Event{Type: "x"}) }))
		write(t, s, func(ctx context.Context, tx domain.Tx) error { return tx.Publish(ctx) })
	})
}

// More events than one statement can carry.
func TestPublishMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.SetLanes(t.Context(), 1))
		all := benchEvents(2345, 7)
		publishAll(t, s, all)
		require.Equal(t, ids(all), eventIDs(waiting(t, s, 0, 5000)))
		_, _, err := s.OutboxInsert(store.Topic)
		requireCode(t, domain.CodeInvalid, err)
		_, _, err = s.OutboxInsert(store.Topic, all...)
		requireCode(t, domain.CodeInvalid, err)
	})
}

// The read that fetches a batch tells what was projected before; a requeue is
// to be handled again all the same.
func TestOutboxTellsWhatWasProjected(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		all := events(3, "ws")
		all[1].Metadata = map[string]string{store.MetaPoisonID: "psn_1"}
		_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Projected: []store.Projection{
			projection(all[0], 0), projection(all[1], 0),
		}})
		require.NoError(t, err)
		publishAll(t, s, all)
		rows := waiting(t, s, store.LaneOf("ws", s.Lanes()), 10)
		require.Equal(t, []bool{true, false, false}, []bool{rows[0].Projected, rows[1].Projected, rows[2].Projected})

		n, err := s.PruneProjected(t.Context(), time.Hour, 0, 0)
		require.NoError(t, err)
		require.Zero(t, n, "within the window")
		execSQL(t, s, `UPDATE projected SET at = at - 3600000000 WHERE event_id = $1`, all[0].ID)
		n, err = s.PruneProjected(t.Context(), time.Minute, 0, 0)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		require.False(t, waiting(t, s, store.LaneOf("ws", s.Lanes()), 10)[0].Projected)
	})
}

// Topics of one lane don't see each other. The insert tells where rows went.
func TestTopics(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		query, args, err := s.OutboxInsert("another", events(2, "ws")...)
		require.NoError(t, err)
		lane := store.LaneOf("ws", s.Lanes())
		require.Equal(t, []int{lane, lane}, values[int](t, s.WriteDB(), query, args...))
		require.Empty(t, waiting(t, s, store.LaneOf("ws", s.Lanes()), 10))
	})
}

// The lane is part of the contract with producers in other languages.
func TestLaneOf(t *testing.T) {
	// MD5("") is d41d8cd9…, MD5("abc") 90015098… (RFC 1321, A.5).
	require.Equal(t, int(uint32(0xd41d8cd9)%4), store.LaneOf("", 4))
	require.Equal(t, int(uint32(0x90015098)%64), store.LaneOf("abc", 64))
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for _, id := range []string{"", "abc", "ws_01", domain.NewID("ws")} {
			require.EqualValues(t, store.LaneOf(id, 1<<31), value[int64](t, s, `SELECT orbit_hash($1) % 2147483648`, id))
		}
	})
}

func TestSetLanesMovesWhatWaits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		require.Equal(t, 4, s.Lanes())
		all := benchEvents(100, 25)
		publishAll(t, s, all)
		for _, n := range []int{1, 7, 64} {
			require.NoError(t, s.SetLanes(t.Context(), n))
			require.Equal(t, n, s.Lanes())
			found := 0
			for lane := range n {
				for _, row := range waiting(t, s, lane, 1000) {
					require.Equal(t, lane, store.LaneOf(row.Event.WorkspaceID, n))
					found++
				}
			}
			require.Equal(t, len(all), found)
		}
		for _, n := range []int{0, -1, 65} {
			requireCode(t, domain.CodeInvalid, s.SetLanes(t.Context(), n))
		}

		stats, err := s.OutboxStats(t.Context())
		require.NoError(t, err)
		require.Len(t, stats, 64)
		var pending int64
		for lane, st := range stats {
			require.Equal(t, lane, st.Lane)
			require.Equal(t, st.Pending == 0, st.Oldest.IsZero())
			pending += st.Pending
		}
		require.EqualValues(t, len(all), pending)
	})
}

// A process that opened before the number of lanes changed would put events on
// lanes that nobody reads anymore, if it computed them by what it knew then.
func TestStaleProcessPublishesToTheRightLane(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			dsn := storetest.DSN(t, engine)
			stale, s := storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)
			require.NoError(t, stale.SetLanes(t.Context(), 64))

			var g errgroup.Group
			g.Go(func() error { // publishing all the while
				for i := range 50 {
					if err := stale.Write(t.Context(), func(tx domain.Tx) error {
						return tx.Publish(t.Context(), event(fmt.Sprintf("ws_%d", i)))
					}); err != nil {
						return err
					}
				}
				return nil
			})
			g.Go(func() error {
				for _, n := range []int{8, 3, 2} {
					if err := s.SetLanes(t.Context(), n); err != nil {
						return err
					}
				}
				return nil
			})
			require.NoError(t, g.Wait())
			require.Equal(t, 64, stale.Lanes(), "the premise: it doesn't know")
			require.Equal(t, 2, storetest.OpenDSN(t, dsn).Lanes())
			require.Len(t, append(waiting(t, s, 0, 100), waiting(t, s, 1, 100)...), 50)
		})
	}
}
