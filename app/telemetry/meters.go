package telemetry

import (
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/transport/hub"
)

// other stands for every label value that is in no list of ours.
const other = "other"

// seconds are the classic buckets of every histogram.
var seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Meters counts what this node does. It implements the observers of pipeline
// and hub; what they call is a few atomic operations, with no lock and no
// allocation.
type Meters struct {
	registry *prometheus.Registry

	types                                         map[domain.EventType]*typeMeters // read only after New
	sessions                                      [3]*sessionMeters                // in the order of transports
	resumes                                       map[string]prometheus.Counter
	claimed, projected, committed, written, total stage
	lanes                                         [64]laneMeter
	appends, collapsed                            prometheus.Counter
	poisoned                                      *prometheus.CounterVec
	untold                                        prometheus.Counter
	alerts                                        *prometheus.CounterVec

	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec

	// For the dashboard.
	handled, delivered atomic.Int64
	opened             map[hub.Transport]*atomic.Int64 // the maps are read only after New
	closed             map[string]*atomic.Int64
	outcomes           map[string]*atomic.Int64
}

// stage keeps the latency of one leg of an event's way, for Prometheus and for
// the dashboard's last minute.
type stage struct {
	histogram prometheus.Observer // nil where orbit_commit_to_write_seconds tells it
	recent    window
}

// namedStage is a stage as the dashboard shows it.
type namedStage struct {
	name string
	*stage
}

// stages are the legs in order, and the whole of it.
func (m *Meters) stages() []namedStage {
	return []namedStage{
		{"claimed", &m.claimed}, {"projected", &m.projected}, {"committed", &m.committed},
		{"written", &m.written}, {"total", &m.total},
	}
}

func (s *stage) observe(d time.Duration) {
	d = max(d, 0) // publisher and reader may have different clocks
	if s.histogram != nil {
		s.histogram.Observe(d.Seconds())
	}
	s.recent.observe(d)
}

type typeMeters struct {
	seconds  prometheus.Observer
	outcomes map[pipeline.Outcome]prometheus.Counter
	failed   prometheus.Counter
	label    string
}

type sessionMeters struct {
	opens, deliveries, replays prometheus.Counter
	closes                     map[string]prometheus.Counter
	seconds                    prometheus.Observer
}

// laneMeter remembers the lane's newest commit: when it was, and how long after
// the event was published.
type laneMeter struct{ at, lag atomic.Int64 } // Unix and plain nanoseconds

var (
	_ pipeline.Observer = (*Meters)(nil)
	_ hub.Observer      = (*Meters)(nil)
)

// closeReasons are the label values of orbit_session_closes_total.
func closeReasons() []string {
	reasons := []string{hub.ClosedLeft, hub.ClosedDropped, "invalid_utf8", "internal_error", other}
	for _, c := range domain.CloseCodes {
		reasons = append(reasons, c.Name)
	}
	return reasons
}

// resumeOutcomes are the label values of orbit_resumes_total.
var resumeOutcomes = []string{
	hub.OpenedResumed, hub.OpenedFresh,
	string(domain.ResyncPositionExpired), string(domain.ResyncEpochChanged),
	string(domain.ResyncPositionInvalid), string(domain.ResyncAheadOfLog), other,
}

var transports = [3]hub.Transport{hub.WS, hub.SSE, hub.Poll}

// of finds a transport's meters; nil for one that isn't in the list.
func (m *Meters) of(t hub.Transport) *sessionMeters {
	for i, known := range transports {
		if t == known {
			return m.sessions[i]
		}
	}
	return nil
}

