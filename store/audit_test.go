package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func audit(t testing.TB, s *store.Store, f domain.AuditFilter) []domain.AuditEntry {
	t.Helper()
	entries, _, err := s.Audit(t.Context(), f, domain.Page{})
	require.NoError(t, err)
	return entries
}

func TestActsAreAudited(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := poison(event("ws"))
		addPoison(t, s, p)
		require.NoError(t, s.DiscardPoison(t.Context(), because("harmless"), p.ID))
		require.Error(t, s.RequeuePoison(t.Context(), operator, p.ID))
		require.NoError(t, s.RestorePoison(t.Context(), operator, p.ID))
		require.NoError(t, s.RequeuePoison(t.Context(), operator, p.ID))
		require.ErrorIs(t, s.RestorePoison(t.Context(), operator, "psn_none"), domain.ErrNotFound)

		var got []string
		for _, e := range audit(t, s, domain.AuditFilter{}) {
			require.Equal(t, []string{"ada", "operator", "api"}, []string{e.Operator, e.Role, e.Via})
			require.NotEmpty(t, e.Detail)
			require.WithinDuration(t, time.Now(), e.At.Time, time.Minute)
			got = append(got, strings.Join([]string{e.Action, e.Target, e.Outcome, e.Reason}, " "))
		}
		require.Equal(t, []string{
			"poison.restore psn_none refused ",
			"poison.requeue " + p.ID + " done ",
			"poison.restore " + p.ID + " done ",
			"poison.requeue " + p.ID + " refused ",
			"poison.discard " + p.ID + " done harmless",
		}, got)

		require.Len(t, audit(t, s, domain.AuditFilter{Outcome: "refused", Target: p.ID}), 1)
		page, next, err := s.Audit(t.Context(), domain.AuditFilter{Target: p.ID}, domain.Page{Limit: 3})
		require.NoError(t, err)
		require.Len(t, page, 3)
		page, next, err = s.Audit(t.Context(), domain.AuditFilter{Target: p.ID}, domain.Page{Limit: 3, After: next})
		require.NoError(t, err)
		require.Len(t, page, 1)
		require.Empty(t, next)

		requireCode(t, domain.CodeInvalid, s.RequeuePoison(t.Context(), domain.Act{}, p.ID))
	})
}

// Who acts on what they saw is told when it is something else by now.
func TestActsAreByVersion(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := poison(event("ws"))
		addPoison(t, s, p)
		seen := operator
		seen.IfVersion, seen.Reason = 1, "x"
		require.NoError(t, s.DiscardPoison(t.Context(), seen, p.ID))
		requireCode(t, domain.CodeConflict, s.RestorePoison(t.Context(), seen, p.ID))
		now, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.EqualValues(t, 2, now.Version)
		seen.IfVersion = now.Version
		require.NoError(t, s.RestorePoison(t.Context(), seen, p.ID))
	})
}

// A request that is sent again, because its answer got lost, is one act.
func TestIdempotencyKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		list := addMany(t, s, "ws", 4)
		by := operator
		by.IdempotencyKey = "key-1"
		for range 2 {
			require.NoError(t, s.RequeuePoison(t.Context(), by, list[0].ID))
		}
		requireCode(t, domain.CodeConflict, s.RequeuePoison(t.Context(), by, list[1].ID))
		another := by
		another.Operator = "bob"
		require.NoError(t, s.RequeuePoison(t.Context(), another, list[1].ID), "keys are an operator's own")
		require.Len(t, audit(t, s, domain.AuditFilter{Action: "poison.requeue", Outcome: "done"}), 2)

		by.IdempotencyKey = "key-2"
		first, err := s.CreateOperation(t.Context(), by, everything(domain.OperationRequeue, 2))
		require.NoError(t, err)
		second, err := s.CreateOperation(t.Context(), by, everything(domain.OperationRequeue, 2))
		require.NoError(t, err)
		require.Equal(t, first.ID, second.ID)

		// A refused one was not carried out, and may be.
		by.IdempotencyKey = "key-3"
		require.Error(t, s.RestorePoison(t.Context(), by, list[2].ID))
		require.NoError(t, s.DiscardPoison(t.Context(), because("x"), list[2].ID))
		require.NoError(t, s.RestorePoison(t.Context(), by, list[2].ID))

		for _, bad := range []string{"a b", "ü", strings.Repeat("k", 129)} {
			by.IdempotencyKey = bad
			requireCode(t, domain.CodeInvalid, s.RequeuePoison(t.Context(), by, list[3].ID))
		}
	})
}

func TestIdempotencyKeysAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := poison(event("ws"))
		addPoison(t, s, p)
		by := operator
		by.IdempotencyKey = "key"
		var g errgroup.Group
		for range 4 {
			g.Go(func() error { return s.RequeuePoison(t.Context(), by, p.ID) })
		}
		require.NoError(t, g.Wait(), "each gets the answer of the one that was carried out")
		require.Len(t, audit(t, s, domain.AuditFilter{}), 1)
		got, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, 1, got.Requeues)
	})
}

func TestPruneWhatIsClosed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		list := addMany(t, s, "ws", 4)
		require.NoError(t, s.RequeuePoison(t.Context(), operator, list[0].ID))
		handle(t, s, nil)
		require.NoError(t, s.DiscardPoison(t.Context(), because("x"), list[1].ID))
		require.NoError(t, s.RequeuePoison(t.Context(), operator, list[2].ID))
		n, err := s.PrunePoison(t.Context(), time.Hour)
		require.NoError(t, err)
		require.Zero(t, n)

		execSQL(t, s, `UPDATE poison SET updated_at = updated_at - 7200000000`)
		execSQL(t, s, `UPDATE audit SET at = at - 7200000000`)
		n, err = s.PrunePoison(t.Context(), time.Hour)
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		left, _, err := s.ListPoison(t.Context(), domain.PoisonFilter{}, domain.Page{})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{list[2].ID, list[3].ID}, []string{left[0].ID, left[1].ID}, "open and requeued stay, however old")
		n, err = s.PruneAudit(t.Context(), time.Hour)
		require.NoError(t, err)
		require.EqualValues(t, 3, n)
	})
}
