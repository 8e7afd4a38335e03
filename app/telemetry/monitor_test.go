package telemetry

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/transport/hub"
)

func goVersion() string { return runtime.Version() }

// fakeDB answers as told.
type fakeDB struct {
	mu     sync.Mutex
	health store.Health
	err    error
	looked int
}

func (d *fakeDB) Health(ctx context.Context) (store.Health, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked++
	if ctx.Err() != nil {
		return store.Health{}, ctx.Err()
	}
	return d.health, d.err
}

func (d *fakeDB) PoolStats() map[string]sql.DBStats {
	return map[string]sql.DBStats{"read": {InUse: 1}}
}

func (d *fakeDB) looks() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.looked
}

func (d *fakeDB) set(fn func(d *fakeDB)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn(d)
}

type fakeLanes []pipeline.LaneStatus

func (l fakeLanes) Status() []pipeline.LaneStatus { return l }
func (fakeLanes) Abandoned() int64                { return 0 }
func (fakeLanes) Audit() domain.AuditStatus       { return domain.AuditStatus{Divergent: 2, Repaired: 3} }

type fakeHub struct{}

func (fakeHub) Stats() hub.Stats {
	return hub.Stats{Sessions: map[hub.Transport]int{hub.WS: 2, hub.SSE: 1}, Workspaces: 1}
}
func (fakeHub) Members() int { return 2 }
func (fakeHub) Slow(int) []domain.SessionInfo {
	return []domain.SessionInfo{{ID: "s_1", LagMS: 1500}, {ID: "s_2", LagMS: 3}}
}
func (fakeHub) Channels(int) []domain.ChannelStats { return []domain.ChannelStats{{Events: 3}} }

type world struct {
	db      *fakeDB
	monitor *Monitor
}

func newWorld(t *testing.T) (*Meters, *world) {
	t.Helper()
	m := NewMeters("v1")
	db := &fakeDB{health: store.Health{
		Outbox: []store.OutboxStats{{Lane: 0, Pending: 7, Oldest: time.Now()}, {Lane: 1}},
		Poison: store.PoisonHealth{Counts: map[domain.PoisonState]int{domain.PoisonOpen: 0}},
	}}
	lanes := fakeLanes{{Lane: 0, Owned: true}, {Lane: 1, Owned: true}}
	return m, &world{db, NewMonitor(m, db, lanes, fakeHub{}, MonitorConfig{Node: "n1", Build: "v1"})}
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newWorld(t)
		m.Opened(hub.WS, hub.OpenedFresh)
		m.Closed(hub.WS, hub.ClosedLeft)
		s := w.monitor.Status(t.Context())
		require.Equal(t, "n1", s.Node)
		require.Equal(t, "healthy", s.Verdict.State)
		require.Equal(t, domain.LaneInfo{Lane: 0, Pending: 7, Owned: true, Owner: "n1"}, s.Lanes[0])
		require.Equal(t, map[string]int{"ws": 2, "sse": 1, "poll": 0}, s.Sessions.Open)
		require.Equal(t, map[string]int{"ws": 1}, s.Sessions.Opened)
		require.Equal(t, map[string]int{"left": 1}, s.Sessions.Closed)
		require.Equal(t, map[string]int{"fresh": 1}, s.Sessions.Resumes)
		require.Len(t, s.Stages, 5)
		require.Len(t, s.Slow, 2)

		for range 50 {
			w.monitor.Status(t.Context())
		}
		require.Equal(t, 1, w.db.looks(), "one look serves everybody")

		time.Sleep(6 * time.Second) // the bubble's clock
		w.db.set(func(d *fakeDB) { d.err = errors.New("connection refused") })
		s = w.monitor.Status(t.Context())
		require.Equal(t, domain.Verdict{State: "stalled", Why: []string{"the database doesn't answer (last answer 6s ago): connection refused"}}, s.Verdict)
		require.Len(t, s.Lanes, 2, "what was known is still shown")
		require.Zero(t, values(t, m)["orbit_database_up"])
	})
}

// Somebody who closes the dashboard in the middle of a look has not found out
// that the database is away.
func TestAnImpatientCallerIsNoOutage(t *testing.T) {
	_, w := newWorld(t)
	w.monitor.Status(t.Context())
	w.monitor.mu.Lock()
	w.monitor.look.tried = time.Time{}
	w.monitor.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, "healthy", w.monitor.Status(ctx).Verdict.State)
}

func TestSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newWorld(t)
		w.monitor.Start(t.Context())
		synctest.Wait()
		now := time.Now()
		events := make([]pipeline.Handled, 50)
		for i := range events {
			events[i] = pipeline.Handled{Event: &domain.Event{CreatedAt: now}, Outcome: pipeline.Projected, ClaimedAt: now, DoneAt: now}
		}
		m.Handled(0, now, events)
		m.Written(hub.WS, true, 20*time.Millisecond, 0)
		w.db.set(func(d *fakeDB) { d.health.Outbox = []store.OutboxStats{{Pending: 57}} })
		time.Sleep(windowStep)
		synctest.Wait()
		s := w.monitor.Status(t.Context()).Series
		require.Len(t, s, 2)
		require.InDelta(t, 10, s[1].Projected, 0.001)
		require.InDelta(t, 20, s[1].Published, 0.001, "50 were handled, and the backlog grew by 50")
		require.InDelta(t, 0.2, s[1].Written, 0.001)
		require.Equal(t, 57, s[1].Pending)
		require.Equal(t, 3, s[1].Sessions)
		require.InEpsilon(t, 20, s[1].TotalP99, 0.08)

		time.Sleep(20 * time.Minute)
		synctest.Wait()
		s = w.monitor.Status(t.Context()).Series
		require.Len(t, s, seriesLength)
		require.True(t, s[0].At.Before(s[1].At.Time))
		w.monitor.Stop()
		w.monitor.Stop()
	})
}
