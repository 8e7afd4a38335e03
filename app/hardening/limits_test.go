package hardening

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/config"
)

// Each limit of docs/configuration.md that isn't crossed by a row of
// TestBadInput is crossed here: one more than allowed is refused with its code,
// and what was allowed goes on. (Headers, silent bodies and silent readers:
// package app. How far a replay goes back: packages hub and pipeline. Logins that guess: below.)

// refusals are what somebody is told who comes too many, by each way in.
func (w *world) refusals(t *testing.T, as *http.Cookie, status int, code string) {
	t.Helper()
	for _, request := range []string{
		upgrade(as, "/v1/ws"+query()),
		head("GET /v1/sse"+query(), "Cookie: "+as.String()),
		head("GET /v1/poll"+query(), "Cookie: "+as.String()),
		head("GET /v1/probe"+query(), "Cookie: "+as.String()),
	} {
		c := dial(t, w.addr())
		c.write(request)
		got := c.answer()
		require.Equal(t, status, got.status, request)
		require.Equal(t, code, got.code)
		require.NotEmpty(t, got.header.Get("Retry-After"))
	}
}

func TestSessionLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		set            func(*config.Config)
		refused, admit string
	}{
		"of a user":      {func(c *config.Config) { c.MaxUserSessions = 3 }, "guest", "admin"},
		"of a workspace": {func(c *config.Config) { c.MaxWorkspaceSessions = 3 }, "admin", ""},
		"of a node":      {func(c *config.Config) { c.MaxSessions = 3 }, "admin", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, tc.set)
			guest := w.signIn(t, "guest")
			var open []*raw
			for range 3 {
				open = append(open, w.open(t, guest))
			}
			w.refusals(t, w.signIn(t, tc.refused), http.StatusTooManyRequests, "rate_limited")
			w.refusals(t, w.signIn(t, tc.refused), http.StatusTooManyRequests, "rate_limited") // nor by signing in again
			if tc.admit != "" {
				w.open(t, w.signIn(t, tc.admit))
			}
			for _, c := range open {
				c.write(whole(pingMessage))
				require.Equal(t, heartbeat, c.outcome(func(words []string) bool { return len(words) > 0 }))
			}
			// One that leaves makes room.
			open[0].write(closeFrame(1000, ""))
			_, err := io.Copy(io.Discard, open[0].in)
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				resp, err := w.get(t.Context(), w.signIn(t, tc.refused), "/v1/poll"+query())
				if err == nil {
					resp.Body.Close()
				}
				return err == nil
			}, patience, patience/1000)
		})
	}
}

// Rooms are bounded by the URL, and by what is subscribed to later.
func TestRoomLimit(t *testing.T) {
	w := start(t, func(c *config.Config) { c.MaxRooms = 2 })
	guest := w.signIn(t, "guest")
	rooms := make([]string, 3)
	for i := range rooms {
		rooms[i] = w.call(t, guest, http.StatusCreated, "POST", "/v1/workspaces/acme/rooms", fmt.Sprintf(`{"name":"room %d"}`, i))["room"].(map[string]any)["id"].(string)
	}
	c := w.open(t, guest, "rooms", rooms[0]+","+rooms[1])
	c.write(whole(`{"type":"subscribe","room":"` + rooms[2] + `"}`))
	require.Equal(t, []string{"error:too_large"}, c.outcome(func(words []string) bool { return len(words) > 0 }))
	c.write(whole(`{"type":"unsubscribe","room":"`+rooms[0]+`"}`), whole(`{"type":"subscribe","room":"`+rooms[2]+`"}`))
	require.Equal(t, []string{"system.unsubscribed", "system.subscribed"}, c.outcome(func(words []string) bool { return len(words) > 1 }))
}

