package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// addMany poisons n events of a workspace, and returns the messages oldest first.
func addMany(t testing.TB, s *store.Store, workspaceID string, n int) []domain.Poison {
	t.Helper()
	list := make([]domain.Poison, n)
	for i := range list {
		list[i] = poison(event(workspaceID))
		list[i].Seq = int64(i + 1)
	}
	addPoison(t, s, list...)
	return list
}

// everything is an operation on all that fits, as fast as can be.
func everything(kind domain.OperationKind, expect int) domain.OperationRequest {
	return domain.OperationRequest{Kind: kind, Expect: expect, PerSecond: 1000}
}

// stepUntil takes steps until the operation is as it shall be.
func stepUntil(t testing.TB, s *store.Store, id string, done func(domain.Operation) bool) domain.Operation {
	t.Helper()
	var op domain.Operation
	require.Eventually(t, func() bool {
		_, err := s.StepOperation(t.Context(), id)
		require.NoError(t, err)
		op, err = s.Operation(t.Context(), id)
		require.NoError(t, err)
		return done(op)
	}, soon, 2*time.Millisecond, "%v", op)
	return op
}

// handle empties the outbox: requeued events heal, but for those in bad.
func handle(t testing.TB, s *store.Store, bad map[string]bool) {
	t.Helper()
	for lane := range s.Lanes() {
		e := store.Effects{Topic: store.Topic, Lane: lane}
		for _, row := range waiting(t, s, lane, 1000) {
			id := row.Event.Metadata[store.MetaPoisonID]
			e.Acked = append(e.Acked, row.Seq)
			if bad[id] {
				p := poison(row.Event)
				p.ID = id
				e.Poisoned = append(e.Poisoned, p)
				continue
			}
			healed := projection(row.Event, 1)
			healed.PoisonID = id
			e.Projected = append(e.Projected, healed)
		}
		_, err := s.CommitEffects(t.Context(), e)
		require.NoError(t, err)
	}
}

func TestOperationGoesByCanary(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		addMany(t, s, "ws", 30)
		op, err := s.CreateOperation(t.Context(), because("fixed"), everything(domain.OperationRequeue, 30))
		require.NoError(t, err)
		require.Equal(t, domain.OperationRunning, op.State)
		require.Equal(t, 30, op.Pending)
		for _, stage := range []int{1, 11, 30} {
			op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.Succeeded+op.InFlight == stage })
			require.Equal(t, stage, op.Stage)
			again, err := s.StepOperation(t.Context(), op.ID)
			require.NoError(t, err)
			require.True(t, again, "it waits for the outcome")
			unchanged, err := s.Operation(t.Context(), op.ID)
			require.NoError(t, err)
			require.Equal(t, op, unchanged, "nothing begins before the stage is healed")
			handle(t, s, nil)
		}
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.State == domain.OperationDone })
		require.Equal(t, 30, op.Succeeded)
		require.NotNil(t, op.FinishedAt)
		active, err := s.ActiveOperations(t.Context())
		require.NoError(t, err)
		require.Empty(t, active)

		history, _, err := s.Audit(t.Context(), domain.AuditFilter{Action: "poison.requeue"}, domain.Page{})
		require.NoError(t, err)
		require.Len(t, history, 30)
		require.Equal(t, []string{"ada", "fixed", "operation " + op.ID}, []string{history[0].Operator, history[0].Reason, history[0].Detail})
	})
}

// The first one fails for the very reason it was requeued for: 29 others are
// spared.
func TestOperationStopsByItself(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		list := addMany(t, s, "ws", 30)
		op, err := s.CreateOperation(t.Context(), operator, everything(domain.OperationRequeue, 30))
		require.NoError(t, err)
		stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.InFlight == 1 })
		handle(t, s, map[string]bool{list[0].ID: true})
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.State != domain.OperationRunning })
		require.Equal(t, domain.OperationStopped, op.State)
		require.Contains(t, op.Why, list[0].ID)
		require.Equal(t, []int{1, 29, 0}, []int{op.Failed, op.Pending, op.InFlight})

		// Without a canary it stops as well, and what is in flight gets its outcome.
		rest := everything(domain.OperationRequeue, 30)
		rest.NoCanary = true
		op, err = s.CreateOperation(t.Context(), operator, rest)
		require.NoError(t, err)
		stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.InFlight > 10 })
		handle(t, s, map[string]bool{list[0].ID: true})
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.InFlight == 0 })
		require.Equal(t, domain.OperationStopped, op.State)
		require.Equal(t, 1, op.Failed)
		require.Greater(t, op.Succeeded, 9)
	})
}

