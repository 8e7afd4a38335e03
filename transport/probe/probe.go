// Package probe answers by plain HTTP what a WebSocket upgrade can't say: a
// browser shows a refused one as close code 1006, whatever the status was.
package probe

import (
	"net/http"

	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/problem"
)

// Server answers GET /v1/probe.
type Server struct {
	hub       *hub.Hub
	admission *auth.Admission
}

// New makes a Server.
func New(h *hub.Hub, admission *auth.Admission) *Server {
	return &Server{hub: h, admission: admission}
}

// Handle takes the parameters of the other transports and answers 204 when a
// connection with them would be accepted now; otherwise with the problem that
// stands in its way (400, 401, 403, 413, 429 or 503). It registers nothing.
func (s *Server) Handle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		problem.MethodNotAllowed(w, r, "GET, HEAD")
		return
	}
	options, err := s.admission.Admit(r)
	if err == nil {
		err = s.hub.CanRegister(options.Identity)
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}
