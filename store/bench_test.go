package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// benchEngines adds SQLite without a sync per commit, to show what a sync costs.
func benchEngines(b *testing.B, fn func(b *testing.B, s *store.Store)) {
	for _, engine := range storetest.Engines(b) {
		b.Run(string(engine), func(b *testing.B) { fn(b, storetest.Open(b, engine)) })
	}
	b.Run("sqlite-normal", func(b *testing.B) {
		fn(b, storetest.OpenDSN(b, storetest.DSN(b, store.SQLite)+"?synchronous=normal"))
	})
}

const benchBatch = 100

func benchEvents(n, workspaces int) []domain.Event {
	events := make([]domain.Event, n)
	for i := range events {
		events[i] = domain.NewEvent(domain.EventMemberUpdated, fmt.Sprintf("ws_%02d", i%workspaces), domain.NewID("mem"), domain.Changed{Version: 7})
	}
	return events
}

func publishAll(tb testing.TB, s *store.Store, events []domain.Event) {
	tb.Helper()
	require.NoError(tb, s.Write(tb.Context(), func(tx domain.Tx) error { return tx.Publish(tb.Context(), events...) }))
}

func waiting(tb testing.TB, s *store.Store, lane, limit int) []store.OutboxRow {
	tb.Helper()
	query, args := s.OutboxSelect(store.Topic, lane, limit)
	rows, err := s.ReadDB().QueryContext(tb.Context(), query, args...)
	require.NoError(tb, err)
	defer rows.Close()
	var all []store.OutboxRow
	for rows.Next() {
		row, err := store.ScanOutboxRow(rows.Scan)
		require.NoError(tb, err)
		all = append(all, row)
	}
	require.NoError(tb, rows.Err())
	return all
}

// BenchmarkCommitEffects commits batches of 100 events, each with one entry of
// the usual size, over 10 workspaces.
func BenchmarkCommitEffects(b *testing.B) { benchEngines(b, benchCommitEffects) }

// BenchmarkCommitEffectsBesideLongTransaction has an unrelated transaction open
// all the while: VACUUM can't remove the outbox's dead rows, and each read
// walks over more of them.
func BenchmarkCommitEffectsBesideLongTransaction(b *testing.B) {
	s := storetest.Open(b, store.Postgres)
	w, _, _ := storetest.SeedWorkspace(b, s)
	write(b, s, func(ctx context.Context, tx domain.Tx) error {
		_, err := tx.LockWorkspace(ctx, w.ID)
		require.NoError(b, err)
		benchCommitEffects(b, s)
		return nil
	})
}

func benchCommitEffects(b *testing.B, s *store.Store) {
	ctx := b.Context()
	require.NoError(b, s.SetLanes(ctx, 1))
	data := fmt.Appendf(nil, `{"type":"workspace.member.updated","channel":"workspace:ws_01","member":{"id":"mem_01","version":7,"name":"%0200d"}}`, 0)
	publishAll(b, s, benchEvents(b.N*benchBatch, 10))
	b.ResetTimer()
	var committing time.Duration
	for range b.N {
		rows := waiting(b, s, 0, benchBatch)
		require.Len(b, rows, benchBatch)
		e := store.Effects{Topic: store.Topic}
		for _, row := range rows {
			e.Acked = append(e.Acked, row.Seq)
			e.Projected = append(e.Projected, store.Projection{EventID: row.Event.ID, WorkspaceID: row.Event.WorkspaceID,
				Kind: "member", AggregateID: row.Event.AggregateID, Seq: row.Seq, Entries: []domain.Entry{{
					Channel: domain.WorkspaceChannel(row.Event.WorkspaceID), Type: domain.ServerMemberUpdated,
					Data: data, EventID: row.Event.ID, At: row.Event.CreatedAt,
				}}})
		}
		start := time.Now()
		_, err := s.CommitEffects(ctx, e)
		committing += time.Since(start)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N*benchBatch)/committing.Seconds(), "commit-events/s")
	b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkCommit is the cost of one small durable commit.
func BenchmarkCommit(b *testing.B) {
	benchEngines(b, func(b *testing.B, s *store.Store) {
		ev := benchEvents(1, 1)
		for range b.N {
			ev[0].ID = domain.NewEventID()
			publishAll(b, s, ev)
		}
	})
}

func BenchmarkOutboxSelect(b *testing.B) {
	benchEngines(b, func(b *testing.B, s *store.Store) {
		require.NoError(b, s.SetLanes(b.Context(), 1))
		publishAll(b, s, benchEvents(10000, 10))
		b.ResetTimer()
		for range b.N {
			require.Len(b, waiting(b, s, 0, benchBatch), benchBatch)
		}
		b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "events/s")
	})
}

