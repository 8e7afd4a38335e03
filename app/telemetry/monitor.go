package telemetry

import (
	"cmp"
	"context"
	"database/sql"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/transport/hub"
)

const (
	// lookTimeout bounds one look at the database.
	lookTimeout = 2 * time.Second
	// freshFor is how long a look serves everybody who asks.
	freshFor = time.Second
	// blockerMemory is how long a blocking backend is told of after it was seen:
	// whoever waits for it gives up, and tries again, every few seconds.
	blockerMemory = 15 * time.Second

	seriesLength = 180 // samples, one per windowStep: 15 minutes
	listLength   = 20  // of slow sessions and busy channels
)

// Database is what a monitor asks. Package store implements it.
type Database interface {
	Health(ctx context.Context) (store.Health, error)
	PoolStats() map[string]sql.DBStats
}

// Lanes tells how this node's lanes do. Package pipeline implements it.
type Lanes interface {
	Status() []pipeline.LaneStatus
	Abandoned() int64
	Audit() domain.AuditStatus
}

// Hub knows this node's sessions. Package hub implements it.
type Hub interface {
	Stats() hub.Stats
	Members() int
	Slow(limit int) []domain.SessionInfo
	Channels(limit int) []domain.ChannelStats
}

// MonitorConfig configures a [Monitor]. Zero values mean the defaults.
type MonitorConfig struct {
	Node, Build string
	// LagLimit is the age of the oldest waiting event from which on the verdict
	// is lagging (default 5 s).
	LagLimit time.Duration
	// StallLimit is how long a lane may move nothing while events wait in it,
	// or be held by nobody, until it is stalled (default 15 s).
	StallLimit time.Duration
	// Cluster tells of all nodes (default: of none).
	Cluster func() domain.ClusterStatus
	Logger  *slog.Logger // default slog.Default
}

// Monitor knows how this node, and the database behind it, are doing. Start it,
// so that charts have points while nobody looks.
type Monitor struct {
	meters *Meters
	db     Database
	lanes  Lanes
	hub    Hub
	cfg    MonitorConfig
	start  time.Time

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup

	looking sync.Mutex // one look at a time

	mu     sync.Mutex // guards what follows
	look   look
	series []domain.Sample // oldest first
	last   totals          // at the newest sample
}

// look is what one look at the database, and at the lanes, found. It is not
// changed once it is there.
type look struct {
	at      time.Time // zero: none succeeded so far
	tried   time.Time
	err     error // of the newest try; health is older then
	health  store.Health
	lanes   []laneLook
	blocked []blocker
}

// laneLook follows a lane from look to look.
type laneLook struct {
	store.OutboxStats
	status    pipeline.LaneStatus
	held      bool
	owner     string
	heldAt    time.Time // when it was last seen held
	oldestFor time.Time // since when Oldest has been the same, while something waits
}

type blocker struct {
	store.Blocker
	seen time.Time
}

// totals are counters at a moment, to make rates of.
type totals struct {
	at                          time.Time
	handled, delivered, pending int64
}

