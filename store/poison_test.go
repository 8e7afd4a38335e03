package store_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func addPoison(t testing.TB, s *store.Store, list ...domain.Poison) {
	t.Helper()
	_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Poisoned: list})
	require.NoError(t, err)
}

func TestPoisonTellsTheFullStory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ev := event("ws")
		ev.Payload = json.RawMessage{0, 0xff} // perhaps that is why it failed
		ev.Metadata = map[string]string{domain.MetaCorrelationID: "req_1"}
		publishAll(t, s, []domain.Event{ev})
		row := waiting(t, s, store.LaneOf("ws", s.Lanes()), 1)[0]
		want := poison(row.Event)
		_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Acked: []int64{row.Seq}, Poisoned: []domain.Poison{want}})
		require.NoError(t, err)

		got, err := s.PoisonByID(t.Context(), want.ID)
		require.NoError(t, err)
		require.False(t, got.PoisonedAt.IsZero())
		require.Equal(t, got.PoisonedAt, got.UpdatedAt)
		want.State, want.PoisonedAt, want.UpdatedAt = domain.PoisonOpen, got.PoisonedAt, got.UpdatedAt
		want.Version, want.Kind, want.Told, want.Stale = 1, "member", got.Told, got.Stale
		want.Fingerprint, want.Where = domain.Fingerprint(want.Projector, want.ErrorClass, want.Stack, want.Error)
		require.Equal(t, want, got)
		require.Empty(t, waiting(t, s, store.LaneOf("ws", s.Lanes()), 1), "it is out of the lane's way")
		_, err = s.PoisonByID(t.Context(), "psn_none")
		require.ErrorIs(t, err, domain.ErrNotFound)
	})
}

func TestRequeueHeals(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		lane := store.LaneOf("ws", s.Lanes())
		var woken [][]int
		s.OnPublish(func(lanes []int) { woken = append(woken, lanes) })
		p := poison(event("ws"))
		p.Event.Metadata = map[string]string{domain.MetaCorrelationID: "req_1"}
		addPoison(t, s, p)

		require.NoError(t, s.RequeuePoison(t.Context(), operator, p.ID))
		require.Equal(t, [][]int{{lane}}, woken)
		row := waiting(t, s, lane, 10)[0]
		stored, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, domain.PoisonRequeued, stored.State)
		require.Equal(t, 1, stored.Requeues)
		require.Equal(t, p.Event.Metadata, stored.Event.Metadata, "the story is left as it was")
		require.Equal(t, map[string]string{domain.MetaCorrelationID: "req_1", store.MetaPoisonID: p.ID}, row.Event.Metadata)
		row.Event.Metadata = stored.Event.Metadata
		require.Equal(t, stored.Event, row.Event, "same id, payload and time")

		healed := projection(p.Event, 1)
		healed.PoisonID = p.ID
		_, err = s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Acked: []int64{row.Seq}, Projected: []store.Projection{healed}})
		require.NoError(t, err)
		stored, err = s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, domain.PoisonHealed, stored.State)
		requireCode(t, domain.CodeConflict, s.RequeuePoison(t.Context(), operator, p.ID))
		requireCode(t, domain.CodeConflict, s.DiscardPoison(t.Context(), because("late"), p.ID))
	})
}

// A requeued event that fails again reopens its message; attempts add up.
func TestRequeueThatFailsReopens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		first := poison(event("ws"))
		addPoison(t, s, first)
		require.NoError(t, s.RequeuePoison(t.Context(), operator, first.ID))
		again := poison(first.Event)
		again.Event.Metadata = map[string]string{store.MetaPoisonID: first.ID}
		again.Error, again.ErrorClass, again.Stack = "other", "timeout", ""
		addPoison(t, s, again)

		all, _, err := s.ListPoison(t.Context(), domain.PoisonFilter{}, domain.Page{})
		require.NoError(t, err)
		require.Len(t, all, 1)
		got := all[0]
		require.Equal(t, first.ID, got.ID)
		require.Equal(t, domain.PoisonOpen, got.State)
		require.Equal(t, slices.Concat(first.Attempts, again.Attempts), got.Attempts)
		require.Equal(t, []string{"other", "timeout", ""}, []string{got.Error, got.ErrorClass, got.Stack})
		require.Equal(t, map[string]string{}, got.Event.Metadata, "the event as it was first; {} for people, never null")
		require.Equal(t, 1, got.Requeues)
	})
}

// Two operators press the button at once: the event is sent back once.
func TestRequeueOnce(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			dsn := storetest.DSN(t, engine)
			stores := []*store.Store{storetest.OpenDSN(t, dsn), storetest.OpenDSN(t, dsn)}
			for range 10 {
				p := poison(event("ws"))
				addPoison(t, stores[0], p)
				errs := make([]error, len(stores))
				var g errgroup.Group
				for i, s := range stores {
					g.Go(func() error { errs[i] = s.RequeuePoison(t.Context(), operator, p.ID); return nil })
				}
				require.NoError(t, g.Wait())
				if errs[0] == nil {
					requireCode(t, domain.CodeConflict, errs[1])
				} else {
					requireCode(t, domain.CodeConflict, errs[0])
					require.NoError(t, errs[1])
				}
			}
			require.Len(t, waiting(t, stores[0], store.LaneOf("ws", stores[0].Lanes()), 100), 10)
		})
	}
}

