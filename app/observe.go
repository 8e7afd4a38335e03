package app

import (
	"cmp"
	"context"
	"net/http"

	"github.com/orbit/realtime/app/telemetry"
	"github.com/orbit/realtime/pipeline"
)

// watch is what observes the other parts. They are told of it first, and it is
// told of them last.
type watch struct {
	meters  *telemetry.Meters
	monitor *telemetry.Monitor
}

// node names this process, for operators.
func (a *App) node() string { return cmp.Or(a.cfg.Node, pipeline.DefaultNode()) }

// wireWatch completes the watch when there is something to see.
func (a *App) wireWatch() {
	a.monitor = telemetry.NewMonitor(a.meters, a.store, a.pipeline, a.hub, telemetry.MonitorConfig{
		Node: a.node(), Build: Build(), LagLimit: a.cfg.LagLimit, StallLimit: a.cfg.StallLimit, Logger: a.log,
	})
}

// startWatch begins what the watch does by itself; it needs a running pipeline.
func (a *App) startWatch(ctx context.Context) { a.monitor.Start(ctx) }

// stopWatch ends it; it still needs the database.
func (a *App) stopWatch() { a.monitor.Stop() }

func (a *App) withMetrics(mux *http.ServeMux) {
	mux.Handle("GET /metrics", a.meters.Handler())
}