func TestOperationSkipsWhatOthersDid(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		list := addMany(t, s, "ws", 3)
		op, err := s.CreateOperation(t.Context(), operator, everything(domain.OperationRequeue, 3))
		require.NoError(t, err)
		require.NoError(t, s.DiscardPoison(t.Context(), because("mine"), list[0].ID))
		require.NoError(t, s.RequeuePoison(t.Context(), operator, list[1].ID))
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.Skipped == 2 && op.InFlight == 1 })
		handle(t, s, nil)
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.State == domain.OperationDone })
		require.Equal(t, 1, op.Succeeded, "a canary that was skipped proves nothing: the next took its place")

		items, next, err := s.OperationItems(t.Context(), op.ID, "", domain.Page{Limit: 2})
		require.NoError(t, err)
		require.Equal(t, []string{list[0].ID, list[1].ID}, []string{items[0].PoisonID, items[1].PoisonID})
		require.Equal(t, domain.ItemSkipped, items[0].State)
		require.NotEmpty(t, items[0].Detail)
		items, next, err = s.OperationItems(t.Context(), op.ID, "", domain.Page{Limit: 2, After: next})
		require.NoError(t, err)
		require.Equal(t, list[2].ID, items[0].PoisonID)
		require.Empty(t, next)
		items, _, err = s.OperationItems(t.Context(), op.ID, domain.ItemSucceeded, domain.Page{})
		require.NoError(t, err)
		require.Len(t, items, 1)
		_, _, err = s.OperationItems(t.Context(), "op_none", "", domain.Page{})
		require.ErrorIs(t, err, domain.ErrNotFound)
	})
}

// Somebody mends a group one by one while an operation on all of it runs. It
// once passed by what was done already one message a step, each a canary of its
// own: ten thousand of them took half an hour, and kept the operation running.
func TestOperationPassesByWhatOthersDidAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const mended, left = 300, 15
		list := addMany(t, s, "ws", mended+left)
		op, err := s.CreateOperation(t.Context(), operator, everything(domain.OperationRequeue, len(list)))
		require.NoError(t, err)
		for _, p := range list[:mended] {
			require.NoError(t, s.RequeuePoison(t.Context(), operator, p.ID))
		}
		handle(t, s, nil)
		steps := 0
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { steps++; return op.InFlight > 0 })
		require.Less(t, steps, 10)
		require.Equal(t, mended, op.Skipped)
		require.Equal(t, 1, op.InFlight, "the canary is the first that is left")
		handle(t, s, nil)
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.Succeeded+op.InFlight == 11 })
		handle(t, s, nil)
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.Succeeded+op.InFlight == left })
		handle(t, s, nil)
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.State == domain.OperationDone })
		require.Equal(t, [2]int{left, mended}, [2]int{op.Succeeded, op.Skipped})
	})
}

// Two operators press "requeue all" at once: both once had an operation on the
// same messages. Now one is told of the other's.
func TestOperationsDoNotOverlap(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			dsn := storetest.DSN(t, engine)
			stores := []*store.Store{storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)}
			list := addMany(t, stores[0], "ws", 20)
			for range 5 {
				made, errs := make([]domain.Operation, len(stores)), make([]error, len(stores))
				var g errgroup.Group
				for i, s := range stores {
					g.Go(func() error {
						made[i], errs[i] = s.CreateOperation(t.Context(), operator, everything(domain.OperationRequeue, 20))
						return nil
					})
				}
				require.NoError(t, g.Wait())
				won := 0
				if errs[0] != nil {
					won = 1
				}
				require.NoError(t, errs[won])
				requireCode(t, domain.CodeConflict, errs[1-won])
				require.ErrorContains(t, errs[1-won], made[won].ID)
				_, err := stores[1-won].CreateOperation(t.Context(), because("x"), domain.OperationRequest{
					Kind: domain.OperationDiscard, Expect: 1, Filter: domain.PoisonFilter{IDs: []string{list[3].ID}},
				})
				requireCode(t, domain.CodeConflict, err)
				_, err = stores[1-won].CancelOperation(t.Context(), operator, made[won].ID)
				require.NoError(t, err)
			}
			// What another one is not about, or not anymore, is free.
			_, err := stores[0].CreateOperation(t.Context(), operator, domain.OperationRequest{
				Kind: domain.OperationRequeue, Expect: 2, Filter: domain.PoisonFilter{IDs: []string{list[0].ID, list[1].ID}},
			})
			require.NoError(t, err)
			_, err = stores[1].CreateOperation(t.Context(), operator, domain.OperationRequest{
				Kind: domain.OperationRequeue, Expect: 2, Filter: domain.PoisonFilter{IDs: []string{list[2].ID, list[3].ID}},
			})
			require.NoError(t, err)
		})
	}
}

// The selection is what the operator saw, or nothing is done.
func TestOperationPinsItsSelection(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		addMany(t, s, "ws", 3)
		_, err := s.CreateOperation(t.Context(), operator, everything(domain.OperationRequeue, 2))
		requireCode(t, domain.CodeConflict, err)
		list, _, err := s.Operations(t.Context(), domain.Page{})
		require.NoError(t, err)
		require.Empty(t, list)

		op, err := s.CreateOperation(t.Context(), because("noise"), everything(domain.OperationDiscard, 3))
		require.NoError(t, err)
		addMany(t, s, "ws", 2)
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.State == domain.OperationDone })
		require.Equal(t, 3, op.Succeeded)
		counts, err := s.CountPoison(t.Context(), domain.PoisonFilter{})
		require.NoError(t, err)
		require.Equal(t, 3, counts[domain.PoisonDiscarded])
		require.Equal(t, 2, counts[domain.PoisonOpen], "what matches later is not in it")

		restore, err := s.CreateOperation(t.Context(), operator, everything(domain.OperationRestore, 3))
		require.NoError(t, err)
		stepUntil(t, s, restore.ID, func(op domain.Operation) bool { return op.State == domain.OperationDone })
		list, next, err := s.Operations(t.Context(), domain.Page{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, restore.ID, list[0].ID)
		list, next, err = s.Operations(t.Context(), domain.Page{Limit: 1, After: next})
		require.NoError(t, err)
		require.Equal(t, op.ID, list[0].ID)
		require.Equal(t, 3, list[0].Succeeded)
		require.Empty(t, next)
	})
}

