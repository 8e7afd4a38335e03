package app

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// adminMux answers on the admin listener: liveness, readiness and metrics for
// machines, the console for operators.
func (a *App) adminMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		status, checks := a.readiness(r.Context())
		writeJSON(w, status, checks)
	})
	a.withMetrics(mux)
	mux.Handle("/", a.console)
	return mux
}

// readiness is what /readyz says.
type readiness struct {
	Ready    bool   `json:"ready"`
	Database string `json:"database"` // "ok" or "away"
	Draining bool   `json:"draining"`
	Lanes    struct {
		Owned  []int          `json:"owned"`            // served by this node
		Errors map[int]string `json:"errors,omitempty"` // what a lane is waiting for
	} `json:"lanes"`
}

// readiness asks whether this node should get traffic. A node without lanes is
// ready: another one holds them, and this one reads the log like any other.
func (a *App) readiness(ctx context.Context) (int, readiness) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r := readiness{Database: "ok", Draining: !a.serving.Load()}
	r.Lanes.Owned, r.Lanes.Errors = []int{}, map[int]string{}
	for _, lane := range a.pipeline.Status() {
		if lane.Owned {
			r.Lanes.Owned = append(r.Lanes.Owned, lane.Lane)
		}
		if lane.LastError != "" {
			r.Lanes.Errors[lane.Lane] = lane.LastError
		}
	}
	if err := a.store.Ping(ctx); err != nil {
		r.Database = "away"
		a.log.Warn("readiness: the database is away", "error", err)
	}
	r.Ready = r.Database == "ok" && !r.Draining
	if r.Ready {
		return http.StatusOK, r
	}
	return http.StatusServiceUnavailable, r
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone: nothing to do
}
