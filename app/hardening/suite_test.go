package hardening

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/config"
)

// TestBadInput is the whole table against one server. While it is gone through,
// somebody posts a message after each case, and tabs on each transport must
// hear them all, once and in order, on the connections they began with.
func TestBadInput(t *testing.T) {
	w := start(t, func(c *config.Config) {
		c.LogLevel = "error"
		c.MaxUserSessions = 1000
	})
	owner, guest := w.signIn(t, "owner"), w.signIn(t, "guest")
	room := w.room(t, owner, "general")
	private := w.call(t, owner, 201, "POST", "/v1/workspaces/acme/rooms", `{"name":"den","private":true}`)["room"].(map[string]any)["id"].(string)
	tabs := w.watch(t, owner, room)

	var said []string
	bystanders := func(t *testing.T) {
		said = append(said, told+t.Name())
		w.post(t, owner, room, said[len(said)-1])
		for _, tab := range tabs {
			tab.heardAll(t, said)
		}
	}
	w.open(t, guest).write(closeFrame(1000, "")) // what is made on first use is made
	before := measure(t)

	cookie := guest.String()
	t.Run("HTTP", func(t *testing.T) { exchange(t, w.addr(), httpRequests(cookie), bystanders) })
	t.Run("commands", func(t *testing.T) { exchange(t, w.addr(), commands(cookie, room), bystanders) })
	t.Run("connections", func(t *testing.T) { exchange(t, w.addr(), connections(cookie), bystanders) })
	t.Run("admin", func(t *testing.T) { exchange(t, w.AdminURL()[len("http://"):], adminRequests(), bystanders) })
	t.Run("frames", func(t *testing.T) { w.talk(t, guest, protocolFrames(), bystanders) })
	t.Run("messages", func(t *testing.T) { w.talk(t, guest, messages(private), bystanders) })
	t.Run("positions", func(t *testing.T) { w.positions(t, guest, bystanders) })

	before.returns(t)
	require.Empty(t, w.log.String(), "nothing of it is an error of ours")
	require.Greater(t, len(said), 200)
}

// positions tries to resume where nobody has been, on each transport.
func (w *world) positions(t *testing.T, as *http.Cookie, after func(t *testing.T)) {
	epoch, _, _ := strings.Cut(w.position(t, as), "-")
	for position, reason := range map[string]string{
		"nonsense":                     "position_invalid",
		"-":                            "position_invalid",
		"-1":                           "position_invalid",
		"abcdefgh--1":                  "position_invalid",
		"abcdefgh-01":                  "position_invalid",
		"abcdefgh-1e3":                 "position_invalid",
		"abcdefgh-9223372036854775808": "position_invalid",
		"abc defgh-1":                  "position_invalid",
		"abcdefgh-1\u0661":             "position_invalid",
		"' OR 1=1 --":                  "position_invalid",
		fmt.Sprintf("%0999d-1", 0):     "position_invalid",
		"abcdefgh-1":                   "epoch_changed",
		"abcdefgh-9223372036854775807": "epoch_changed",
		epoch + "-999999999":           "ahead_of_log",
	} {
		t.Run(fmt.Sprintf("%.30q", position), func(t *testing.T) {
			for _, transport := range []string{"ws", "sse", "poll"} {
				opening := w.opening(t, as, transport, position)
				require.Len(t, opening, 3)
				require.Equal(t, "system.hello", opening[0].Type)
				require.Equal(t, "system.resync", opening[1].Type)
				require.Equal(t, reason, opening[1].Reason)
				require.Equal(t, "system.live", opening[2].Type)
			}
			after(t)
		})
	}
}

// opening connects at a position and returns the events up to system.live. Over
// SSE it is Last-Event-ID that says where, against a parameter that says
// otherwise.
func (w *world) opening(t *testing.T, as *http.Cookie, transport, position string) (events []event) {
	t.Helper()
	c := dial(t, w.addr())
	defer c.Close()
	live := func() bool { return len(events) > 0 && events[len(events)-1].Type == "system.live" }
	if transport == "ws" {
		c.write(upgrade(as, "/v1/ws"+query("position", position)))
		require.Equal(t, http.StatusSwitchingProtocols, c.answer().status)
		for !live() {
			events = append(events, c.event())
		}
		c.write(closeFrame(1000, ""))
		return events
	}
	headers := []string{"Cookie: " + as.String(), "Connection: close"}
	at := position
	if transport == "sse" {
		headers, at = append(headers, "Last-Event-ID: "+position), "ignored-1"
	}
	c.write(head("GET /v1/"+transport+query("position", at), headers...))
	resp, err := http.ReadResponse(c.in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	if transport == "poll" {
		var answer struct{ Events []event }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		return answer.Events
	}
	for lines := bufio.NewScanner(resp.Body); !live() && lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var e event
			require.NoError(t, json.Unmarshal([]byte(data), &e))
			events = append(events, e)
		}
	}
	return events
}