func TestCancelOperation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		addMany(t, s, "ws", 5)
		op, err := s.CreateOperation(t.Context(), operator, everything(domain.OperationRequeue, 5))
		require.NoError(t, err)
		stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.InFlight == 1 })
		op, err = s.CancelOperation(t.Context(), because("not now"), op.ID)
		require.NoError(t, err)
		require.Equal(t, domain.OperationCancelled, op.State)
		require.Equal(t, "cancelled by ada: not now", op.Why)
		handle(t, s, nil)
		op = stepUntil(t, s, op.ID, func(op domain.Operation) bool { return op.InFlight == 0 })
		require.Equal(t, []int{1, 4}, []int{op.Succeeded, op.Pending}, "what was in flight has its outcome")
		_, err = s.CancelOperation(t.Context(), operator, op.ID)
		requireCode(t, domain.CodeConflict, err)
		_, err = s.CancelOperation(t.Context(), operator, "op_none")
		require.ErrorIs(t, err, domain.ErrNotFound)
	})
}

// Many processes take the steps of one operation, and each item is begun once.
func TestOperationStepsByMany(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			dsn := storetest.DSN(t, engine)
			stores := []*store.Store{storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)}
			addMany(t, stores[0], "ws", 100)
			r := everything(domain.OperationRequeue, 100)
			r.NoCanary = true
			op, err := stores[0].CreateOperation(t.Context(), operator, r)
			require.NoError(t, err)
			var g errgroup.Group
			deadline := time.Now().Add(soon)
			for _, s := range stores {
				g.Go(func() error {
					for time.Now().Before(deadline) {
						if _, err := s.StepOperation(t.Context(), op.ID); err != nil {
							return err
						}
						if now, err := s.Operation(t.Context(), op.ID); err != nil || now.Pending == 0 {
							return err
						}
					}
					return fmt.Errorf("items are left after %s", soon)
				})
			}
			require.NoError(t, g.Wait())
			list, _, err := stores[0].ListPoison(t.Context(), domain.PoisonFilter{}, domain.Page{})
			require.NoError(t, err)
			for _, p := range list {
				require.Equal(t, domain.PoisonRequeued, p.State)
				require.Equal(t, 1, p.Requeues)
			}
			require.Len(t, waiting(t, stores[0], store.LaneOf("ws", stores[0].Lanes()), 200), 100)
		})
	}
}

// A step begins no more than the rate allows, however many there are.
func TestOperationRate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		addMany(t, s, "ws", 50)
		op, err := s.CreateOperation(t.Context(), because("noise"), domain.OperationRequest{Kind: domain.OperationDiscard, Expect: 50, PerSecond: 1})
		require.NoError(t, err)
		for range 5 {
			_, err = s.StepOperation(t.Context(), op.ID)
			require.NoError(t, err)
		}
		took := time.Since(op.CreatedAt.Time)
		op, err = s.Operation(t.Context(), op.ID)
		require.NoError(t, err)
		require.GreaterOrEqual(t, op.Succeeded, 1, "a slow rate begins, too")
		require.LessOrEqual(t, op.Succeeded, 2+int(took.Seconds()))
	})
}

// A reason has a thousand characters, of any script. It once had 2,000 bytes.
func TestReasonsInAnyScript(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := addMany(t, s, "ws", 1)[0]
		require.NoError(t, s.DiscardPoison(t.Context(), because(strings.Repeat("😀", 1000)), p.ID))
	})
}

func TestOperationRequestsAreChecked(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	for name, r := range map[string]domain.OperationRequest{
		"kind":     {Kind: "heal", Expect: 1},
		"expect":   {Kind: domain.OperationRequeue},
		"rate":     {Kind: domain.OperationRequeue, Expect: 1, PerSecond: 1001},
		"negative": {Kind: domain.OperationRequeue, Expect: 1, PerSecond: -1},
		"reason":   {Kind: domain.OperationDiscard, Expect: 1},
		"state":    {Kind: domain.OperationRequeue, Expect: 1, Filter: domain.PoisonFilter{States: []domain.PoisonState{"dead"}}},
	} {
		_, err := s.CreateOperation(t.Context(), operator, r)
		require.Equal(t, domain.CodeInvalid, domain.CodeOf(err), name)
	}
	require.Len(t, audit(t, s, domain.AuditFilter{Action: "operation.create", Outcome: "refused"}), 6)
}
