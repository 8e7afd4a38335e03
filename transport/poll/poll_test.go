package poll_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/poll"
	"github.com/orbit/realtime/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

type rig struct {
	*transporttest.World
	server *poll.Server
	front  *httptest.Server
	client *http.Client
}

func start(t *testing.T, cfg poll.Config, hubCfg hub.Config, adjust ...func(*http.Server)) *rig {
	t.Helper()
	world := transporttest.New(t, hubCfg)
	server := poll.New(world.Hub, world.Admission, cfg)
	front := httptest.NewUnstartedServer(http.HandlerFunc(server.Handle))
	for _, f := range adjust {
		f(front.Config)
	}
	front.Start()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		server.Close()
		client.CloseIdleConnections()
		front.Close()
	})
	return &rig{World: world, server: server, front: front, client: client}
}

// poller is a client that polls: it remembers its session and position.
type poller struct {
	*rig
	t                        *testing.T
	cookie                   *http.Cookie
	session, position, rooms string
}

func (r *rig) poller(t *testing.T, position string) *poller {
	return &poller{rig: r, t: t, cookie: r.Cookie, position: position}
}

// get polls once and returns the raw answer.
func (p *poller) get(ctx context.Context, extra string) (*http.Response, error) {
	query := url.Values{"workspace": {"acme"}, "session": {p.session}, "position": {p.position}, "rooms": {p.rooms}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.front.URL+"/v1/poll?"+query.Encode()+extra, nil)
	if err != nil {
		return nil, err
	}
	req.AddCookie(p.cookie)
	return p.client.Do(req)
}

// status polls once and returns the status alone.
func (p *poller) status(extra string) int {
	p.t.Helper()
	res, err := p.get(p.t.Context(), extra)
	require.NoError(p.t, err)
	require.NoError(p.t, res.Body.Close())
	return res.StatusCode
}

// poll polls once, remembers what the answer says, and returns the events.
func (p *poller) poll(extra string) []transporttest.Event {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	res, err := p.get(ctx, extra)
	require.NoError(p.t, err)
	return p.read(res)
}

func (p *poller) read(res *http.Response) []transporttest.Event {
	p.t.Helper()
	body, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, res.Body.Close())
	require.Equal(p.t, http.StatusOK, res.StatusCode, string(body))
	var ans poll.Answer
	require.NoError(p.t, json.Unmarshal(body, &ans))
	require.NotNil(p.t, ans.Events)
	p.position = ans.Position
	events := make([]transporttest.Event, len(ans.Events))
	for i, raw := range ans.Events {
		events[i] = transporttest.Decode(p.t, raw)
		if events[i].Type == domain.ServerSystemHello {
			p.session = events[i].Session
		}
	}
	return events
}

func types(events []transporttest.Event) (all []domain.ServerEventType) {
	for _, ev := range events {
		all = append(all, ev.Type)
	}
	return all
}

var (
	hello   = domain.ServerSystemHello
	live    = domain.ServerSystemLive
	updated = domain.ServerWorkspaceUpdated
)

func TestFirstPollAnswersAtOnce(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	require.Equal(t, []domain.ServerEventType{hello, live}, types(p.poll("")))
	require.Equal(t, "e1-0", p.position)

	r.AppendMany(3)
	p = r.poller(t, "e1-1")
	events := p.poll("")
	require.Equal(t, []domain.ServerEventType{hello, updated, updated, live}, types(events))
	require.True(t, events[0].Resumed)
	require.Equal(t, "e1-3", p.position)

	p = r.poller(t, "nonsense")
	require.Equal(t, []domain.ServerEventType{hello, domain.ServerSystemResync, live}, types(p.poll("")))
	require.Equal(t, "e1-3", p.position)
}

func TestPollWaitsForEvents(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	session := p.session
	for i := range 5 {
		go r.Append(domain.WorkspaceChannel("ws_acme"), strconv.Itoa(i))
		events := p.poll("")
		require.Equal(t, []domain.ServerEventType{updated}, types(events))
		require.Equal(t, strconv.Itoa(i), events[0].Workspace.Name)
		require.Equal(t, events[0].ID, p.position)
	}
	require.Equal(t, session, p.session)
	require.Equal(t, 1, r.Presence.Sessions())
}