// NewMeters makes the meters of a node.
func NewMeters(build string) *Meters {
	m := &Meters{
		registry: prometheus.NewRegistry(),
		types:    map[domain.EventType]*typeMeters{}, resumes: map[string]prometheus.Counter{},
		opened: map[hub.Transport]*atomic.Int64{}, closed: map[string]*atomic.Int64{}, outcomes: map[string]*atomic.Int64{},
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.gaugeFunc(buildInfo, prometheus.Labels{"version": build, "goversion": runtime.Version()}, func() float64 { return 1 })

	m.appends = m.counterVec(logAppends).WithLabelValues()
	m.collapsed = m.counterVec(collapsedEvents).WithLabelValues()
	m.untold = m.counterVec(untoldWrites).WithLabelValues()
	m.poisoned = m.counterVec(poisoned)
	m.alerts = m.counterVec(alerts)
	m.requests, m.requestSeconds = m.counterVec(httpRequests), m.histogramVec(httpSeconds)

	m.addTypes()
	m.addSessions()
	legs := m.histogramVec(stageSeconds)
	for _, s := range m.stages()[:3] {
		s.histogram = legs.WithLabelValues(s.name)
	}
	return m
}

func (m *Meters) addTypes() {
	durations, counts := m.histogramVec(projectionSeconds), m.counterVec(projections)
	add := func(label string) *typeMeters {
		t := &typeMeters{
			label: label, seconds: durations.WithLabelValues(label),
			failed: counts.WithLabelValues(label, "failed"), outcomes: map[pipeline.Outcome]prometheus.Counter{},
		}
		for _, o := range pipeline.Outcomes {
			t.outcomes[o] = counts.WithLabelValues(label, string(o))
		}
		return t
	}
	for _, spec := range domain.EventTypes {
		m.types[spec.Type] = add(string(spec.Type))
	}
	m.types[other] = add(other)
}

func (m *Meters) addSessions() {
	opens, closes, outcomes := m.counterVec(sessionOpens), m.counterVec(sessionCloses), m.counterVec(resumes)
	written, replayed, latency := m.counterVec(deliveries), m.counterVec(replays), m.histogramVec(commitToWrite)
	for i, transport := range transports {
		label := string(transport)
		s := &sessionMeters{
			opens: opens.WithLabelValues(label), closes: map[string]prometheus.Counter{},
			deliveries: written.WithLabelValues(label), replays: replayed.WithLabelValues(label), seconds: latency.WithLabelValues(label),
		}
		for _, reason := range closeReasons() {
			s.closes[reason] = closes.WithLabelValues(label, reason)
			m.closed[reason] = new(atomic.Int64)
		}
		m.sessions[i], m.opened[transport] = s, new(atomic.Int64)
	}
	for _, outcome := range resumeOutcomes {
		m.resumes[outcome], m.outcomes[outcome] = outcomes.WithLabelValues(outcome), new(atomic.Int64)
	}
}

// Handler answers GET /metrics.
func (m *Meters) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

func (m *Meters) ofType(t domain.EventType) *typeMeters {
	if found, ok := m.types[t]; ok {
		return found
	}
	return m.types[other]
}

// Attempted implements pipeline.Observer.
func (m *Meters) Attempted(t domain.EventType, took time.Duration, err error) {
	typed := m.ofType(t)
	typed.seconds.Observe(took.Seconds())
	if err != nil {
		typed.failed.Inc()
	}
}

// Handled implements pipeline.Observer.
func (m *Meters) Handled(lane int, committedAt time.Time, events []pipeline.Handled) {
	for i := range events {
		h := &events[i]
		typed := m.ofType(h.Event.Type)
		typed.outcomes[h.Outcome].Inc()
		if h.Outcome == pipeline.Poisoned {
			m.poisoned.WithLabelValues(typed.label, errorClass(h.Class)).Inc()
		}
		if h.Outcome == pipeline.Collapsed {
			m.collapsed.Inc()
		}
		m.appends.Add(float64(len(h.Entries)))
		if h.Outcome == pipeline.Duplicate {
			continue
		}
		m.claimed.observe(h.ClaimedAt.Sub(h.Event.CreatedAt))
		m.projected.observe(h.DoneAt.Sub(h.ClaimedAt))
		m.committed.observe(committedAt.Sub(h.DoneAt))
	}
	m.handled.Add(int64(len(events)))
	if n := len(events); n > 0 && lane >= 0 && lane < len(m.lanes) {
		m.lanes[lane].at.Store(committedAt.UnixNano())
		m.lanes[lane].lag.Store(max(0, int64(committedAt.Sub(events[n-1].Event.CreatedAt))))
	}
}

// lag is orbit_lane_lag_seconds.
func (m *Meters) lag(lane int, now time.Time) float64 {
	l := &m.lanes[lane]
	if now.UnixNano()-l.at.Load() > int64(time.Minute) {
		return 0
	}
	return time.Duration(l.lag.Load()).Seconds()
}

// errorClass bounds the label: a Go type as a class is the projector's choice.
func errorClass(class string) string {
	switch code := domain.Code(class); code {
	case "panic", "timeout",
		domain.CodeInvalid, domain.CodeUnauthenticated, domain.CodeForbidden, domain.CodeNotFound, domain.CodeConflict,
		domain.CodeUnprocessable, domain.CodeTooLarge, domain.CodeUnavailable, domain.CodeInternal:
		return class
	}
	return other
}

// Opened implements hub.Observer.
func (m *Meters) Opened(t hub.Transport, outcome string) {
	if s := m.of(t); s != nil {
		s.opens.Inc()
		m.opened[t].Add(1)
	}
	if m.resumes[outcome] == nil {
		outcome = other
	}
	m.resumes[outcome].Inc()
	m.outcomes[outcome].Add(1)
}

// Closed implements hub.Observer.
func (m *Meters) Closed(t hub.Transport, reason string) {
	if m.closed[reason] == nil {
		reason = other
	}
	m.closed[reason].Add(1)
	if s := m.of(t); s != nil {
		s.closes[reason].Inc()
	}
}

// Written implements hub.Observer.
func (m *Meters) Written(t hub.Transport, live bool, total, here time.Duration) {
	m.delivered.Add(1)
	s := m.of(t)
	if s == nil {
		return
	}
	s.deliveries.Inc()
	if !live {
		s.replays.Inc()
		return
	}
	s.seconds.Observe(total.Seconds())
	m.total.observe(total)
	if here >= 0 {
		m.written.observe(here)
	}
}

// request counts an answer. route is the pattern, never the path.
func (m *Meters) request(method, route string, status int, took time.Duration, stream bool) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = other
	}
	if route == "" {
		route = other
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	if !stream {
		m.requestSeconds.WithLabelValues(method, route).Observe(took.Seconds())
	}
}

func (m *Meters) counterVec(d *metric) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.help}, d.labels)
	m.registry.MustRegister(vec)
	return vec
}

// histogramVec has classic buckets. Native ones would cost every delivery a look
// into a concurrent map: measured, 13 % of a fan-out's processor time.
func (m *Meters) histogramVec(d *metric) *prometheus.HistogramVec {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: d.name, Help: d.help, Buckets: seconds,
	}, d.labels)
	m.registry.MustRegister(vec)
	return vec
}

func (m *Meters) gaugeFunc(d *metric, labels prometheus.Labels, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: d.name, Help: d.help, ConstLabels: labels}, value))
}
