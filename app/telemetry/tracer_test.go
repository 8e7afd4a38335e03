package telemetry

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/transport/hub"
)

// fakeStories keeps what is saved, and answers one trace.
type fakeStories struct {
	mu    sync.Mutex
	trace domain.Trace
	saved []store.LogWrites
	node  string
	err   error
}

func (s *fakeStories) Trace(context.Context, string) (domain.Trace, error) {
	if s.trace.EventID == "" {
		return domain.Trace{}, domain.Errorf(domain.CodeNotFound, "no such event")
	}
	return s.trace, nil
}

func (s *fakeStories) SaveWrites(_ context.Context, node string, _ time.Time, all []store.LogWrites) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.saved, s.node = append(s.saved, all...), node
	}
	return s.err
}

func (s *fakeStories) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.saved = err, nil
}

func (s *fakeStories) kept() []store.LogWrites {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved
}

type fakeTabs struct {
	mu       sync.Mutex
	writes   []hub.WorkspaceWrites
	sessions []domain.SessionInfo
}

func (t *fakeTabs) TakeWrites() []hub.WorkspaceWrites {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.writes
	t.writes = nil
	return all
}

func (t *fakeTabs) wrote(w hub.WorkspaceWrites) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes = append(t.writes, w)
}

func (t *fakeTabs) Session(id string) (domain.SessionInfo, error) {
	for _, s := range t.sessions {
		if s.ID == id {
			return s, nil
		}
	}
	return domain.SessionInfo{}, domain.Errorf(domain.CodeNotFound, "no such session")
}

func (t *fakeTabs) Sessions(_, member string, _ int) (found []domain.SessionInfo) {
	for _, s := range t.sessions {
		if s.MemberID == member {
			found = append(found, s)
		}
	}
	return found
}

type fakeRooms map[string]domain.Room

func (r fakeRooms) Room(_ context.Context, _, id string) (domain.Room, error) {
	room, ok := r[id]
	if !ok {
		return room, domain.Errorf(domain.CodeNotFound, "no such room")
	}
	return room, nil
}

func newTracer(t *testing.T, stories *fakeStories, tabs *fakeTabs) *Tracer {
	_, w := newWorld(t)
	rooms := fakeRooms{
		"open":   {ID: "open"},
		"secret": {ID: "secret", Private: true, MemberIDs: []string{"mem_2"}},
	}
	return NewTracer(stories, tabs, rooms, w.monitor, TracerConfig{Node: "n1", Logger: quiet})
}

func TestTracerKeepsWhatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stories, tabs := &fakeStories{}, &fakeTabs{}
		tr := newTracer(t, stories, tabs)
		at := time.Now()
		tabs.wrote(hub.WorkspaceWrites{WorkspaceID: "ws", Epoch: "e1", Entries: []hub.EntryWrites{
			{Offset: 4, Transport: hub.WS, Live: 2, First: at, Last: at},
		}})
		tr.Start(t.Context())
		time.Sleep(flushInterval + time.Millisecond) // the bubble's clock
		synctest.Wait()
		require.Equal(t, []store.LogWrites{{WorkspaceID: "ws", Epoch: "e1", Writes: []store.EntryWrite{
			{Offset: 4, Transport: "ws", Live: 2, First: at, Last: at},
		}}}, stories.kept())

		// An outage loses what it concerns, and says how much.
		stories.set(errors.New("away"))
		tabs.wrote(hub.WorkspaceWrites{Untold: 3, Entries: []hub.EntryWrites{{Live: 2, Replayed: 5}}})
		time.Sleep(flushInterval)
		synctest.Wait()
		require.EqualValues(t, 10, values(t, tr.meters)["orbit_trace_untold_writes_total"])

		// The last second is kept too.
		stories.set(nil)
		tabs.wrote(hub.WorkspaceWrites{WorkspaceID: "ws"})
		tr.Stop()
		tr.Stop()
		require.Len(t, stories.kept(), 1)
		require.Equal(t, "n1", stories.node)
	})
}