func TestTimeoutAnswersHeartbeat(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	events := p.poll("&wait=0")
	require.Equal(t, []domain.ServerEventType{domain.ServerSystemHeartbeat}, types(events))
	require.Equal(t, p.position, events[0].ID)
}

// An answer may get lost on its way. The client then asks with its old
// position, and must get the same events again.
func TestLostAnswer(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	before, session := p.position, p.session
	r.AppendMany(2)
	require.Len(t, p.poll(""), 2)

	p.position = before
	require.Equal(t, []domain.ServerEventType{hello, updated, updated, live}, types(p.poll("")))
	require.NotEqual(t, session, p.session)
	require.Equal(t, 1, r.Presence.Sessions(), "the old session is gone")
}

func TestSessionsAreNotShared(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	owners := p.session

	thief := r.poller(t, p.position)
	thief.cookie, thief.session = r.Reader.SignIn("admin", time.Now().Add(time.Hour)), owners
	require.Equal(t, []domain.ServerEventType{hello, live}, types(thief.poll("")))
	require.NotEqual(t, owners, thief.session)
	require.Equal(t, 2, r.Presence.Sessions(), "and the owner's lives on")
	require.Equal(t, []domain.ServerEventType{domain.ServerSystemHeartbeat}, types(p.poll("&wait=0")))
}

func TestUnknownSessionStartsAnother(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "e1-0")
	p.session = "s_forgotten"
	require.Equal(t, []domain.ServerEventType{hello, live}, types(p.poll("")))
	require.NotEqual(t, "s_forgotten", p.session)
}

func TestChangedRoomsStartAnotherSession(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	r.Reader.AddRoom(domain.Room{ID: "r1", WorkspaceID: "ws_acme"})
	r.Reader.AddRoom(domain.Room{ID: "r2", WorkspaceID: "ws_acme"})
	p := r.poller(t, "")
	p.rooms = "r1,r2"
	p.poll("")
	session := p.session
	p.rooms = "r2,r1"
	p.poll("&wait=0")
	require.Equal(t, session, p.session, "the same rooms")
	p.rooms = ""
	r.Append(domain.RoomChannel("r1"), "still for us")
	require.Equal(t, []domain.ServerEventType{updated}, types(p.poll("")), "no rooms named: as before")
	require.Equal(t, session, p.session)

	p.rooms = "r2"
	r.Append(domain.RoomChannel("r1"), "not for us anymore")
	r.Append(domain.RoomChannel("r2"), "for us")
	events := p.poll("")
	require.Equal(t, []domain.ServerEventType{hello, updated, live}, types(events))
	require.Equal(t, "for us", events[1].Workspace.Name)
	require.NotEqual(t, session, p.session)
}

func TestLargeReplayIsPaged(t *testing.T) {
	const entries = 500
	r := start(t, poll.Config{MaxBytes: 10_000}, hub.Config{RingSize: 16})
	text := strings.Repeat("x", 1000)
	for i := range entries {
		r.Append(domain.WorkspaceChannel("ws_acme"), text+strconv.Itoa(i))
	}
	p := r.poller(t, "e1-0")
	seen, polls := 0, 0
	for alive := false; !alive; polls++ {
		for _, ev := range p.poll("") {
			switch ev.Type {
			case updated:
				seen++
				require.Equal(t, "e1-"+strconv.Itoa(seen), ev.ID)
			case live:
				alive = true
			}
		}
	}
	require.Equal(t, entries, seen)
	require.Greater(t, polls, 20)
	require.Len(t, r.Presence.Left(), 0, "all in one session")
}

// A lease runs out after the last answer, not during a poll.
func TestLease(t *testing.T) {
	r := start(t, poll.Config{Lease: 50 * time.Millisecond}, hub.Config{Heartbeat: 20 * time.Millisecond})
	p := r.poller(t, "")
	p.poll("")
	for range 10 { // four leases' time, by the heartbeat
		require.Equal(t, []domain.ServerEventType{domain.ServerSystemHeartbeat}, types(p.poll("")))
	}
	require.Equal(t, 1, r.Presence.Sessions())
	require.Empty(t, r.Presence.Left())

	require.Eventually(t, func() bool { return r.Presence.Sessions() == 0 }, patience, time.Millisecond)
	require.Equal(t, []transporttest.Leave{{MemberID: "mem_owner", Clean: false}}, r.Presence.Left())
	session := p.session
	p.poll("")
	require.NotEqual(t, session, p.session)
}

