package demo

import (
	"slices"
	"strings"

	"github.com/orbit/realtime/domain"
)

// sideNames are the two people of the page.
var sideNames = []string{"left", "right"}

// What can be wrong with a side's network.
const (
	plugIn     = "in"
	plugPulled = "pulled" // connections are reset, open ones and new ones

	websocketOpen    = "open"
	websocketBlocked = "blocked" // upgrades are refused
	websocketHangs   = "hangs"   // upgrades are never answered

	sseOpen     = "open"
	sseBuffered = "buffered" // nothing arrives before the stream has ended
)

// maxLatencyMS is the slowest network there is, in milliseconds.
const maxLatencyMS = 2000

// faults is how a side's network is.
type faults struct {
	Plug      string `json:"plug"`
	WebSocket string `json:"websocket"`
	SSE       string `json:"sse"`
	// LatencyMS is how long the server's bytes are under way, 0 to 2,000.
	LatencyMS int `json:"latencyMs"`
}

// faultsPatch is the body of POST /demo/faults: what is absent stays.
type faultsPatch struct {
	Side      string  `json:"side"` // left, right or both
	Plug      *string `json:"plug"`
	WebSocket *string `json:"websocket"`
	SSE       *string `json:"sse"`
	LatencyMS *int    `json:"latencyMs"`
}

func (p faultsPatch) check() error {
	for _, c := range []struct {
		field   string
		value   *string
		choices []string
	}{
		{"side", &p.Side, append(slices.Clone(sideNames), "both")},
		{"plug", p.Plug, []string{plugIn, plugPulled}},
		{"websocket", p.WebSocket, []string{websocketOpen, websocketBlocked, websocketHangs}},
		{"sse", p.SSE, []string{sseOpen, sseBuffered}},
	} {
		if c.value != nil && !slices.Contains(c.choices, *c.value) {
			return oneOf(c.field, c.choices)
		}
	}
	if p.LatencyMS != nil && (*p.LatencyMS < 0 || *p.LatencyMS > maxLatencyMS) {
		return domain.InvalidField("latencyMs", "latencyMs is 0 to %d", maxLatencyMS)
	}
	return nil
}

func oneOf(field string, choices []string) error {
	return domain.InvalidField(field, "%s is one of %s", field, strings.Join(choices, ", "))
}

// apply returns the faults as patched.
func (p faultsPatch) apply(f faults) faults {
	set(&f.Plug, p.Plug)
	set(&f.WebSocket, p.WebSocket)
	set(&f.SSE, p.SSE)
	set(&f.LatencyMS, p.LatencyMS)
	return f
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// hits reports whether a change of faults breaks what is open of a kind.
func (f faults) hits(before faults, k kind) bool {
	return f.Plug == plugPulled && before.Plug != plugPulled ||
		k == kindWebSocket && f.WebSocket != websocketOpen && before.WebSocket == websocketOpen ||
		k == kindSSE && f.SSE == sseBuffered && before.SSE == sseOpen
}
