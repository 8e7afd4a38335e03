package hub_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLog is a log in memory, with retention, epochs and outages.
type fakeLog struct {
	mu     sync.Mutex
	logs   map[string]*fakeWorkspace
	down   bool
	reads  int    // calls of LogAfter
	states int    // calls of LogStates
	before func() // called at the start of each call, unlocked
}

type fakeWorkspace struct {
	state   domain.LogState
	entries []domain.Entry // floor < offset <= head
}

var errDown = domain.Transient(errors.New("connection refused"), "the database is away")

func newLog(workspaces ...string) *fakeLog {
	l := &fakeLog{logs: map[string]*fakeWorkspace{}}
	for _, id := range workspaces {
		l.logs[id] = &fakeWorkspace{state: domain.LogState{Epoch: "e1"}}
	}
	return l
}

func (l *fakeLog) LogStates(_ context.Context, ids []string) (map[string]domain.LogState, error) {
	defer l.lock(&l.states)()
	if l.down {
		return nil, errDown
	}
	states := map[string]domain.LogState{}
	for _, id := range ids {
		if w := l.logs[id]; w != nil {
			states[id] = w.state
		}
	}
	return states, nil
}

func (l *fakeLog) LogAfter(_ context.Context, id string, after, upTo int64, channels []domain.Channel, limit int) ([]domain.Entry, domain.LogState, error) {
	defer l.lock(&l.reads)()
	if l.down {
		return nil, domain.LogState{}, errDown
	}
	w := l.logs[id]
	var page []domain.Entry
	for _, e := range w.entries {
		if e.Offset > after && e.Offset <= upTo && len(page) < limit && (channels == nil || slices.Contains(channels, e.Channel)) {
			page = append(page, e)
		}
	}
	return page, w.state, nil
}

func (l *fakeLog) lock(calls *int) (unlock func()) {
	l.mu.Lock()
	*calls++
	before := l.before
	l.mu.Unlock()
	if before != nil {
		before()
	}
	l.mu.Lock()
	return l.mu.Unlock
}

// add appends entries and returns the hint.
func (l *fakeLog) add(id string, entries ...domain.Entry) domain.Appended {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.logs[id]
	for i := range entries {
		w.state.Head++
		entries[i].Offset = w.state.Head
		if entries[i].Data == nil {
			entries[i].Data = []byte(`{"type":"test"}`)
		}
	}
	w.entries = append(w.entries, entries...)
	return domain.Appended{WorkspaceID: id, Epoch: w.state.Epoch, Entries: entries}
}

// trim raises the floor.
func (l *fakeLog) trim(id string, floor int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.logs[id]
	w.state.Floor = max(w.state.Floor, floor)
	w.entries = slices.DeleteFunc(w.entries, func(e domain.Entry) bool { return e.Offset <= floor })
}

// replace makes the log another one: history was lost.
func (l *fakeLog) replace(id string, state domain.LogState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs[id] = &fakeWorkspace{state: state}
}

func (l *fakeLog) set(fn func(l *fakeLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(l)
}

func (l *fakeLog) calls() (reads, states int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads, l.states
}

// fakeRights answers as told; the zero value grants everything.
type fakeRights struct {
	mu     sync.Mutex
	gone   map[string]bool // members
	closed map[string]bool // rooms
	ended  map[string]bool // sign-in sessions
	down   bool
	asked  int    // calls of LiveSessions
	during func() // called within Member and Room, before the answer is given but after it is known
}

func (r *fakeRights) Member(_ context.Context, id hub.Identity) error {
	return r.answer(func() error {
		if r.ended[id.AuthSessionID] {
			return domain.Errorf(domain.CodeUnauthenticated, "the sign-in ended")
		}
		if r.gone[id.MemberID] {
			return domain.Errorf(domain.CodeForbidden, "the membership ended")
		}
		return nil
	})
}

func (r *fakeRights) Room(_ context.Context, _ hub.Identity, room string) error {
	return r.answer(func() error {
		if r.closed[room] {
			return domain.Errorf(domain.CodeNotFound, "no such room")
		}
		return nil
	})
}

func (r *fakeRights) answer(look func() error) error {
	r.mu.Lock()
	err := look()
	if r.down {
		err = errDown
	}
	during := r.during
	r.mu.Unlock()
	if during != nil {
		during()
	}
	return err
}

func (r *fakeRights) LiveSessions(_ context.Context, ids []string) (map[string]bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.down {
		return nil, errDown
	}
	live := map[string]bool{}
	for _, id := range ids {
		live[id] = !r.ended[id]
	}
	return live, nil
}

func (r *fakeRights) LiveMembers(_ context.Context, ids []hub.Identity) (map[string]bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, errDown
	}
	live := map[string]bool{}
	for _, id := range ids {
		live[id.MemberID] = !r.gone[id.MemberID]
	}
	return live, nil
}

