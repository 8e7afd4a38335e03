package telemetry

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orbit/realtime/domain"
)

// slowAfter is when a session that has something to take counts as slow.
const slowAfter = time.Second

// sampled is the collector of what the monitor knows. A scrape reads the last
// look, and asks the hub; it never asks the database.
type sampled struct{ *Monitor }

func (sampled) Describe(chan<- *prometheus.Desc) {} // unchecked: the table is the check

func (s sampled) Collect(ch chan<- prometheus.Metric) {
	emit := func(d *metric, value float64, labels ...string) {
		t := prometheus.GaugeValue
		if d.kind == counter {
			t = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(d.name, d.help, d.labels, nil), t, value, labels...)
	}
	s.mu.Lock()
	l := s.look
	s.mu.Unlock()
	now := time.Now()
	for i, lane := range l.lanes {
		name := strconv.Itoa(lane.Lane)
		emit(outboxPending, float64(lane.Pending), name)
		emit(outboxOldest, lane.age(now).Seconds(), name)
		emit(laneHeld, truth(lane.held), name)
		emit(laneLag, s.meters.lag(i, now), name)
	}
	for _, status := range s.lanes.Status() {
		name := strconv.Itoa(status.Lane)
		emit(laneOwned, truth(status.Owned), name)
		emit(laneFailing, truth(status.LastError != ""), name)
	}
	emit(abandoned, float64(s.lanes.Abandoned()))
	audit := s.lanes.Audit()
	emit(auditDivergent, float64(audit.Divergent))
	emit(auditRepaired, float64(audit.Repaired))
	emit(auditChecked, float64(audit.Checked))
	if l.health.Poison.Counts != nil {
		for _, state := range domain.PoisonStates {
			emit(poisonMessages, float64(l.health.Poison.Counts[state]), string(state))
		}
		age := 0.0
		if oldest := l.health.Poison.OldestOpen; !oldest.IsZero() {
			age = now.Sub(oldest).Seconds()
		}
		emit(poisonOldest, age)
	}
	emit(databaseUp, truth(l.err == nil && !l.at.IsZero()))
	if !l.at.IsZero() {
		emit(databaseLooked, now.Sub(l.at).Seconds())
	}
	stats := s.hub.Stats()
	for _, t := range transports {
		emit(sessions, float64(stats.Sessions[t]), string(t))
	}
	emit(workspacesLive, float64(stats.Workspaces))
	emit(membersOnline, float64(s.hub.Members()))
	emit(slowSessions, float64(s.slow()))
	for pool, p := range s.db.PoolStats() {
		emit(dbConnections, float64(p.InUse), pool, "in_use")
		emit(dbConnections, float64(p.Idle), pool, "idle")
		emit(dbConnectionMax, float64(p.MaxOpenConnections), pool)
		emit(dbWaits, float64(p.WaitCount), pool)
		emit(dbWaitSeconds, p.WaitDuration.Seconds(), pool)
	}
}

func (s sampled) slow() (n int) {
	for _, session := range s.hub.Slow(1 << 20) {
		if session.LagMS > ms(slowAfter) {
			n++
		}
	}
	return n
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func counts[K ~string](counters map[K]*atomic.Int64) map[string]int {
	all := make(map[string]int, len(counters))
	for name, c := range counters {
		if n := c.Load(); n > 0 {
			all[string(name)] = int(n)
		}
	}
	return all
}
