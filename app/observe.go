package app

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/orbit/realtime/app/telemetry"
	"github.com/orbit/realtime/pipeline"
)

// spansPatience is how long a collector may take for the last spans.
const spansPatience = 3 * time.Second

// watch is what observes the other parts. They are told of it first, and it is
// told of them last.
type watch struct {
	meters  *telemetry.Meters
	spans   *telemetry.Spans // nil unless an exporter is configured
	monitor *telemetry.Monitor
	tracer  *telemetry.Tracer
	alerts  *telemetry.Alerts
}

// streams are the routes that answer for as long as their client stays.
var streams = []string{"/v1/ws", "/v1/sse", "/v1/poll"}

// node names this process, for operators.
func (a *App) node() string { return cmp.Or(a.cfg.Node, pipeline.DefaultNode()) }

// openWatch makes what the other parts are told of.
func (a *App) openWatch(ctx context.Context) (err error) {
	a.meters = telemetry.NewMeters(Build())
	a.spans, err = telemetry.NewSpans(ctx, a.node(), Build(), a.log)
	return err
}

// wireWatch completes the watch when there is something to see.
func (a *App) wireWatch() {
	a.monitor = telemetry.NewMonitor(a.meters, a.store, a.pipeline, a.hub, telemetry.MonitorConfig{
		Node: a.node(), Build: Build(), LagLimit: a.cfg.LagLimit, StallLimit: a.cfg.StallLimit, Cluster: a.clusterStatus, Logger: a.log,
	})
	a.tracer = telemetry.NewTracer(a.store, a.hub, a.store.Reader(), a.monitor, telemetry.TracerConfig{
		Node: a.node(), Off: a.cfg.Traces == 0, Spans: a.spans, Logger: a.log,
	})
	after := a.cfg.AlertAfter
	if after == 0 {
		after = -1 // at once
	}
	a.alerts = telemetry.NewAlerts(a.store, a.monitor, telemetry.AlertsConfig{
		Webhook: a.cfg.AlertWebhook, Secret: a.cfg.AlertSecret, Node: a.node(), Build: Build(),
		After: after, Age: a.cfg.AlertAge, Logger: a.log,
	})
}

// startWatch begins what the watch does by itself; it needs a running pipeline.
func (a *App) startWatch(ctx context.Context) {
	a.monitor.Start(ctx)
	a.tracer.Start(ctx)
	a.alerts.Start(ctx)
}

// stopWatch ends it. It still needs the database.
func (a *App) stopWatch() {
	a.alerts.Stop()
	a.monitor.Stop()
	a.tracer.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), spansPatience)
	defer cancel()
	if err := a.spans.Stop(ctx); err != nil {
		a.log.Warn("the last spans could not be sent", "error", err)
	}
}

func (a *App) withMetrics(mux *http.ServeMux) {
	mux.Handle("GET /metrics", a.meters.Handler())
}