// The product published the same event again, and it waits: a requeue would
// vanish in it, so it is refused and the message stays open.
func TestRequeueOfAWaitingEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := poison(event("ws"))
		addPoison(t, s, p)
		publishAll(t, s, []domain.Event{p.Event})
		requireCode(t, domain.CodeConflict, s.RequeuePoison(t.Context(), operator, p.ID))
		got, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, domain.PoisonOpen, got.State)
		require.Zero(t, got.Requeues)
	})
}

func TestDiscard(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := poison(event("ws"))
		addPoison(t, s, p)
		require.NoError(t, s.DiscardPoison(t.Context(), because("known, harmless"), p.ID))
		audit, _, err := s.Audit(t.Context(), domain.AuditFilter{Target: p.ID}, domain.Page{})
		require.NoError(t, err)
		require.Contains(t, audit[0].Detail, p.Event.AggregateID)
		require.NotContains(t, audit[0].Detail, p.Error, "viewers read the audit, for a year; an error may quote a tenant")
		got, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, domain.PoisonDiscarded, got.State)
		require.Equal(t, "known, harmless", got.Reason)
		requireCode(t, domain.CodeConflict, s.DiscardPoison(t.Context(), because("again"), p.ID))
		requireCode(t, domain.CodeConflict, s.RequeuePoison(t.Context(), operator, p.ID))
		require.ErrorIs(t, s.DiscardPoison(t.Context(), because("x"), "psn_none"), domain.ErrNotFound)
		require.ErrorIs(t, s.RequeuePoison(t.Context(), operator, "psn_none"), domain.ErrNotFound)
	})
}

func TestListPoison(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var newestFirst []string
		for i := range 5 {
			p := poison(event([]string{"ws_a", "ws_b"}[i%2]))
			if i == 4 {
				p.Event.Type, p.Projector = domain.EventRoleDeleted, string(domain.EventRoleDeleted)
			}
			addPoison(t, s, p)
			newestFirst = append([]string{p.ID}, newestFirst...)
		}
		require.NoError(t, s.DiscardPoison(t.Context(), because("x"), newestFirst[1]))
		list := func(f domain.PoisonFilter, p domain.Page) ([]string, string) {
			all, next, err := s.ListPoison(t.Context(), f, p)
			require.NoError(t, err)
			got := []string{}
			for _, p := range all {
				got = append(got, p.ID)
			}
			return got, next
		}
		all, next := list(domain.PoisonFilter{}, domain.Page{})
		require.Equal(t, newestFirst, all)
		require.Empty(t, next)
		page, next := list(domain.PoisonFilter{}, domain.Page{Limit: 2})
		require.Equal(t, newestFirst[:2], page)
		page, next = list(domain.PoisonFilter{}, domain.Page{Limit: 2, After: next})
		require.Equal(t, newestFirst[2:4], page)
		page, next = list(domain.PoisonFilter{}, domain.Page{Limit: 2, After: next})
		require.Equal(t, newestFirst[4:], page)
		require.Empty(t, next)

		oldest, err := s.PoisonByID(t.Context(), newestFirst[4])
		require.NoError(t, err)
		second, err := s.PoisonByID(t.Context(), newestFirst[3])
		require.NoError(t, err)
		for name, c := range map[string]struct {
			filter domain.PoisonFilter
			want   []string
		}{
			"state":       {domain.PoisonFilter{States: []domain.PoisonState{domain.PoisonDiscarded}}, newestFirst[1:2]},
			"states":      {domain.PoisonFilter{States: []domain.PoisonState{domain.PoisonDiscarded, domain.PoisonOpen}}, newestFirst},
			"type":        {domain.PoisonFilter{Type: domain.EventRoleDeleted}, newestFirst[:1]},
			"workspace":   {domain.PoisonFilter{WorkspaceID: "ws_b", States: []domain.PoisonState{domain.PoisonOpen}}, newestFirst[3:4]},
			"aggregate":   {domain.PoisonFilter{AggregateID: oldest.Event.AggregateID}, newestFirst[4:]},
			"group":       {domain.PoisonFilter{Fingerprint: oldest.Fingerprint}, newestFirst[1:]},
			"projector":   {domain.PoisonFilter{Projector: string(domain.EventMemberUpdated)}, newestFirst[1:]},
			"ids":         {domain.PoisonFilter{IDs: []string{newestFirst[0], newestFirst[3]}}, []string{newestFirst[0], newestFirst[3]}},
			"error":       {domain.PoisonFilter{Text: "BOO"}, newestFirst},
			"an id":       {domain.PoisonFilter{Text: strings.ToUpper(newestFirst[2][4:])}, newestFirst[2:3]},
			"ids alone":   {domain.PoisonFilter{Text: "boo", IDsAlone: true}, []string{}},
			"its id":      {domain.PoisonFilter{Text: newestFirst[2][4:], IDsAlone: true}, newestFirst[2:3]},
			"no wildcard": {domain.PoisonFilter{Text: "b%m"}, []string{}},
			"since":       {domain.PoisonFilter{Since: &second.PoisonedAt}, newestFirst[:4]},
			"until":       {domain.PoisonFilter{Until: &second.PoisonedAt}, newestFirst[4:]},
		} {
			got, _ := list(c.filter, domain.Page{})
			require.Equal(t, c.want, got, name)
			counts, err := s.CountPoison(t.Context(), c.filter)
			require.NoError(t, err)
			total := 0
			for _, n := range counts {
				total += n
			}
			require.Len(t, c.want, total, name)
			require.Len(t, counts, len(domain.PoisonStates), name)
		}
		for _, bad := range []domain.Page{{Limit: -1}, {Limit: 1001}, {After: "x"}, {After: cursorOfAnother(t, s)}} {
			_, _, err := s.ListPoison(t.Context(), domain.PoisonFilter{}, bad)
			requireCode(t, domain.CodeInvalid, err)
		}
		_, _, err = s.ListPoison(t.Context(), domain.PoisonFilter{States: []domain.PoisonState{"dead"}}, domain.Page{})
		requireCode(t, domain.CodeInvalid, err)
	})
}

