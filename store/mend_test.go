package store_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// broken is a failure of ev at a place in the outbox, told to channels.
func broken(ev domain.Event, seq int64, told ...domain.Channel) domain.Poison {
	p := poison(ev)
	p.Seq, p.Told = seq, told
	return p
}

// shown is a projection of ev at a place in the outbox, with one entry a channel.
func shown(ev domain.Event, seq int64, channels ...domain.Channel) store.Projection {
	p := projection(ev, len(channels))
	p.Kind, p.AggregateID, p.Seq = domain.AggregateOf(ev.Type), ev.AggregateID, seq
	for i, c := range channels {
		p.Entries[i].Channel = c
	}
	return p
}

// of makes another event of the aggregate that ev is about.
func of(ev domain.Event) domain.Event {
	return domain.NewEvent(ev.Type, ev.WorkspaceID, ev.AggregateID, domain.Changed{Version: 3})
}

func commitAll(t testing.TB, s *store.Store, e store.Effects) []domain.Appended {
	t.Helper()
	e.Topic = store.Topic
	for lane := range s.Lanes() {
		for _, row := range waiting(t, s, lane, 1000) {
			e.Acked = append(e.Acked, row.Seq)
		}
	}
	appended, err := s.CommitEffects(t.Context(), e)
	require.NoError(t, err)
	return appended
}

// badges are what a tab on a channel shows as stale, by cause, after reading the
// whole log.
func badges(t testing.TB, s *store.Store, workspaceID string, channel domain.Channel) map[string]string {
	t.Helper()
	entries, _, err := s.LogAfter(t.Context(), workspaceID, 0, 1<<40, []domain.Channel{channel}, 1000)
	require.NoError(t, err)
	shows := map[string]string{}
	for _, e := range entries {
		var ev struct{ Type, Kind, Aggregate, Cause string }
		require.NoError(t, json.Unmarshal(e.Data, &ev))
		switch domain.ServerEventType(ev.Type) {
		case domain.ServerSystemStale:
			require.NotContains(t, shows, ev.Cause, "told twice")
			shows[ev.Cause] = ev.Kind + " " + ev.Aggregate
		case domain.ServerSystemHealed:
			delete(shows, ev.Cause)
		}
	}
	return shows
}

// notices lists the system events of a workspace's log, in order.
func notices(t testing.TB, s *store.Store, workspaceID string) []string {
	t.Helper()
	entries, _, err := s.LogAfter(t.Context(), workspaceID, 0, 1<<40, nil, 1000)
	require.NoError(t, err)
	list := []string{}
	for _, e := range entries {
		if e.Type == domain.ServerSystemStale || e.Type == domain.ServerSystemHealed {
			list = append(list, fmt.Sprintf("%s %s", e.Type, e.Channel))
		}
	}
	return list
}

func stateOf(t testing.TB, s *store.Store, id string) domain.PoisonState {
	t.Helper()
	p, err := s.PoisonByID(t.Context(), id)
	require.NoError(t, err)
	return p.State
}

const everybody = domain.Channel("workspace:ws")

// The notice is an entry like any other: it has a position, is in the commit of
// the poison row, comes behind what was projected, and is relayed with it.
func TestAFailureIsToldInItsCommit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		bad, fine := event("ws"), event("ws")
		p := broken(bad, 1, everybody, "member:mem_1")
		appended := commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}, Projected: []store.Projection{shown(fine, 2, everybody)}})
		require.Len(t, appended, 1)
		require.Equal(t, []int64{1, 2, 3}, offsets(appended[0].Entries))
		entries, _, err := s.LogAfter(t.Context(), "ws", 0, 100, nil, 100)
		require.NoError(t, err)
		require.Equal(t, appended[0].Entries, entries, "what is relayed is what the log has")
		require.Equal(t, domain.ServerMemberUpdated, entries[0].Type)
		require.Equal(t, bad.ID, entries[1].EventID)
		require.Equal(t, map[string]string{bad.ID: "member " + bad.AggregateID}, badges(t, s, "ws", everybody))

		listed, err := s.Reader().Stale(t.Context(), "ws")
		require.NoError(t, err)
		require.Equal(t, []domain.Stale{{Kind: "member", Aggregate: bad.AggregateID, Cause: bad.ID, Channels: p.Told}}, listed)
		other, err := s.Reader().Stale(t.Context(), "ws_other")
		require.NoError(t, err)
		require.Empty(t, other)
	})
}

