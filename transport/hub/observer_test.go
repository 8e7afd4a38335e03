package hub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

// witness notes what the hub tells, in short.
type witness struct {
	mu     sync.Mutex
	opened []string
	closed []string
	wrote  []string
}

func (w *witness) Opened(t hub.Transport, outcome string) { w.note(&w.opened, t, outcome) }
func (w *witness) Closed(t hub.Transport, reason string)  { w.note(&w.closed, t, reason) }
func (w *witness) Written(t hub.Transport, live bool, total, here time.Duration) {
	w.note(&w.wrote, t, fmt.Sprint(map[bool]string{true: "live", false: "replay"}[live], " ", total, " ", here))
}

func (w *witness) note(list *[]string, t hub.Transport, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, string(t)+" "+what)
}

// take returns what was noted since the last time.
func (w *witness) take(list *[]string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := *list
	*list = nil
	return got
}

func TestObserverHearsHowSessionsComeAndGo(t *testing.T) {
	seen := &witness{}
	bubble(t, hub.Config{Observer: seen}, func(w *world) {
		w.append(times(5, toAll)...)
		w.log.trim(ws, 2)
		fresh := w.connect(member("a"))
		back := w.connect(from(member("b"), "e1-3"))
		other := w.connect(from(member("c"), "e0-3"))
		w.rights.set(func(r *fakeRights) { r.gone = map[string]bool{"d": true} })
		_, err := w.register(member("d"))
		require.Error(t, err)
		require.Equal(t, []string{"ws fresh", "ws resumed", "ws epoch_changed"}, seen.take(&seen.opened))

		fresh.Close(true)
		fresh.Close(true)
		back.Close(false)
		other.NoteClose(domain.CloseBadMessage)
		other.Close(true)
		last := w.connect(member("e"))
		require.NoError(t, w.hub.Disconnect(last.ID()))
		synctest.Wait()
		require.Equal(t, []string{"service_restart"}, last.codes())
		require.Equal(t, []string{"ws left", "ws dropped", "ws bad_message", "ws service_restart"}, seen.take(&seen.closed))
		require.ErrorIs(t, w.hub.Disconnect(last.ID()), domain.ErrNotFound)
	})
}

// A frame counts as written when the transport comes back for more, not when it
// was handed out: a reader that is stuck has not got it.
func TestWrittenCountsFromTheNextCallOfNext(t *testing.T) {
	seen := &witness{}
	bubble(t, hub.Config{Observer: seen}, func(w *world) {
		published := time.Now()
		c := w.connect(member("a"))
		time.Sleep(3 * time.Millisecond) // the bubble's clock
		w.append(domain.Entry{Channel: domain.WorkspaceChannel(ws), At: published})
		require.Equal(t, list("1"), c.next(1<<10))
		require.Empty(t, seen.take(&seen.wrote))
		require.Empty(t, w.hub.TakeWrites())
		info, err := w.hub.Session(c.ID())
		require.NoError(t, err)
		require.Zero(t, info.Behind)

		time.Sleep(4 * time.Millisecond)
		slow := w.hub.Slow(10)
		require.Len(t, slow, 1)
		require.InDelta(t, 4, slow[0].LagMS, 0.001)

		require.Empty(t, c.next(1<<10))
		require.Equal(t, []string{"ws live 7ms 4ms"}, seen.take(&seen.wrote))
		require.Empty(t, w.hub.Slow(10))
	})
}

func TestTakeWritesSumsEachEntryOnce(t *testing.T) {
	bubble(t, hub.Config{RingSize: 16}, func(w *world) {
		a, b := w.connect(member("a")), member("b")
		b.Transport = hub.SSE
		sse := w.connect(b)
		began := time.Now()
		w.append(toAll)
		a.read()
		time.Sleep(time.Second)
		sse.read()
		w.connect(from(member("c"), "e1-0"))

		got := w.hub.TakeWrites()
		require.Equal(t, []hub.WorkspaceWrites{{WorkspaceID: ws, Epoch: "e1", Entries: []hub.EntryWrites{
			{Offset: 1, Transport: hub.WS, Live: 1, Replayed: 1, Heard: began, First: began, Last: began.Add(time.Second)},
			{Offset: 1, Transport: hub.SSE, Live: 1, Heard: began, First: began.Add(time.Second), Last: began.Add(time.Second)},
		}}}, got)
		require.Empty(t, w.hub.TakeWrites())

		// From the log, behind the ring: no time of hearing of it.
		w.append(times(40, toAll)...)
		w.connect(from(member("d"), "e1-0"))
		got = w.hub.TakeWrites()
		require.Len(t, got[0].Entries, 41)
		require.True(t, got[0].Entries[0].Heard.IsZero())
		require.Equal(t, 1, got[0].Entries[0].Replayed)
	})
}