func (r *fakeRights) set(fn func(r *fakeRights)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(r)
}

// fakePresence flips as the real tracker does, without graces.
type fakePresence struct {
	mu     sync.Mutex
	hub    *hub.Hub
	counts map[string]int // sessions per member
	left   []string       // "<member> clean" or "<member> dropped"
}

func (p *fakePresence) Join(ws, member, _ string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts[member]++; p.counts[member] == 1 {
		p.hub.Broadcast(ws, presence(ws, member, true), "presence:"+member)
	}
}

func (p *fakePresence) Leave(ws, member, _ string, clean bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = append(p.left, member+map[bool]string{true: " clean", false: " dropped"}[clean])
	if p.counts[member]--; p.counts[member] == 0 {
		delete(p.counts, member)
		p.hub.Broadcast(ws, presence(ws, member, false), "presence:"+member)
	}
}

func (p *fakePresence) View(_ string, fn func([]string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var online []string
	for member := range p.counts {
		online = append(online, member)
	}
	slices.Sort(online)
	fn(online)
}

func (p *fakePresence) goodbyes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.left)
}

func presence(ws, member string, online bool) domain.ServerEvent {
	return domain.ServerEvent{
		Type: domain.ServerPresenceUpdate, Channel: domain.WorkspaceChannel(ws),
		Payload: domain.PresencePayload{MemberID: member, Online: online},
	}
}

// world is a hub over fakes.
type world struct {
	t        require.TestingT
	hub      *hub.Hub
	log      *fakeLog
	rights   *fakeRights
	presence *fakePresence
}

const ws = "w1"

var (
	toAll  = domain.Entry{Channel: domain.WorkspaceChannel(ws)}
	toRoom = domain.Entry{Channel: domain.RoomChannel("r")}
	toN    = domain.Entry{Channel: domain.MemberChannel("n")}
)

func newWorld(t require.TestingT, cfg hub.Config) *world {
	w := &world{t: t, log: newLog(ws, "w2"), rights: &fakeRights{}}
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, 1000*time.Hour) // those who test it ask for it
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	w.hub = hub.New(w.log, w.rights, cfg)
	w.presence = &fakePresence{hub: w.hub, counts: map[string]int{}}
	w.hub.SetPresence(w.presence)
	return w
}

// start starts the hub; the function returned stops it.
func (w *world) start() func() {
	require.NoError(w.t, w.hub.Start(context.Background()))
	return w.hub.Stop
}

// append commits entries and delivers the hint.
func (w *world) append(entries ...domain.Entry) { w.hub.Deliver(w.log.add(ws, entries...)) }

// bubble runs a test over a started hub, with time of its own.
func bubble(t *testing.T, cfg hub.Config, fn func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cfg)
		defer w.start()()
		fn(w)
		synctest.Wait()
	})
}

func times(n int, e domain.Entry) []domain.Entry { return slices.Repeat([]domain.Entry{e}, n) }

// client is a session with a reader.
type client struct {
	*hub.Session
	t  require.TestingT
	mu sync.Mutex

	ready  int
	closed []domain.CloseCode
	info   hub.CloseInfo
}