// Nobody is told, and nothing is made, where nobody can be: not even a log.
func TestAFailureThatConcernsNobody(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := broken(event("ws nowhere"), 1)
		p.Untold = "no such workspace"
		commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}})
		got, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, "no such workspace", got.Untold)
		require.False(t, got.Superseded())
		_, err = s.Reader().LogState(t.Context(), "ws nowhere")
		require.ErrorIs(t, err, domain.ErrNotFound)
	})
}

func TestALaterProjectionSupersedes(t *testing.T) {
	for name, c := range map[string]struct {
		told     []domain.Channel
		later    func(bad domain.Event) store.Projection
		together bool // in one commit with the failure
		state    domain.PoisonState
		stale    []domain.Channel
	}{
		"the same aggregate": {
			told: []domain.Channel{everybody}, state: domain.PoisonSuperseded,
			later: func(bad domain.Event) store.Projection { return shown(of(bad), 6, everybody) },
		},
		"in one batch": {
			told: []domain.Channel{everybody}, state: domain.PoisonSuperseded, together: true,
			later: func(bad domain.Event) store.Projection { return shown(of(bad), 6, everybody) },
		},
		"an earlier event of the same batch": {
			told: []domain.Channel{everybody}, state: domain.PoisonOpen, together: true, stale: []domain.Channel{everybody},
			later: func(bad domain.Event) store.Projection { return shown(of(bad), 4, everybody) },
		},
		"another aggregate": {
			told: []domain.Channel{everybody}, state: domain.PoisonOpen, stale: []domain.Channel{everybody},
			later: func(bad domain.Event) store.Projection { return shown(event("ws"), 6, everybody) },
		},
		"the same id of another kind": {
			told: []domain.Channel{everybody}, state: domain.PoisonOpen, stale: []domain.Channel{everybody},
			later: func(bad domain.Event) store.Projection {
				return shown(domain.NewEvent(domain.EventTeamUpdated, "ws", bad.AggregateID, domain.Changed{Version: 1}), 6, everybody)
			},
		},
		"the same id in another workspace": {
			told: []domain.Channel{everybody}, state: domain.PoisonOpen, stale: []domain.Channel{everybody},
			later: func(bad domain.Event) store.Projection {
				return shown(domain.NewEvent(bad.Type, "ws_other", bad.AggregateID, domain.Changed{Version: 1}), 6, everybody)
			},
		},
		"silence": {
			told: []domain.Channel{everybody}, state: domain.PoisonOpen, stale: []domain.Channel{everybody},
			later: func(bad domain.Event) store.Projection { return shown(of(bad), 6) },
		},
		// A private room's member left, and that failed; the room's later change
		// is told to those who stayed. Who left still shows the room.
		"on some of its channels": {
			told: []domain.Channel{"member:left", "member:stayed"}, state: domain.PoisonOpen, stale: []domain.Channel{"member:left"},
			later: func(bad domain.Event) store.Projection { return shown(of(bad), 6, "member:stayed", "member:came") },
		},
		"of which nobody was told": {
			state: domain.PoisonOpen,
			later: func(bad domain.Event) store.Projection { return shown(of(bad), 6, everybody) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				bad := event("ws")
				p := broken(bad, 5, c.told...)
				later := store.Effects{Projected: []store.Projection{c.later(bad)}}
				if c.together {
					later.Poisoned = []domain.Poison{p}
				} else {
					commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}})
				}
				commitAll(t, s, later)
				got, err := s.PoisonByID(t.Context(), p.ID)
				require.NoError(t, err)
				require.Equal(t, c.state, got.State)
				require.Equal(t, c.stale, got.Stale)
				require.Equal(t, c.told, got.Told)
				require.Equal(t, c.state == domain.PoisonSuperseded, got.Superseded())
				for _, channel := range c.told {
					want := 0
					for _, stale := range c.stale {
						if stale == channel {
							want = 1
						}
					}
					require.Len(t, badges(t, s, "ws", channel), want, channel)
				}
				if c.together && c.state == domain.PoisonSuperseded {
					require.Equal(t, []string{"system.healed workspace:ws"}, notices(t, s, "ws"), "stale and healed in one breath is healed")
				}
			})
		})
	}
}