func BenchmarkReadMember(b *testing.B) {
	benchEngines(b, func(b *testing.B, s *store.Store) {
		w, owner, _ := storetest.SeedWorkspace(b, s)
		b.ResetTimer()
		for range b.N {
			_, err := s.Reader().Member(b.Context(), w.ID, owner.ID)
			require.NoError(b, err)
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	benchEngines(b, func(b *testing.B, s *store.Store) {
		for range b.N {
			publishAll(b, s, benchEvents(1000, 10))
		}
		b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkPoison is how long an operator waits, with as many messages as a bad
// night leaves behind: 100,000, in 20 groups of 50 workspaces, a tenth open.
func BenchmarkPoison(b *testing.B) {
	const n = 100_000
	for _, engine := range storetest.Engines(b) {
		s := storetest.Open(b, engine)
		manyPoisoned(b, s, n)
		states := []domain.PoisonState{domain.PoisonOpen}
		first, _, err := s.ListPoison(b.Context(), domain.PoisonFilter{States: states}, domain.Page{Limit: 1})
		require.NoError(b, err)
		for name, run := range map[string]func() error{
			"list": func() error { _, _, err := s.ListPoison(b.Context(), domain.PoisonFilter{}, domain.Page{}); return err },
			"list-open": func() error {
				_, _, err := s.ListPoison(b.Context(), domain.PoisonFilter{States: states}, domain.Page{})
				return err
			},
			"list-group": func() error {
				_, _, err := s.ListPoison(b.Context(), domain.PoisonFilter{Fingerprint: first[0].Fingerprint, States: states}, domain.Page{})
				return err
			},
			"list-workspace": func() error {
				_, _, err := s.ListPoison(b.Context(), domain.PoisonFilter{WorkspaceID: "ws_7"}, domain.Page{})
				return err
			},
			"search": func() error {
				_, _, err := s.ListPoison(b.Context(), domain.PoisonFilter{Text: "nowhere to be found"}, domain.Page{})
				return err
			},
			"groups": func() error {
				_, _, err := s.PoisonGroups(b.Context(), domain.PoisonFilter{}, domain.Page{})
				return err
			},
			"groups-open": func() error {
				_, _, err := s.PoisonGroups(b.Context(), domain.PoisonFilter{States: states}, domain.Page{})
				return err
			},
			"count": func() error { _, err := s.CountPoison(b.Context(), domain.PoisonFilter{}); return err },
			"stale": func() error { _, err := s.Reader().Stale(b.Context(), "ws_7"); return err },
		} {
			b.Run(string(engine)+"/"+name, func(b *testing.B) {
				for b.Loop() {
					require.NoError(b, run())
				}
			})
		}
	}
}

// manyPoisoned leaves n messages behind, one in ten open. They are copies of
// one, made by the database: by commits it would take minutes.
func manyPoisoned(t testing.TB, s *store.Store, n int) {
	t.Helper()
	p := poison(event("ws_0"))
	p.Told, p.Stack = []domain.Channel{"workspace:ws_0"}, strings.Repeat("frame of a stack\n", 60)
	addPoison(t, s, p)
	execSQL(t, s, fmt.Sprintf(`INSERT INTO poison (id, state, version, fingerprint, place, kind, seq, told, stale, untold,
			event_id, type, workspace_id, aggregate_id, payload, metadata, created_at, projector, error, error_class, error_chain,
			stack, attempts, build, node, requeues, reason, poisoned_at, updated_at, failed_at)
		WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < %d)
		SELECT 'psn_' || i, CASE WHEN i %% 10 = 0 THEN 'open' ELSE 'healed' END, 1, 'group_' || (i %% 20), place, kind, i, told,
			CASE WHEN i %% 10 = 0 THEN stale ELSE '[]' END, untold, 'ev_' || i, type, 'ws_' || (i %% 50), 'mem_' || i, payload, metadata,
			created_at, projector, error, error_class, error_chain, stack, attempts, 'v' || (i %% 3), node, 0, '', i, i, i
		FROM poison, numbers`, n-1))
	if s.Dialect() == store.Postgres {
		execSQL(t, s, `VACUUM ANALYZE poison`)
	} else {
		execSQL(t, s, `ANALYZE`)
	}
}

// BenchmarkCommitAmongStale is BenchmarkCommitEffects where the workspaces have
// 10,000 aggregates that are stale, none of them in the batch.
func BenchmarkCommitAmongStale(b *testing.B) {
	benchEngines(b, func(b *testing.B, s *store.Store) {
		manyPoisoned(b, s, 100_000)
		execSQL(b, s, `UPDATE poison SET workspace_id = 'ws_0' || (seq % 10)`)
		benchCommitEffects(b, s)
	})
}

// BenchmarkOperationStep is one step of a requeue of 10,000 messages, at the
// highest rate. It once went through all items for each item that it wrote: a
// step took minutes.
func BenchmarkOperationStep(b *testing.B) {
	for _, engine := range storetest.Engines(b) {
		b.Run(string(engine), func(b *testing.B) {
			s := storetest.Open(b, engine)
			manyPoisoned(b, s, 100_000)
			r := everything(domain.OperationRequeue, 10_000)
			r.NoCanary = true
			op, err := s.CreateOperation(b.Context(), operator, r)
			require.NoError(b, err)
			for b.Loop() {
				_, err := s.StepOperation(b.Context(), op.ID)
				require.NoError(b, err)
			}
		})
	}
}
