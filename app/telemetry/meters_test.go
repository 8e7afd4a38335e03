package telemetry

import (
	"bytes"
	"errors"
	"flag"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/transport/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write docs/metrics.md")

func TestReferenceIsCurrent(t *testing.T) {
	const path = "../../docs/metrics.md"
	var want bytes.Buffer
	require.NoError(t, WriteMarkdown(&want))
	if *update {
		require.NoError(t, os.WriteFile(path, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got), `run "make generate"`)
}

// values gathers a registry as "name{label=value,…}" → value; of a histogram
// its count.
func values(t *testing.T, m *Meters) map[string]float64 {
	t.Helper()
	families, err := m.registry.Gather()
	require.NoError(t, err)
	all := map[string]float64{}
	for _, f := range families {
		for _, sample := range f.Metric {
			var labels []string
			for _, l := range sample.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			all[name] = valueOf(sample)
		}
	}
	return all
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	}
	return m.Gauge.GetValue()
}

func TestMetersCountEvents(t *testing.T) {
	m := NewMeters("v1")
	now := time.Now()
	event := func(typ domain.EventType) *domain.Event {
		return &domain.Event{Type: typ, CreatedAt: now.Add(-30 * time.Millisecond)}
	}
	m.Attempted(domain.EventMessagePosted, time.Millisecond, nil)
	m.Attempted(domain.EventMessagePosted, time.Millisecond, errors.New("bad"))
	m.Attempted("somebody.elses", time.Millisecond, nil)
	m.Handled(3, now, []pipeline.Handled{
		{Event: event(domain.EventMessagePosted), Outcome: pipeline.Projected, ClaimedAt: now.Add(-20 * time.Millisecond), DoneAt: now.Add(-10 * time.Millisecond), Entries: make([]domain.Entry, 2)},
		{Event: event(domain.EventMessagePosted), Outcome: pipeline.Duplicate, ClaimedAt: now},
		{Event: event("somebody.elses"), Outcome: pipeline.Poisoned, Class: "*fmt.wrapError", ClaimedAt: now, DoneAt: now},
		{Event: event(domain.EventMessageEdited), Outcome: pipeline.Poisoned, Class: "panic", ClaimedAt: now, DoneAt: now},
	})
	got := values(t, m)
	for name, want := range map[string]float64{
		"orbit_projections_total{outcome=projected,type=rooms.message.posted}": 1,
		"orbit_projections_total{outcome=duplicate,type=rooms.message.posted}": 1,
		"orbit_projections_total{outcome=failed,type=rooms.message.posted}":    1,
		"orbit_projections_total{outcome=poisoned,type=other}":                 1,
		"orbit_projection_duration_seconds{type=rooms.message.posted}":         2,
		"orbit_projection_duration_seconds{type=other}":                        1,
		"orbit_poisoned_total{class=other,type=other}":                         1,
		"orbit_poisoned_total{class=panic,type=rooms.message.edited}":          1,
		"orbit_log_appends_total":                                              2,
		"orbit_stage_duration_seconds{stage=claimed}":                          3,
		"orbit_stage_duration_seconds{stage=committed}":                        3,
		"orbit_build_info{goversion=" + goVersion() + ",version=v1}":           1,
	} {
		require.Equal(t, want, got[name], name)
	}
	require.InDelta(t, 0.03, m.lag(3, now), 0.001)
	require.Zero(t, m.lag(3, now.Add(2*time.Minute)))
	require.Zero(t, m.lag(0, now))
	stages := m.recentStages()
	require.Equal(t, "claimed", stages[0].Name)
	require.Equal(t, 3, stages[0].Count)
}

func TestMetersCountSessions(t *testing.T) {
	m := NewMeters("v1")
	m.Opened(hub.WS, hub.OpenedResumed)
	m.Opened(hub.SSE, "a reason nobody wrote down")
	m.Opened("carrier pigeon", hub.OpenedFresh)
	m.Closed(hub.WS, domain.CloseRevoked.Name)
	m.Closed(hub.SSE, "a reason nobody wrote down")
	m.Written(hub.WS, true, 4*time.Millisecond, 2*time.Millisecond)
	m.Written(hub.WS, true, 4*time.Second, -1)
	m.Written(hub.WS, false, time.Hour, -1)
	m.Written("carrier pigeon", true, time.Hour, time.Hour)
	got := values(t, m)
	n, _ := m.written.recent.quantiles(0.5)
	require.EqualValues(t, 1, n)
	for name, want := range map[string]float64{
		"orbit_session_opens_total{transport=ws}":                   1,
		"orbit_resumes_total{outcome=resumed}":                      1,
		"orbit_resumes_total{outcome=other}":                        1,
		"orbit_resumes_total{outcome=position_expired}":             0,
		"orbit_session_closes_total{reason=revoked,transport=ws}":   1,
		"orbit_session_closes_total{reason=other,transport=sse}":    1,
		"orbit_session_closes_total{reason=dropped,transport=poll}": 0,
		"orbit_deliveries_total{transport=ws}":                      3,
		"orbit_replayed_deliveries_total{transport=ws}":             1,
		"orbit_commit_to_write_seconds{transport=ws}":               2,
	} {
		require.Contains(t, got, name)
		require.Equal(t, want, got[name], name)
	}
}

// Whatever is exposed is in the table, with the table's labels; and all that is
// in the table is exposed, so that no dashboard waits for a name that isn't.
func TestTheTableIsWhatIsExposed(t *testing.T) {
	m, w := newWorld(t)
	m.request("GET", "/v1/me", 200, time.Millisecond, false)
	m.poisoned.WithLabelValues(other, "panic")
	m.alerts.WithLabelValues("new_group", "sent")
	w.monitor.refresh(t.Context(), 0)

	families, err := m.registry.Gather()
	require.NoError(t, err)
	exposed := map[string]*dto.MetricFamily{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "orbit_") {
			exposed[f.GetName()] = f
		}
	}
	require.Len(t, exposed, len(table))
	for _, d := range table {
		f := exposed[d.name]
		require.NotNil(t, f, d.name)
		require.Equal(t, strings.ToUpper(string(d.kind)), f.GetType().String(), d.name)
		require.Equal(t, d.help, f.GetHelp())
		require.Regexp(t, `\.$`, d.help)
		require.Equal(t, d.kind == counter, strings.HasSuffix(d.name, "_total"), "%s: the field's naming", d.name)
		labels := map[string]bool{}
		for _, l := range f.Metric[0].Label {
			labels[l.GetName()] = true
		}
		for _, l := range d.labels {
			require.True(t, labels[l], "%s: label %s", d.name, l)
			require.NotContains(t, []string{"workspace", "channel", "member", "fingerprint"}, l)
		}
		require.Len(t, labels, len(d.labels), d.name)
	}
}

