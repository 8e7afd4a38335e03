package demo

import (
	"encoding/json"
	"net/http"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/body"
	"github.com/orbit/realtime/transport/problem"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 4096

// input is a request's body.
type input interface{ check() error }

// act is a handler of what a button sends: from our own page, and well formed.
func act[In input](do func(http.ResponseWriter, *http.Request, In) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		err := auth.Origins{}.Check(r)
		if err == nil {
			err = body.Decode(w, r, maxBody, &in)
		}
		if err == nil {
			err = in.check()
		}
		if err == nil {
			err = do(w, r, in)
		}
		if err != nil {
			problem.Write(w, r, err)
		}
	}
}

// state is what the page can see: the answer to GET /demo/state, and to every
// button that changes it.
type state struct {
	Sides map[string]faults `json:"sides"`
	// Broken projectors, and how.
	Broken map[domain.EventType]string `json:"broken"`
	// Types that a projector can be broken for.
	Types []domain.EventType `json:"types"`
	// Waiting events: committed, and not projected yet.
	Waiting int64 `json:"waiting"`
	// Starts of the server since the demo began.
	Starts int `json:"starts"`
	// Admin is where operators connect.
	Admin string `json:"admin"`
}

func (r *run) getState(w http.ResponseWriter, req *http.Request) {
	if err := r.answer(w, req); err != nil {
		problem.Write(w, req, err)
	}
}

func (r *run) answer(w http.ResponseWriter, req *http.Request) error {
	waiting, err := r.Waiting(req.Context())
	if err != nil {
		return err
	}
	s := state{
		Sides: map[string]faults{}, Broken: r.switches.all(), Types: types(), Waiting: waiting, Admin: r.Admin,
	}
	r.mu.Lock()
	s.Starts = r.starts
	r.mu.Unlock()
	for name, side := range r.sides {
		s.Sides[name], _ = side.now()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s) // the page is gone: nothing to do
	return nil
}

func types() []domain.EventType {
	all := make([]domain.EventType, len(domain.EventTypes))
	for i, spec := range domain.EventTypes {
		all[i] = spec.Type
	}
	return all
}

func (r *run) setFaults(w http.ResponseWriter, req *http.Request, in faultsPatch) error {
	for name, side := range r.sides {
		if in.Side == name || in.Side == "both" {
			side.set(in)
		}
	}
	return r.answer(w, req)
}

func (r *run) breakProjector(w http.ResponseWriter, req *http.Request, in breakInput) error {
	r.switches.set(in.Type, in.How)
	return r.answer(w, req)
}

func (r *run) mendProjector(w http.ResponseWriter, req *http.Request, in mendInput) error {
	r.switches.mend(in.Type)
	return r.answer(w, req)
}

// restartInput is the body of POST /demo/restart.
type restartInput struct {
	How string `json:"how"`
}

func (in restartInput) check() error {
	if in.How != "orderly" && in.How != "crash" {
		return oneOf("how", []string{"orderly", "crash"})
	}
	return nil
}

func (r *run) restart(w http.ResponseWriter, _ *http.Request, in restartInput) error {
	if r.Restart == nil {
		return domain.Errorf(domain.CodeConflict, "this server can't restart itself")
	}
	// Answered before anything ends: a crash would take the answer with it.
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	_ = http.NewResponseController(w).Flush() // the page is gone: all the same
	r.Restart(in.How == "crash")
	return nil
}
