// Package bench is the load side of `orbit bench`: it opens tabs against a
// running server, measures, and says what it measured. It knows the server
// only by its wire protocol; how events get committed is given to it, so that
// a commit is timed where it happens.
//
// One question, one function: [Latency] (commit → tab), [Pipeline] (events per
// second out of a backlog), [Collapse] (what it saves to tell many events as one),
// [Idle] (memory per open tab), [Fanout] (the server's
// CPU per delivery, against a [Yardstick]),
// [Resume] (everybody comes back at once).
package bench

import (
	"fmt"
	"io"
	"time"
)

// Target is a running server and a member's place in it.
type Target struct {
	BaseURL string // "http://127.0.0.1:8080"
	// Nodes are the servers of one cluster, where tabs open in turn; none: the
	// one at BaseURL.
	Nodes     []string
	Cookie    string // the Cookie header, "orbit_session=…"
	Workspace string // slug
	Rooms     []string
	Transport Transport // default WebSocket
	// Plain tabs don't offer the subprotocol: every message is one event.
	Plain bool
	// Position is where tabs go on from; "" is: from now on.
	Position string
}

// Transport is how a tab connects.
type Transport string

const (
	WebSocket Transport = "ws"
	SSE       Transport = "sse"
)

// say writes one line of progress; w may be nil.
func say(w io.Writer, format string, args ...any) {
	if w != nil {
		fmt.Fprintf(w, format+"\n", args...)
	}
}

// milliseconds keeps microseconds and drops the rest: finer would be noise.
func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