// Nobody may take the writes, and the hub must not grow for it.
func TestWritesNobodyTakesAreBounded(t *testing.T) {
	bubble(t, hub.Config{RingSize: 16}, func(w *world) {
		c := w.connect(member("a"))
		for range 90 {
			w.append(times(100, toAll)...)
			c.read()
		}
		got := w.hub.TakeWrites()
		require.Len(t, got[0].Entries, 8192)
		require.Equal(t, 9000-8192, got[0].Untold)
	})
}

func TestInspect(t *testing.T) {
	bubble(t, hub.Config{RingSize: 16}, func(w *world) {
		a := w.connect(from(member("a"), "", "r"))
		time.Sleep(time.Second)
		o := member("a")
		o.Transport = hub.Poll
		w.connect(o)
		other := member("z")
		other.WorkspaceID = "w2"
		w.connect(other)

		all := w.hub.Sessions("", "", 0)
		require.Len(t, all, 3)
		require.Len(t, w.hub.Sessions("", "", 2), 2)
		require.Equal(t, 2, w.hub.Members())
		require.Equal(t, map[string]int{"ws": 1, "poll": 1}, w.hub.Audience(ws, domain.WorkspaceChannel(ws)))
		require.Equal(t, map[string]int{"ws": 1}, w.hub.Audience(ws, domain.RoomChannel("r")))
		require.Empty(t, w.hub.Audience("nowhere", domain.RoomChannel("r")))

		mine := w.hub.Sessions(ws, "a", 0)
		require.Len(t, mine, 2)
		require.Equal(t, "poll", mine[0].Transport, "newest first")
		require.Equal(t, a.ID(), mine[1].ID)
		require.Equal(t, []string{"r"}, mine[1].Rooms)

		w.append(toAll, toRoom, toAll)
		time.Sleep(2 * time.Second)
		info, err := w.hub.Session(a.ID())
		require.NoError(t, err)
		require.EqualValues(t, 3, info.Behind)
		require.InDelta(t, 2000, info.LagMS, 0.001)
		require.Equal(t, "e1-0", info.Position.String())
		slow := w.hub.Slow(1)
		require.Len(t, slow, 1)

		require.Equal(t, []domain.ChannelStats{
			{WorkspaceID: ws, Channel: domain.WorkspaceChannel(ws), Sessions: 2, Events: 2},
			{WorkspaceID: ws, Channel: domain.RoomChannel("r"), Sessions: 1, Events: 1},
		}, w.hub.Channels(10))
		time.Sleep(time.Minute)
		require.Empty(t, w.hub.Channels(10), "a minute later they count no more")
	})
}

// A thousand events in a quarter of a minute are four thousand a minute, of
// which the ring remembers some.
func TestChannelsScalesWhatTheRingForgot(t *testing.T) {
	bubble(t, hub.Config{RingSize: 16}, func(w *world) {
		c := w.connect(member("a"))
		for range 150 {
			w.append(toAll)
			c.read()
			time.Sleep(100 * time.Millisecond)
		}
		busy := w.hub.Channels(1)
		require.InDelta(t, 600, busy[0].Events, 60)
	})
}

// Asking must not disturb delivery.
func TestInspectWhileBusy(t *testing.T) {
	w := newWorld(t, hub.Config{Observer: &witness{}})
	defer w.start()()
	c, err := w.hub.Register(context.Background(), member("a"))
	require.NoError(t, err)
	defer c.Close(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			w.append(toAll)
			if _, err := c.Next(context.Background(), 1<<10); err != nil {
				t.Error(err)
			}
		}
	}()
	for busy := true; busy; {
		select {
		case <-done:
			busy = false
		default:
			w.hub.Sessions("", "", 0)
			w.hub.Slow(5)
			w.hub.Channels(5)
			w.hub.TakeWrites()
			w.hub.Audience(ws, domain.WorkspaceChannel(ws))
		}
	}
}