// A failure, made up for while it waits in the outbox again: it is handled all
// the same, and neither what it leads to nor its failing once more changes that.
func TestSupersededWhileRequeued(t *testing.T) {
	for name, fails := range map[string]bool{"then handled": false, "then failed again": true} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				bad := event("ws")
				p := broken(bad, 1, everybody)
				commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}})
				require.NoError(t, s.RequeuePoison(t.Context(), operator, p.ID))
				commitAll(t, s, store.Effects{Projected: []store.Projection{shown(of(bad), 2, everybody)}})
				require.Equal(t, domain.PoisonSuperseded, stateOf(t, s, p.ID))

				if fails {
					p.Error, p.Seq = "again", 3
					commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}})
					got, err := s.PoisonByID(t.Context(), p.ID)
					require.NoError(t, err)
					require.Equal(t, "again", got.Error)
					require.Len(t, got.Attempts, 2)
				} else {
					again := shown(bad, 3, everybody)
					again.PoisonID = p.ID
					commitAll(t, s, store.Effects{Projected: []store.Projection{again}})
				}
				require.Equal(t, domain.PoisonSuperseded, stateOf(t, s, p.ID))
				require.Equal(t, []string{"system.stale workspace:ws", "system.healed workspace:ws"}, notices(t, s, "ws"))

				// Published again under its id, it is news.
				p.ID = domain.NewID("psn")
				commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}})
				list, _, err := s.ListPoison(t.Context(), domain.PoisonFilter{}, domain.Page{})
				require.NoError(t, err)
				require.Len(t, list, 1)
				require.Equal(t, domain.PoisonOpen, list[0].State)
				require.Len(t, badges(t, s, "ws", everybody), 1)
			})
		})
	}
}

// A requeue heals; one that fails again tells nobody what they know.
func TestRequeuesDontFlicker(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := broken(event("ws"), 1, everybody)
		commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}})
		for seq := range int64(3) {
			require.NoError(t, s.RequeuePoison(t.Context(), operator, p.ID))
			p.Seq = seq + 2
			commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}})
		}
		require.Equal(t, []string{"system.stale workspace:ws"}, notices(t, s, "ws"))

		// Somebody more is concerned by now, and hears of it.
		require.NoError(t, s.RequeuePoison(t.Context(), operator, p.ID))
		p.Told = []domain.Channel{everybody, "member:new"}
		commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}})
		require.Len(t, badges(t, s, "ws", "member:new"), 1)

		require.NoError(t, s.RequeuePoison(t.Context(), operator, p.ID))
		healed := shown(p.Event, 9) // the row is gone: silence, and nothing left to be old
		healed.PoisonID = p.ID
		commitAll(t, s, store.Effects{Projected: []store.Projection{healed}})
		require.Equal(t, domain.PoisonHealed, stateOf(t, s, p.ID))
		require.Empty(t, badges(t, s, "ws", everybody))
		require.Empty(t, badges(t, s, "ws", "member:new"))
	})
}

// Discarding mends nothing: the badge stays until something newer is shown, and
// the message stays discarded then.
func TestDiscardedStaysStale(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		bad := event("ws")
		p := broken(bad, 1, everybody)
		commitAll(t, s, store.Effects{Poisoned: []domain.Poison{p}})
		require.NoError(t, s.DiscardPoison(t.Context(), because("noise"), p.ID))
		require.Len(t, badges(t, s, "ws", everybody), 1)
		listed, err := s.Reader().Stale(t.Context(), "ws")
		require.NoError(t, err)
		require.Empty(t, listed, "who comes anew has no old data")

		commitAll(t, s, store.Effects{Projected: []store.Projection{shown(of(bad), 2, everybody)}})
		require.Empty(t, badges(t, s, "ws", everybody))
		require.Equal(t, domain.PoisonDiscarded, stateOf(t, s, p.ID))
		require.NoError(t, s.RestorePoison(t.Context(), operator, p.ID))
		got, err := s.PoisonByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, domain.PoisonOpen, got.State)
		require.True(t, got.Superseded(), "an operator sees that it is moot")
	})
}