// NewMonitor makes a monitor, and registers the metrics that come from it.
func NewMonitor(meters *Meters, db Database, lanes Lanes, h Hub, cfg MonitorConfig) *Monitor {
	cfg.LagLimit = cmp.Or(cfg.LagLimit, 5*time.Second)
	cfg.StallLimit = cmp.Or(cfg.StallLimit, 15*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	m := &Monitor{meters: meters, db: db, lanes: lanes, hub: h, cfg: cfg, start: time.Now()}
	meters.registry.MustRegister(sampled{m})
	return m
}

// Start begins to sample and returns at once.
func (m *Monitor) Start(ctx context.Context) {
	ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	m.running.Go(func() {
		tick := time.NewTicker(windowStep)
		defer tick.Stop()
		for {
			m.sample(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// Stop ends what Start began, and waits for it. Idempotent.
func (m *Monitor) Stop() {
	if m.stop != nil {
		m.stop()
		m.running.Wait()
	}
}

// sample adds a point to the series and moves the windows on.
func (m *Monitor) sample(ctx context.Context) {
	l := m.refresh(ctx, 0)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	stats := m.hub.Stats()
	_, total := m.meters.total.recent.quantiles(0.99)
	t := totals{at: now, handled: m.meters.handled.Load(), delivered: m.meters.delivered.Load()}
	s := domain.Sample{At: domain.At(now), TotalP99: total[0], Poison: l.health.Poison.Counts[domain.PoisonOpen]}
	for _, n := range stats.Sessions {
		s.Sessions += n
	}
	for _, lane := range l.lanes {
		s.Pending += int(lane.Pending)
		if lane.status.Owned {
			t.pending += lane.Pending
		}
	}
	m.mu.Lock()
	if span := now.Sub(m.last.at).Seconds(); !m.last.at.IsZero() && span > 0 {
		s.Projected = float64(t.handled-m.last.handled) / span
		s.Written = float64(t.delivered-m.last.delivered) / span
		s.Published = max(0, s.Projected+float64(t.pending-m.last.pending)/span)
	}
	m.last = t
	m.series = append(m.series, s)
	if len(m.series) > seriesLength {
		m.series = append(m.series[:0:0], m.series[1:]...)
	}
	m.mu.Unlock()
	for _, stage := range m.meters.stages() {
		stage.recent.advance()
	}
}

// refresh looks at the database, unless somebody did within maxAge. A look that
// fails leaves the findings of the one before, and says so.
func (m *Monitor) refresh(ctx context.Context, maxAge time.Duration) look {
	m.looking.Lock()
	defer m.looking.Unlock()
	m.mu.Lock()
	before := m.look
	m.mu.Unlock()
	if maxAge > 0 && time.Since(before.tried) < maxAge {
		return before
	}
	asking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	health, err := m.db.Health(asking)
	if ctx.Err() != nil {
		return before // whoever asked is gone: that tells nothing about the database
	}
	l := before.next(time.Now(), health, err, m.lanes.Status())
	m.mu.Lock()
	m.look = l
	m.mu.Unlock()
	return l
}

// next is the look after this one.
func (l look) next(now time.Time, health store.Health, err error, statuses []pipeline.LaneStatus) look {
	n := look{at: now, tried: now, err: err, health: health}
	if err != nil {
		n.at, n.health = l.at, l.health
	}
	for i, outbox := range n.health.Outbox {
		lane := laneLook{OutboxStats: outbox, heldAt: now, oldestFor: now}
		if i < len(statuses) {
			lane.status = statuses[i]
		}
		// SQLite has one process, and its lanes are this one's.
		lane.owner, lane.held = n.health.Owners[i]
		lane.held = lane.held || lane.status.Owned
		if i < len(l.lanes) {
			if before := l.lanes[i]; !lane.held {
				lane.heldAt = before.heldAt
			}
			// While the database is away nothing could have moved.
			if before := l.lanes[i]; l.err == nil && lane.Pending > 0 && before.Oldest.Equal(lane.Oldest) {
				lane.oldestFor = before.oldestFor
			}
		}
		n.lanes = append(n.lanes, lane)
	}
	for _, b := range health.Blockers {
		n.blocked = append(n.blocked, blocker{b, now})
	}
	for _, old := range l.blocked {
		if now.Sub(old.seen) < blockerMemory && !n.names(old.PID) {
			n.blocked = append(n.blocked, old)
		}
	}
	return n
}

func (l look) names(pid int) bool {
	for _, b := range l.blocked {
		if b.PID == pid {
			return true
		}
	}
	return false
}

// Status tells how things are now. It looks at the database at most once a
// second, however many ask; a database that is away is part of the answer.
func (m *Monitor) Status(ctx context.Context) domain.OpsStatus {
	l := m.refresh(ctx, freshFor)
	now := time.Now()
	s := domain.OpsStatus{
		Node: m.cfg.Node, Build: m.cfg.Build, StartedAt: domain.At(m.start), At: domain.At(now),
		Verdict: l.verdict(m.cfg, now),
		Lanes:   make([]domain.LaneInfo, len(l.lanes)),
		Stages:  m.meters.recentStages(),
		Poison:  maps.Clone(l.health.Poison.Counts),
		Audit:   m.lanes.Audit(),
		Sessions: domain.SessionStats{
			Open: map[string]int{}, Opened: counts(m.meters.opened), Closed: counts(m.meters.closed),
			Resumes: counts(m.meters.outcomes), Members: m.hub.Members(),
		},
		Slow: m.hub.Slow(listLength), Channels: m.hub.Channels(listLength),
	}
	if s.Poison == nil {
		s.Poison = map[domain.PoisonState]int{}
	}
	if m.cfg.Cluster != nil {
		s.Cluster = m.cfg.Cluster()
	}
	for i, lane := range l.lanes {
		s.Lanes[i] = lane.info(m.cfg.Node, now)
	}
	open := m.hub.Stats().Sessions
	for _, t := range transports {
		s.Sessions.Open[string(t)] = open[t]
	}
	m.mu.Lock()
	s.Series = append([]domain.Sample{}, m.series...)
	m.mu.Unlock()
	return s
}

// openPoison is how many messages somebody must look at, or is looking at, as
// of the last look.
func (m *Monitor) openPoison() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := m.look.health.Poison.Counts
	return counts[domain.PoisonOpen] + counts[domain.PoisonRequeued]
}

// lane tells how a lane does now.
func (m *Monitor) lane(ctx context.Context, n int) (laneLook, bool) {
	l := m.refresh(ctx, freshFor)
	if l.err != nil || n < 0 || n >= len(l.lanes) {
		return laneLook{}, false
	}
	return l.lanes[n], true
}

func (l laneLook) info(node string, now time.Time) domain.LaneInfo {
	info := domain.LaneInfo{
		Lane: l.Lane, Pending: int(l.Pending), OldestAgeMS: ms(l.age(now)),
		Owned: l.status.Owned, Owner: l.owner, LastError: l.status.LastError,
	}
	if l.status.Owned {
		info.Owner = node
	}
	return info
}

// age is how long the oldest event has waited.
func (l laneLook) age(now time.Time) time.Duration {
	if l.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(l.Oldest))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (m *Meters) recentStages() []domain.Stage {
	all := m.stages()
	stages := make([]domain.Stage, len(all))
	for i, s := range all {
		n, q := s.recent.quantiles(0.5, 0.95, 0.99)
		stages[i] = domain.Stage{Name: s.name, Count: int(n), P50: q[0], P95: q[1], P99: q[2]}
	}
	return stages
}