// parked returns when a poll waits in the server, and the channel on which its
// answer will come (nil if there is none). To know that it waits it takes two:
// the newer poll on a session has the older one answered.
func (p *poller) parked(ctx context.Context) <-chan *http.Response {
	p.t.Helper()
	answers := make(chan *http.Response, 2)
	for range 2 {
		go func() {
			res, err := p.get(ctx, "")
			if err != nil {
				res = nil
			}
			answers <- res
		}()
	}
	older := <-answers
	require.NotNil(p.t, older)
	position := p.position
	require.Empty(p.t, p.read(older))
	require.Equal(p.t, position, p.position, "it must not claim what it doesn't have")
	return answers
}

// Of two polls on one session the older is answered without events, at the
// position it came with; the newer gets what comes.
func TestNewerPollReplacesOlder(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	session := p.session
	answers := p.parked(t.Context())
	r.AppendMany(1)
	require.Equal(t, []domain.ServerEventType{updated}, types(p.read(<-answers)))
	require.Equal(t, session, p.session)
	require.Equal(t, 1, r.Presence.Sessions())
}

// A client that hangs up loses nothing, whether the server notices before
// something comes, or hands it out to nobody.
func TestClientHangsUp(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	ctx, hangUp := context.WithCancel(t.Context())
	answers := p.parked(ctx)
	hangUp()
	require.Nil(t, <-answers)
	r.AppendMany(1)
	events := p.poll("")
	if len(events) > 1 { // in a new session
		require.Equal(t, []domain.ServerEventType{hello, updated, live}, types(events))
		events = events[1:]
	}
	require.Equal(t, "e1-1", events[0].ID)
	require.Equal(t, 1, r.Presence.Sessions())
}

func TestRefusals(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{MaxUserSessions: 1})
	p := r.poller(t, "")
	for _, wait := range []string{"-1", "26", "soon", "1.5", "1e1"} {
		require.Equal(t, http.StatusBadRequest, p.status("&wait="+wait), wait)
	}
	require.Equal(t, http.StatusBadRequest, p.status("&x=%zz"))
	p.cookie = &http.Cookie{Name: "orbit_session", Value: "guess"}
	require.Equal(t, http.StatusUnauthorized, p.status(""))

	req := r.Request(t, http.MethodPost, r.front.URL+"/v1/poll?workspace=acme")
	res, err := r.client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)

	p.cookie = r.Cookie
	p.poll("")
	another := r.poller(t, "")
	require.Equal(t, http.StatusTooManyRequests, another.status(""))
}

func TestLogAway(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{RingSize: 1})
	r.AppendMany(10)
	p := r.poller(t, "")
	r.FailLog(domain.Transient(io.EOF, "database away"))
	require.Equal(t, http.StatusServiceUnavailable, p.status(""))
	r.FailLog(nil)
	require.Equal(t, []domain.ServerEventType{hello, live}, types(p.poll("")))
	require.Equal(t, 1, r.Presence.Sessions())
}

// The server's timeouts are for requests, not for answers that wait.
func TestServerTimeoutsDontEndPolls(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{Heartbeat: 300 * time.Millisecond}, func(s *http.Server) {
		s.ReadTimeout, s.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	})
	p := r.poller(t, "")
	p.poll("")
	session := p.session
	for range 3 {
		require.Equal(t, []domain.ServerEventType{domain.ServerSystemHeartbeat}, types(p.poll("")))
	}
	require.Equal(t, session, p.session)
}

func TestServerClose(t *testing.T) {
	r := start(t, poll.Config{}, hub.Config{})
	p := r.poller(t, "")
	p.poll("")
	answers := p.parked(t.Context())
	r.server.Close()
	r.server.Close() // idempotent
	require.Equal(t, []domain.ServerEventType{domain.ServerSystemGoodbye}, types(p.read(<-answers)))
	require.Equal(t, http.StatusServiceUnavailable, p.status(""))
	require.Zero(t, r.Presence.Sessions())
}