func TestScrape(t *testing.T) {
	m, w := newWorld(t)
	m.Written(hub.WS, true, 3*time.Millisecond, time.Millisecond)
	w.monitor.refresh(t.Context(), 0)
	before := w.db.looks()
	for range 3 {
		answer := httptest.NewRecorder()
		m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		require.Equal(t, 200, answer.Code)
		body := answer.Body.String()
		require.Contains(t, body, `orbit_outbox_pending_messages{lane="0"} 7`)
		require.Contains(t, body, `orbit_commit_to_write_seconds_bucket{transport="ws",le="0.005"} 1`)
		require.Contains(t, body, "go_goroutines")
		require.Contains(t, body, "process_")
	}
	require.Equal(t, before, w.db.looks(), "a scrape asks the database nothing")
}

func BenchmarkWritten(b *testing.B) {
	m := NewMeters("v1")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Written(hub.WS, true, 3*time.Millisecond, time.Millisecond)
		}
	})
}

func BenchmarkHandled(b *testing.B) {
	m := NewMeters("v1")
	now := time.Now()
	events := make([]pipeline.Handled, 100)
	for i := range events {
		events[i] = pipeline.Handled{
			Event: &domain.Event{Type: domain.EventMessagePosted, CreatedAt: now}, Outcome: pipeline.Projected,
			ClaimedAt: now, DoneAt: now, Entries: make([]domain.Entry, 1),
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Handled(0, now, events)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