func TestTraceOfWhatWaits(t *testing.T) {
	stories := &fakeStories{}
	tr := newTracer(t, stories, &fakeTabs{})
	_, err := tr.Trace(t.Context(), "evt")
	require.ErrorIs(t, err, domain.ErrNotFound)
	_, err = tr.TraceTab(t.Context(), "evt", "s_1")
	require.ErrorIs(t, err, domain.ErrNotFound)

	stories.trace = domain.Trace{EventID: "evt", State: domain.TraceWaits, Lane: 1, Waiting: &domain.TraceWaiting{Ahead: 3, Holder: "dead node"}}
	got, err := tr.Trace(t.Context(), "evt")
	require.NoError(t, err)
	require.Equal(t, &domain.TraceWaiting{Ahead: 3, Held: true, Holder: "n1"}, got.Waiting)
	stories.trace.Lane, stories.trace.Waiting = 9, &domain.TraceWaiting{}
	got, err = tr.Trace(t.Context(), "evt")
	require.NoError(t, err)
	require.False(t, got.Waiting.Held)
}

// "Why didn't this tab see it?", each answer there is.
func TestTraceTab(t *testing.T) {
	at := func(offset int64) domain.Position { return domain.Position{Epoch: "e1", Offset: offset} }
	session := func(position domain.Position, behind int64, rooms ...string) domain.SessionInfo {
		return domain.SessionInfo{
			ID: "s_1", WorkspaceID: "ws", MemberID: "mem_1", Position: position, Behind: behind, Rooms: rooms, LagMS: 1500,
		}
	}
	for name, tc := range map[string]struct {
		state   string
		channel domain.Channel // of the entry at offset 40; "" for none
		session domain.SessionInfo
		who     string
		want    string
	}{
		"has it":            {domain.TraceProjected, "workspace:ws", session(at(41), 0), "s_1", "the session has it, by delivery or in the snapshot it came with: it is at e1-41, the entry at e1-40"},
		"by member":         {domain.TraceProjected, "member:mem_1", session(at(40), 0), "mem_1", "the session has it"},
		"is behind":         {domain.TraceProjected, "workspace:ws", session(at(30), 12), "s_1", "has not taken it yet: it is at e1-30, the entry at e1-40, and what is oldest waits for 1.5s"},
		"came later":        {domain.TraceProjected, "room:open", session(at(30), 0, "open"), "s_1", "was not on room:open when the entry came"},
		"another epoch":     {domain.TraceProjected, "workspace:ws", session(domain.Position{Epoch: "e2", Offset: 90}, 0), "s_1", "another lifetime of the log"},
		"not subscribed":    {domain.TraceProjected, "room:open", session(at(41), 0), "s_1", "the session is not on room:open, where the event went; its member may subscribe, and has not"},
		"not entitled":      {domain.TraceProjected, "room:secret", session(at(41), 0), "s_1", "a private room that member mem_1 is not in"},
		"room is gone":      {domain.TraceProjected, "room:gone", session(at(41), 0), "s_1", "the room is gone"},
		"somebody else's":   {domain.TraceProjected, "member:mem_2", session(at(41), 0), "s_1", "the event went to member:mem_2, which is not this session's"},
		"another workspace": {domain.TraceProjected, "workspace:ws", domain.SessionInfo{ID: "s_1", WorkspaceID: "ws2"}, "s_1", "the session is of workspace ws2, the event of ws"},
		"silent":            {domain.TraceSilent, "", session(at(41), 0), "s_1", "there was nothing to tell"},
		"poisoned":          {domain.TracePoisoned, "", session(at(41), 0), "s_1", "the event is poisoned: nobody could get it so far"},
		"expired":           {domain.TraceExpired, "", session(at(41), 0), "s_1", "gone from the log"},
		"not connected":     {domain.TraceProjected, "workspace:ws", session(at(41), 0), "s_2", "s_2 is not connected to n1"},
	} {
		t.Run(name, func(t *testing.T) {
			trace := domain.Trace{EventID: "evt", State: tc.state, WorkspaceID: "ws"}
			if tc.channel != "" {
				trace.Entries = []domain.TraceEntry{{Position: at(40), Channel: tc.channel}}
			}
			tr := newTracer(t, &fakeStories{trace: trace}, &fakeTabs{sessions: []domain.SessionInfo{tc.session}})
			got, err := tr.TraceTab(t.Context(), "evt", tc.who)
			require.NoError(t, err)
			require.Len(t, got.Session.Verdicts, 1)
			require.True(t, strings.Contains(got.Session.Verdicts[0], tc.want), got.Session.Verdicts[0])
			require.Equal(t, tc.who, got.Session.Asked)
		})
	}
}
