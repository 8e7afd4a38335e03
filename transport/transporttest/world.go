package transporttest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/hub"
)

// Epoch is that of every log.
const Epoch = "e1"

// World is a hub with what it needs, and an admission to it.
type World struct {
	Hub       *hub.Hub
	Reader    *Reader
	Presence  *Presence
	Admission *auth.Admission
	Cookie    *http.Cookie // the owner's sign-in

	log *log
}

// New starts a world; it stops with the test. Unless cfg says otherwise there
// are no heartbeats, which would come at any time.
func New(t testing.TB, cfg hub.Config) *World {
	t.Helper()
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 24 * time.Hour
	}
	w := &World{Reader: NewReader(), Presence: &Presence{}, log: &log{entries: map[string][]domain.Entry{}}}
	w.Cookie = w.Reader.SignIn("owner", time.Now().Add(time.Hour))
	sessions := auth.NewCookieSessions(w.Reader, auth.CookieConfig{})
	w.Admission = auth.NewAdmission(sessions, w.Reader, auth.AdmissionConfig{})
	w.Hub = hub.New(w.log, auth.NewEntitlements(sessions, w.Reader), cfg)
	w.Hub.SetPresence(w.Presence)
	require.NoError(t, w.Hub.Start(context.Background()))
	t.Cleanup(w.Hub.Stop)
	return w
}

// Request makes a request that carries the owner's cookie.
func (w *World) Request(t testing.TB, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	r.AddCookie(w.Cookie)
	return r
}

// Append commits an event to acme's log and tells the hub. Its payload names
// the workspace as text says.
func (w *World) Append(channel domain.Channel, text string) domain.Position {
	return w.append(domain.ServerEvent{
		Type: domain.ServerWorkspaceUpdated, Channel: channel,
		Payload: domain.WorkspacePayload{Workspace: domain.Workspace{ID: "ws_acme", Name: text}},
	})
}

// AppendMany commits n events to acme, named "0", "1", … .
func (w *World) AppendMany(n int) {
	for i := range n {
		w.Append(domain.WorkspaceChannel("ws_acme"), strconv.Itoa(i))
	}
}

// Remove ends the owner's membership of acme.
func (w *World) Remove() domain.Position {
	w.Reader.RemoveMember("mem_owner")
	return w.append(domain.ServerEvent{
		Type: domain.ServerMemberRemoved, Channel: domain.WorkspaceChannel("ws_acme"),
		Payload: domain.MemberTombstone{Member: domain.Tombstone{ID: "mem_owner", Version: 2}},
		Revoke:  &domain.Revocation{MemberID: "mem_owner"},
	})
}

func (w *World) append(ev domain.ServerEvent) domain.Position {
	data, err := domain.EncodeServerEvent(ev, "", time.Time{})
	if err != nil {
		panic(err)
	}
	entry := w.log.append("ws_acme", domain.Entry{Channel: ev.Channel, Type: ev.Type, Data: data, Revoke: ev.Revoke})
	w.Hub.Deliver(domain.Appended{WorkspaceID: "ws_acme", Epoch: Epoch, Entries: []domain.Entry{entry}})
	return domain.Position{Epoch: Epoch, Offset: entry.Offset}
}

// FailLog makes every read of the log fail with err; nil mends it.
func (w *World) FailLog(err error) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.err = err
}

// log is an in-memory hub.Log that forgets nothing.
type log struct {
	mu      sync.Mutex
	entries map[string][]domain.Entry
	err     error
}

func (l *log) append(workspaceID string, e domain.Entry) domain.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Offset = int64(len(l.entries[workspaceID]) + 1)
	l.entries[workspaceID] = append(l.entries[workspaceID], e)
	return e
}

func (l *log) LogStates(_ context.Context, ids []string) (map[string]domain.LogState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	states := map[string]domain.LogState{}
	for _, id := range ids {
		states[id] = domain.LogState{Epoch: Epoch, Head: int64(len(l.entries[id]))}
	}
	return states, l.err
}

func (l *log) LogAfter(_ context.Context, id string, after, upTo int64, channels []domain.Channel, limit int) ([]domain.Entry, domain.LogState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []domain.Entry
	for _, e := range l.entries[id] {
		if after < e.Offset && e.Offset <= upTo && len(found) < limit && (channels == nil || slices.Contains(channels, e.Channel)) {
			found = append(found, e)
		}
	}
	return found, domain.LogState{Epoch: Epoch, Head: int64(len(l.entries[id]))}, l.err
}

// Presence is a hub.Presence that remembers what it was told.
type Presence struct {
	mu     sync.Mutex
	online []string // a member id per session
	left   []Leave
}

// Leave is one session's end.
type Leave struct {
	MemberID string
	Clean    bool
}

// Join implements hub.Presence.
func (p *Presence) Join(_, memberID, _ string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.online = append(p.online, memberID)
}

// Leave implements hub.Presence.
func (p *Presence) Leave(_, memberID, _ string, clean bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.online, memberID); i >= 0 {
		p.online = slices.Delete(p.online, i, i+1)
	}
	p.left = append(p.left, Leave{memberID, clean})
}

// View implements hub.Presence.
func (p *Presence) View(_ string, fn func(online []string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn(slices.Compact(slices.Sorted(slices.Values(p.online))))
}

// Sessions counts the sessions that joined and did not leave.
func (p *Presence) Sessions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.online)
}

// Left lists the sessions that ended.
func (p *Presence) Left() []Leave {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.left)
}

// Event is a server event, as a client sees it.
type Event struct {
	Type      domain.ServerEventType `json:"type"`
	ID        string                 `json:"id"`
	Session   string                 `json:"session"`
	Resumed   bool                   `json:"resumed"`
	Rooms     []string               `json:"rooms"`
	Room      string                 `json:"room"`
	Code      json.RawMessage        `json:"code"`
	Ref       *int64                 `json:"ref"`
	DelayMS   int64                  `json:"delayMs"`
	Reconnect bool                   `json:"reconnect"`
	Reason    string                 `json:"reason"`
	Workspace struct {
		Name string `json:"name"`
	} `json:"workspace"`
}

// Decode reads a server event.
func Decode(t testing.TB, data []byte) Event {
	t.Helper()
	var ev Event
	require.NoError(t, json.Unmarshal(data, &ev), string(data))
	return ev
}
