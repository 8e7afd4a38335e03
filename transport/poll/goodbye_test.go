package poll_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/poll"
	"github.com/orbit/realtime/transport/transporttest"
)

func TestGoodbye(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	answers := p.parked(t.Context())
	r.Hub.Drain(t.Context(), 0)
	events := p.read(<-answers)
	require.Equal(t, []domain.ServerEventType{domain.ServerSystemGoodbye}, types(events))
	require.JSONEq(t, "4503", string(events[0].Code))
	require.Positive(t, events[0].DelayMS)
	require.Equal(t, http.StatusServiceUnavailable, p.status(""))
	require.Zero(t, r.Presence.Sessions())
	require.False(t, r.Presence.Left()[0].Clean)
}

// A session that ends between two polls tells the next one why.
func TestGoodbyeBetweenPolls(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	r.Hub.CloseAuthSession("login_owner", domain.CloseUnauthenticated)
	require.Eventually(t, func() bool { return r.Presence.Sessions() == 0 }, patience, time.Millisecond)
	events := p.poll("")
	require.Equal(t, []domain.ServerEventType{domain.ServerSystemGoodbye}, types(events))
	require.JSONEq(t, "4401", string(events[0].Code))
}

// lastWords polls until the goodbye, which may be in an answer that was got
// already, and returns the events before it.
func (p *poller) lastWords(got ...transporttest.Event) (events []transporttest.Event) {
	p.t.Helper()
	for events = got; ; events = append(events, p.poll("")...) {
		if last := len(events) - 1; last >= 0 && events[last].Type == domain.ServerSystemGoodbye {
			require.JSONEq(p.t, "4403", string(events[last].Code))
			return events[:last]
		}
	}
}

// Between two polls nothing is connected; a removed member still learns of
// their own removal, as on a socket, and of nothing after it.
func TestRevocationBetweenPolls(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	session := p.session
	r.AppendMany(1)
	r.Remove()
	r.Append(domain.WorkspaceChannel("ws_acme"), "secret")
	require.Equal(t, []domain.ServerEventType{updated, domain.ServerMemberRemoved}, types(p.lastWords()))
	require.Equal(t, session, p.session)
	require.Equal(t, http.StatusUnauthorized, p.status(""))
	require.Zero(t, r.Presence.Sessions())
}

func TestRevocationWhileWaiting(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	answers := p.parked(t.Context())
	r.Remove()
	r.Append(domain.WorkspaceChannel("ws_acme"), "secret")
	require.Equal(t, []domain.ServerEventType{domain.ServerMemberRemoved}, types(p.lastWords(p.read(<-answers)...)))
	require.Equal(t, http.StatusUnauthorized, p.status(""))
}

// Only the session's own poller gets its last words.
func TestLastWordsAreNobodyElses(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	r.Remove()

	stranger := r.poller(t, p.position)
	stranger.session, stranger.cookie = p.session, r.Reader.SignIn("stranger", time.Now().Add(time.Hour))
	require.Equal(t, http.StatusUnauthorized, stranger.status(""))
	stranger.cookie = &http.Cookie{Name: "orbit_session", Value: "guess"}
	require.Equal(t, http.StatusUnauthorized, stranger.status(""))

	elsewhere := r.Request(t, http.MethodGet, r.front.URL+"/v1/poll?workspace=nowhere&session="+p.session+"&position="+p.position)
	res, err := r.client.Do(elsewhere)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)

	// A lost answer can't be asked for again: that would take a new session.
	lost := *p
	lost.position = "e1-7"
	require.Equal(t, http.StatusUnauthorized, lost.status(""))
}