func member(id string) hub.Options {
	return hub.Options{
		Identity: hub.Identity{
			WorkspaceID: ws, WorkspaceSlug: "acme", MemberID: id, UserID: "u_" + id, AuthSessionID: "a_" + id,
		},
		Transport: hub.WS,
	}
}

func from(o hub.Options, position string, rooms ...string) hub.Options {
	o.Position, o.Rooms = position, rooms
	return o
}

func (w *world) register(o hub.Options) (*client, error) {
	c := &client{t: w.t}
	o.OnReady = func() { c.mu.Lock(); c.ready++; c.mu.Unlock() }
	o.OnClose = func(code domain.CloseCode, info hub.CloseInfo) {
		c.mu.Lock()
		c.closed, c.info = append(c.closed, code), info
		c.mu.Unlock()
		c.Close(false)
	}
	s, err := w.hub.Register(context.Background(), o)
	c.Session = s
	return c, err
}

// connect registers and reads hello, replay and live.
func (w *world) connect(o hub.Options) *client {
	c, err := w.register(o)
	require.NoError(w.t, err)
	c.read()
	return c
}

// wakes counts the calls of OnReady since the last count.
func (c *client) wakes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.ready
	c.ready = 0
	return n
}

// codes names the close codes that OnClose was called with.
func (c *client) codes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, code := range c.closed {
		names = append(names, code.Name)
	}
	return names
}

// read calls Next until nothing is due, and notes the frames in short:
// "hello@3+resumed", "resync:epoch_changed@3", "live", "4" for the entry at offset 4, …
func (c *client) read() []string {
	got := []string{}
	for {
		frames, err := c.Next(context.Background(), 64<<10)
		if len(frames) == 0 {
			if err != nil {
				require.ErrorIs(c.t, err, hub.ErrClosed)
			}
			return got
		}
		got = append(got, short(c.t, frames)...)
	}
}

// next is one call of Next.
func (c *client) next(maxBytes int) []string {
	frames, err := c.Next(context.Background(), maxBytes)
	require.NoError(c.t, err)
	return short(c.t, frames)
}

func short(t require.TestingT, frames []hub.Frame) []string {
	got := make([]string, len(frames))
	for i, f := range frames {
		var ev struct {
			Type, ID, Reason, Room, Code, MemberID string
			Resumed, Online                        bool
			Ref                                    *int
			Rooms, Presence                        []string
		}
		require.NoError(t, json.Unmarshal(f.Data, &ev), "%s", f.Data)
		require.Equal(t, f.ID, ev.ID, "the frame's id is the event's")
		require.NotContains(t, string(f.Data), "\n")
		kind := strings.TrimPrefix(ev.Type, "system.")
		_, offset, _ := strings.Cut(ev.ID, "-")
		s := kind
		switch {
		case ev.Type == "test":
			s = offset
		case kind == "hello":
			if s += "@" + offset; ev.Resumed {
				s += "+resumed"
			}
			if len(ev.Rooms) > 0 {
				s += "+" + strings.Join(ev.Rooms, ",")
			}
		case kind == "resync":
			s += ":" + ev.Reason + "@" + offset
		case kind == "heartbeat":
			s += "@" + offset
		case kind == "error":
			s += ":" + ev.Code
		case kind == "subscribed", kind == "unsubscribed":
			if s += ":" + ev.Room; ev.Reason != "" {
				s += ":" + ev.Reason
			}
		case kind == "presence.update":
			s = map[bool]string{true: "+", false: "-"}[ev.Online] + ev.MemberID
		}
		if ev.Ref != nil {
			s += fmt.Sprint("#", *ev.Ref)
		}
		got[i] = s
	}
	return got
}

func list(s string) []string { return append([]string{}, strings.Fields(s)...) }

func offsets(lo, hi int) []string {
	var all []string
	for i := lo; i <= hi; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func ref(n int64) *int64 { return &n }
