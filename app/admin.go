package app

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// adminMux answers on the admin listener: liveness and readiness.
func (a *App) adminMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		status, checks := a.readiness(r.Context())
		writeJSON(w, status, checks)
	})
	return mux
}

// readiness is what /readyz says; each check is "ok" or what is wrong.
type readiness struct {
	Ready    bool   `json:"ready"`
	Database string `json:"database"`
	Lanes    string `json:"lanes"`
	Draining bool   `json:"draining"`
}

// readiness asks whether this node should get traffic. A node without lanes is
// ready: another one holds them, and this one reads the log like any other.
func (a *App) readiness(ctx context.Context) (int, readiness) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r := readiness{Database: "ok", Lanes: a.pipeline.Summary(), Draining: !a.serving.Load()}
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