// cursorOfAnother is a cursor, but not of this list.
func cursorOfAnother(t *testing.T, s *store.Store) string {
	for range 2 {
		require.NoError(t, s.RecordAct(t.Context(), domain.AuditEntry{Operator: "ada", Action: "login"}))
	}
	_, next, err := s.Audit(t.Context(), domain.AuditFilter{}, domain.Page{Limit: 1})
	require.NoError(t, err)
	return next
}

func TestPoisonGroups(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		// Three groups: closed, small and newest, big and older. Each failed at a
		// time of its own.
		add := func(projector, build string, workspaces ...string) []string {
			var added []string
			for _, w := range workspaces {
				p := poison(event(w))
				p.Projector, p.Build, p.Error = projector, build, "boom in "+p.Event.AggregateID
				addPoison(t, s, p)
				added = append(added, p.ID)
			}
			return added
		}
		closed := add("closed", "v1", "ws_a")
		add("big", "v1", "ws_a", "ws_b", "ws_b")
		requeued := add("big", "v2", "ws_c")[0]
		add("small", "v3", "ws_a")
		require.NoError(t, s.DiscardPoison(t.Context(), because("x"), closed[0]))
		require.NoError(t, s.RequeuePoison(t.Context(), operator, requeued))

		groups, next, err := s.PoisonGroups(t.Context(), domain.PoisonFilter{}, domain.Page{})
		require.NoError(t, err)
		require.Empty(t, next)
		names := func(groups []domain.PoisonGroup) (list []string) {
			for _, g := range groups {
				list = append(list, g.Projector)
			}
			return list
		}
		require.Equal(t, []string{"small", "big", "closed"}, names(groups))
		big := groups[1]
		require.Equal(t, map[domain.PoisonState]int{
			domain.PoisonOpen: 3, domain.PoisonRequeued: 1, domain.PoisonHealed: 0, domain.PoisonSuperseded: 0, domain.PoisonDiscarded: 0,
		}, big.Counts)
		require.Equal(t, 3, big.Workspaces)
		require.Equal(t, []string{"v2", "v1"}, big.Builds)
		require.Equal(t, "panic", big.ErrorClass)
		require.Equal(t, "boom in mem_<id>", big.Where)
		sent, err := s.PoisonByID(t.Context(), requeued)
		require.NoError(t, err)
		require.Equal(t, sent.Error, big.Error, "of the newest")
		require.Equal(t, sent.ID, big.Newest)
		require.Equal(t, sent.Fingerprint, big.Fingerprint)
		require.Equal(t, domain.At(sent.PoisonedAt), big.LastSeen)
		require.Equal(t, big.FirstSeen, *big.OldestOpen)
		require.Nil(t, groups[2].OldestOpen)
		require.Zero(t, groups[2].Workspaces)

		for after, want := "", []string{"small", "big", "closed"}; len(want) > 0; want = want[1:] {
			page, next, err := s.PoisonGroups(t.Context(), domain.PoisonFilter{}, domain.Page{Limit: 1, After: after})
			require.NoError(t, err)
			require.Equal(t, want[:1], names(page))
			after = next
		}
		only, _, err := s.PoisonGroups(t.Context(), domain.PoisonFilter{WorkspaceID: "ws_b", States: []domain.PoisonState{domain.PoisonOpen}}, domain.Page{})
		require.NoError(t, err)
		require.Equal(t, []string{"big"}, names(only))
		require.Equal(t, 2, only[0].Counts[domain.PoisonOpen])

		// It fails again: the group is the one that was seen last.
		again := sent
		commitAll(t, s, store.Effects{Poisoned: []domain.Poison{again}})
		groups, _, err = s.PoisonGroups(t.Context(), domain.PoisonFilter{}, domain.Page{})
		require.NoError(t, err)
		require.Equal(t, []string{"big", "small", "closed"}, names(groups))
	})
}
