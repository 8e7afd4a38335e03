package telemetry

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/store"
)

var limits = MonitorConfig{LagLimit: 5 * time.Second, StallLimit: 15 * time.Second}

func TestVerdict(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	waiting := func(n int64, oldest, still time.Duration) laneLook {
		return laneLook{
			OutboxStats: store.OutboxStats{Lane: 2, Pending: n, Oldest: ago(oldest)},
			held:        true, heldAt: now, oldestFor: ago(still),
		}
	}
	failing := waiting(3, time.Minute, 20*time.Second)
	failing.status = pipeline.LaneStatus{LastError: "lock timeout"}
	orphan := laneLook{OutboxStats: store.OutboxStats{Lane: 1}, heldAt: ago(30 * time.Second)}
	psql := blocker{store.Blocker{
		PID: 4711, Application: "psql", User: "alice", State: "idle in transaction", Waiting: 2,
		Since: ago(90 * time.Second), StateSince: ago(80 * time.Second), Query: "LOCK TABLE logs",
	}, now}

	for name, tc := range map[string]struct {
		look  look
		state string
		why   []string
	}{
		"nothing waits":   {look{at: now, lanes: []laneLook{{held: true, heldAt: now}}}, "healthy", []string{}},
		"a young backlog": {look{at: now, lanes: []laneLook{waiting(500, 2*time.Second, 0)}}, "healthy", []string{}},
		"an old one": {look{at: now, lanes: []laneLook{waiting(500, 9*time.Second, 0)}}, "lagging",
			[]string{"lane 2 is behind: 500 events wait, the oldest for 9s"}},
		"it stands still": {look{at: now, lanes: []laneLook{failing}}, "stalled",
			[]string{"lane 2: nothing has moved for 20s; 3 events wait; it waits because of: lock timeout"}},
		"somebody holds a lock": {look{at: now, lanes: []laneLook{failing}, blocked: []blocker{psql}}, "stalled", []string{
			"lane 2: nothing has moved for 20s; 3 events wait; it waits because of: lock timeout",
			"database backend 4711 (psql, user alice) blocks 2 connections of ours: idle in transaction for 1m20s, in a transaction 1m30s old; its statement: LOCK TABLE logs",
		}},
		"a lock that delays nothing": {look{at: now, blocked: []blocker{psql}}, "healthy", []string{}},
		"nobody's lane":              {look{at: now, lanes: []laneLook{orphan}}, "stalled", []string{"lane 1: no node has held it for 30s"}},
		"a lane changes hands":       {look{at: now, lanes: []laneLook{{heldAt: ago(3 * time.Second)}}}, "healthy", []string{}},
		"the database is away": {look{at: ago(time.Minute), err: errors.New("refused"), lanes: []laneLook{failing}}, "stalled",
			[]string{"the database doesn't answer (last answer 1m0s ago): refused"}},
		"poison": {look{at: now, health: store.Health{Poison: store.PoisonHealth{
			Counts: map[domain.PoisonState]int{domain.PoisonOpen: 1, domain.PoisonHealed: 7}, OldestOpen: ago(2 * time.Hour),
		}}}, "poisoned", []string{"1 open message in the poison queue, the oldest for 2h0m0s"}},
		"poison and a backlog": {look{at: now, lanes: []laneLook{waiting(1, 6*time.Second, 0)}, health: store.Health{Poison: store.PoisonHealth{
			Counts: map[domain.PoisonState]int{domain.PoisonOpen: 2}, OldestOpen: ago(time.Second),
		}}}, "lagging", []string{
			"lane 2 is behind: 1 event waits, the oldest for 6s",
			"2 open messages in the poison queue, the oldest for 1s",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			v := tc.look.verdict(limits, now)
			require.Equal(t, domain.Verdict{State: tc.state, Why: tc.why}, v)
		})
	}
}

func TestALookFollowsTheOneBefore(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	backlog := func(oldest time.Time) store.Health {
		return store.Health{Outbox: []store.OutboxStats{{Pending: 5, Oldest: oldest}}, Owners: map[int]string{}}
	}
	first := look{}.next(now, backlog(now), nil, nil)
	second := first.next(now.Add(20*time.Second), backlog(now), nil, nil)
	require.Equal(t, "stalled", second.verdict(limits, now.Add(20*time.Second)).State)
	require.Equal(t, now, second.lanes[0].oldestFor)
	require.Equal(t, now, second.lanes[0].heldAt, "nobody holds it")

	moved := second.next(now.Add(25*time.Second), backlog(now.Add(time.Second)), nil, []pipeline.LaneStatus{{Owned: true}})
	require.Equal(t, now.Add(25*time.Second), moved.lanes[0].oldestFor)
	require.True(t, moved.lanes[0].held)

	away := first.next(now.Add(time.Hour), store.Health{}, errors.New("away"), nil)
	require.Len(t, away.lanes, 1, "what was known stays")
	require.Equal(t, now, away.at)
	back := away.next(now.Add(time.Hour+time.Second), backlog(now), nil, []pipeline.LaneStatus{{Owned: true}})
	require.NotContains(t, back.verdict(limits, now.Add(time.Hour+time.Second)).Why[0], "nothing has moved")
}

func TestABlockerIsRememberedForAMoment(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	seen := look{}.next(now, store.Health{Blockers: []store.Blocker{{PID: 1}}}, nil, nil)
	later := seen.next(now.Add(10*time.Second), store.Health{}, nil, nil)
	require.Len(t, later.blocked, 1)
	require.Empty(t, later.next(now.Add(20*time.Second), store.Health{}, nil, nil).blocked)
	again := seen.next(now.Add(time.Second), store.Health{Blockers: []store.Blocker{{PID: 1}}}, nil, nil)
	require.Len(t, again.blocked, 1)
}