// A client that is too fast is told when to come back; the messages within the
// limit are answered.
func TestMessageLimit(t *testing.T) {
	w := start(t, func(c *config.Config) { c.MessagesPerSecond = 1 })
	c := w.open(t, w.signIn(t, "guest"))
	for range 2 {
		c.write(whole(pingMessage))
		require.Equal(t, heartbeat, c.outcome(func(words []string) bool { return len(words) > 0 }))
	}
	c.write(strings.Repeat(whole(pingMessage), 50))
	words := c.outcome(func([]string) bool { return false })
	require.Subset(t, words, []string{"system.goodbye", "close:4429", "end"})
	require.NotContains(t, words[len(words)-3:], "system.heartbeat")
}

func TestBadMessageLimit(t *testing.T) {
	w := start(t, nil)
	c := w.open(t, w.signIn(t, "guest"))
	for range 5 {
		c.write(whole("x"))
		require.Equal(t, []string{"error:invalid"}, c.outcome(func(words []string) bool { return len(words) > 0 }))
	}
	c.write(whole("x"))
	require.Equal(t, ends("4400"), c.outcome(func([]string) bool { return false }))
}

// Commands are paced by user, whatever sign-in they come with; reading is not.
func TestCommandLimit(t *testing.T) {
	w := start(t, func(c *config.Config) { c.CommandsPerSecond = 1 })
	guest, again, owner := w.signIn(t, "guest"), w.signIn(t, "guest"), w.signIn(t, "owner")
	room := w.room(t, owner, "general")
	refused := false
	for i := 0; i < 50 && !refused; i++ {
		c := dial(t, w.addr())
		c.write(post("POST /v1/workspaces/acme/rooms/"+room+"/messages", `{"body":"more"}`, "Cookie: "+[]string{guest.String(), again.String()}[i%2]))
		got := c.answer()
		if refused = got.status == http.StatusTooManyRequests; refused {
			require.Equal(t, "rate_limited", got.code)
			require.NotEmpty(t, got.header.Get("Retry-After"))
			require.GreaterOrEqual(t, i, 2, "two at once are allowed")
		} else {
			require.Equal(t, http.StatusCreated, got.status)
		}
	}
	require.True(t, refused)
	w.position(t, guest)
	w.post(t, owner, room, "somebody else's turn")
}

// The limits of sizes are settings, and hold where they are set.
func TestSizeLimits(t *testing.T) {
	w := start(t, func(c *config.Config) { c.MaxBodyBytes, c.MaxMessageBytes = 1024, 256 })
	guest := w.signIn(t, "guest")
	room := w.room(t, guest, "general")
	for size, want := range map[int]int{1024 - len(`{"body":""}`): http.StatusCreated, 1025 - len(`{"body":""}`): http.StatusRequestEntityTooLarge} {
		w.call(t, guest, want, "POST", "/v1/workspaces/acme/rooms/"+room+"/messages", `{"body":"`+strings.Repeat("x", size)+`"}`)
	}
	c := w.open(t, guest)
	c.write(whole(pingMessage + strings.Repeat(" ", 256-len(pingMessage))))
	require.Equal(t, heartbeat, c.outcome(func(words []string) bool { return len(words) > 0 }))
	c.write(whole(pingMessage + strings.Repeat(" ", 257-len(pingMessage))))
	require.Equal(t, ends("4413"), c.outcome(func([]string) bool { return false }))
}

// Who guesses tokens is slowed down by the address that the connection has, and
// not by the one it claims: no proxy is trusted.
func TestGuessesAreCountedByTheRealAddress(t *testing.T) {
	w := start(t, nil)
	guess := func(i int) reply {
		c := dial(t, strings.TrimPrefix(w.AdminURL(), "http://"))
		c.write("GET /admin/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess-", fmt.Sprint(i),
			"\r\nX-Forwarded-For: 10.0.0.", fmt.Sprint(i), "\r\nX-Real-Ip: 10.0.1.", fmt.Sprint(i), "\r\nForwarded: for=10.0.2.", fmt.Sprint(i), "\r\n\r\n")
		return c.answer()
	}
	codes := map[string]int{}
	for i := range 30 {
		codes[guess(i).code]++
	}
	require.GreaterOrEqual(t, codes["unauthenticated"], 10)
	require.Positive(t, codes["rate_limited"])
}
