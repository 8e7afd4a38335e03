package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeServer speaks as much of the wire protocol as a load client hears.
type fakeServer struct {
	*httptest.Server
	mu      sync.Mutex
	tabs    []chan string
	opened  []*http.Request
	deliver func(tab, i int) int // how often tab gets event i
	replay  []string             // what comes between hello and live
}

func newFakeServer(t *testing.T) *fakeServer {
	s := &fakeServer{deliver: func(int, int) int { return 1 }}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/ws", s.ws)
	mux.HandleFunc("/v1/sse", s.sse)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *fakeServer) open(r *http.Request) chan string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan string, 1000)
	c <- strings.Join(slices.Concat([]string{`{"type":"system.hello","id":"e-0"}`}, s.replay, []string{`{"type":"system.live"}`}), "\n")
	s.tabs, s.opened = append(s.tabs, c), append(s.opened, r)
	return c
}

// commit is a LatencyOptions.Commit that delivers at once.
func (s *fakeServer) commit(_ context.Context, i int) (time.Time, string, error) {
	at, id := time.Now(), fmt.Sprintf("event-%d", i)
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, c := range s.tabs {
		for range s.deliver(n, i) {
			c <- fmt.Sprintf(`{"type":"room.message.posted","id":"e-%d","cause":%q}`, i, id)
		}
	}
	return at, id, nil
}

func (s *fakeServer) ws(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"orbit.v1"}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}()
	for c := s.open(r); ; {
		select {
		case text := <-c:
			if conn.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
				conn.Close()
			}
		case <-gone:
			return
		}
	}
}

func (s *fakeServer) sse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for c := s.open(r); ; {
		select {
		case text := <-c:
			for line := range bytes.Lines([]byte(text)) {
				fmt.Fprintf(w, "id: x\ndata: %s\n\n", bytes.TrimSpace(line))
			}
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (s *fakeServer) target(transport Transport) Target {
	return Target{
		BaseURL: s.URL, Cookie: "orbit_session=secret", Workspace: "acme", Rooms: []string{"r1", "r2"}, Transport: transport,
	}
}

func TestLatency(t *testing.T) {
	for _, transport := range []Transport{WebSocket, SSE} {
		t.Run(string(transport), func(t *testing.T) {
			s := newFakeServer(t)
			var progress bytes.Buffer
			result, err := Latency(t.Context(), LatencyOptions{
				Target: s.target(transport), Rate: 1000, Duration: 50 * time.Millisecond, Tabs: 3,
				Commit: s.commit, Progress: &progress,
			})
			require.NoError(t, err)
			require.Equal(t, transport, result.Transport)
			require.Equal(t, 50, result.Committed)
			require.Equal(t, 150, result.Deliveries)
			require.Zero(t, result.Lost)
			require.Zero(t, result.Twice)
			require.LessOrEqual(t, result.P50, result.P99)
			require.LessOrEqual(t, result.P99, result.Max)
			require.Contains(t, progress.String(), "3 tabs open")
			require.Contains(t, result.String(), "lost 0   twice 0")

			require.Equal(t, "orbit_session=secret", s.opened[0].Header.Get("Cookie"))
			require.Equal(t, "acme", s.opened[0].URL.Query().Get("workspace"))
			require.Equal(t, "r1,r2", s.opened[0].URL.Query().Get("rooms"))
		})
	}
}

// A tab that joins while the demo's seed is still being projected is sent that
// as well. The bench once counted it in, stopped before the last events had
// come, and called them lost.
func TestLatencyCountsItsOwnEventsOnly(t *testing.T) {
	s := newFakeServer(t)
	const last = 9
	s.deliver = func(_, i int) int { return min(1, last-i) } // not the last one
	result, err := Latency(t.Context(), LatencyOptions{
		Target: s.target(WebSocket), Rate: 1000, Duration: (last + 1) * time.Millisecond, Tabs: 2,
		Commit: func(ctx context.Context, i int) (time.Time, string, error) {
			at, id, err := s.commit(ctx, i)
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, c := range s.tabs {
				c <- fmt.Sprintf(`{"type":"room.message.posted","id":"x-%d","cause":"somebody-else-%d"}`, i, i)
				if i == last {
					late := fmt.Sprintf(`{"type":"room.message.posted","id":"e-%d","cause":%q}`, i, id)
					time.AfterFunc(3*settlePoll, func() { c <- late })
				}
			}
			return at, id, err
		},
	})
	require.NoError(t, err)
	require.Zero(t, result.Lost)
	require.Equal(t, 2*(last+1), result.Deliveries)
}

// A server that delivers one event twice to one tab, and as many events in
// total as it should, must not look sound: counting arrivals alone would let a
// duplicate make up for a loss.
func TestLatencyTellsLossFromDuplicate(t *testing.T) {
	s := newFakeServer(t)
	s.deliver = func(tab, i int) int {
		switch {
		case tab == 0 && i == 3:
			return 0
		case tab == 1 && i == 4:
			return 2
		}
		return 1
	}
	result, err := Latency(t.Context(), LatencyOptions{
		Target: s.target(WebSocket), Rate: 1000, Duration: 10 * time.Millisecond, Tabs: 2, Commit: s.commit,
	})
	require.NoError(t, err)
	require.Equal(t, 1, result.Lost)
	require.Equal(t, 1, result.Twice)
	require.Equal(t, 19, result.Deliveries)
}

func TestLatencyGivesUp(t *testing.T) {
	t.Run("when a commit fails", func(t *testing.T) {
		s := newFakeServer(t)
		boom := errors.New("boom")
		_, err := Latency(t.Context(), LatencyOptions{
			Target: s.target(WebSocket), Tabs: 1,
			Commit: func(context.Context, int) (time.Time, string, error) { return time.Time{}, "", boom },
		})
		require.ErrorIs(t, err, boom)
	})
	t.Run("when the caller does", func(t *testing.T) {
		s := newFakeServer(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Latency(ctx, LatencyOptions{
			Target: s.target(WebSocket), Tabs: 1,
			Commit: func(_ context.Context, i int) (time.Time, string, error) {
				cancel()
				return s.commit(ctx, i)
			},
		})
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("when a tab is refused, with the server's reason", func(t *testing.T) {
		refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "too many sessions", http.StatusTooManyRequests)
		}))
		t.Cleanup(refusing.Close)
		for _, transport := range []Transport{WebSocket, SSE} {
			_, err := Latency(t.Context(), LatencyOptions{
				Target: Target{BaseURL: refusing.URL, Transport: transport}, Tabs: 5,
				Commit: func(context.Context, int) (time.Time, string, error) { panic("no tab, no commit") },
			})
			require.ErrorContains(t, err, "429")
			require.ErrorContains(t, err, "too many sessions")
		}
	})
	t.Run("without a way to commit", func(t *testing.T) {
		_, err := Latency(t.Context(), LatencyOptions{})
		require.ErrorContains(t, err, "Commit")
	})
}

func TestMatch(t *testing.T) {
	at := time.Unix(1000, 0)
	var total atomic.Int64
	a, b := newSightings(&total), newSightings(&total)
	a.note("1", at.Add(3*time.Millisecond))
	a.note("2", at.Add(-time.Millisecond)) // before its writer heard of the commit
	a.note("2", at.Add(time.Second))       // twice: the first one counts
	a.note("somebody else's", at)
	b.note("2", at.Add(5*time.Millisecond))

	latencies, lost, twice := match([]commit{{"1", at}, {"2", at}}, []*sightings{a, b})

	require.ElementsMatch(t, []time.Duration{3 * time.Millisecond, 0, 5 * time.Millisecond}, latencies)
	require.Equal(t, 1, lost)
	require.Equal(t, 1, twice)
	require.EqualValues(t, 5, total.Load())
}

func TestPercentileIsAMeasuredValue(t *testing.T) {
	var hundred []time.Duration
	for i := 1; i <= 100; i++ {
		hundred = append(hundred, time.Duration(i))
	}
	require.EqualValues(t, 50, percentile(hundred, 50))
	require.EqualValues(t, 99, percentile(hundred, 99))
	require.EqualValues(t, 100, percentile(hundred, 99.9))
	require.EqualValues(t, 1, percentile(hundred, 0))
	require.EqualValues(t, 7, percentile([]time.Duration{7}, 99))
	require.Zero(t, percentile(nil, 50))
	require.Equal(t, Spread{P50: 0.002, P99: 3, P999: 3, Max: 3},
		spread([]time.Duration{3 * time.Millisecond, 2 * time.Microsecond, 1500}))
}

func TestIdle(t *testing.T) {
	s := newFakeServer(t)
	readings := []int64{30_000, 50_000}
	quiesced := 0
	result, err := idle(t.Context(), IdleOptions{
		Target: s.target(WebSocket), Tabs: 20,
		Quiesce: func(context.Context) error { quiesced++; return nil },
	}, func() (int64, error) {
		kb := readings[0]
		readings = readings[1:]
		return kb, nil
	})
	require.NoError(t, err)
	require.Equal(t, IdleResult{Transport: WebSocket, Tabs: 20, BeforeKB: 30_000, AfterKB: 50_000, KBPerTab: 1000}, result)
	require.Equal(t, 2, quiesced)

	from := map[string]bool{}
	for _, r := range s.opened {
		require.Regexp(t, `^127\.0\.0\.[1-8]:`, r.RemoteAddr)
		from[r.RemoteAddr[:len("127.0.0.1")]] = true
	}
	require.Len(t, s.opened, 21)
	require.Len(t, from, sources)
}

func TestIdleRefusesToMeasureItself(t *testing.T) {
	_, err := Idle(t.Context(), IdleOptions{PID: os.Getpid()})
	require.ErrorContains(t, err, "another process")
}

func TestParseVmRSS(t *testing.T) {
	kb, err := parseVmRSS([]byte("Name:\torbit\nVmHWM:\t  99999 kB\nVmRSS:\t   12345 kB\nThreads:\t7\n"))
	require.NoError(t, err)
	require.EqualValues(t, 12345, kb)
	_, err = parseVmRSS([]byte("Name:\torbit\n"))
	require.ErrorContains(t, err, "VmRSS")
}

func TestPipeline(t *testing.T) {
	var calls []string
	done := 0
	result, err := Pipeline(t.Context(), PipelineOptions{
		Backlog: 100,
		Fill: func(_ context.Context, n int) error {
			require.Equal(t, 100, n)
			calls = append(calls, "fill")
			return nil
		},
		Start:   func(context.Context) error { calls = append(calls, "start"); return nil },
		Drained: func(context.Context) (int, error) { done += 50; return done, nil },
	})
	require.NoError(t, err)
	require.Equal(t, []string{"fill", "start"}, calls)
	require.Equal(t, 100, result.Events)
	require.Positive(t, result.PerSecond)

	boom := errors.New("boom")
	_, err = Pipeline(t.Context(), PipelineOptions{
		Fill:    func(context.Context, int) error { return nil },
		Start:   func(context.Context) error { return nil },
		Drained: func(context.Context) (int, error) { return 0, boom },
	})
	require.ErrorIs(t, err, boom)
	_, err = Pipeline(t.Context(), PipelineOptions{})
	require.ErrorContains(t, err, "required")
}

// Each tab comes back at its own position, and is owed exactly what it missed.
func TestResume(t *testing.T) {
	s := newFakeServer(t)
	published := 0
	result, err := Resume(t.Context(), ResumeOptions{
		Target: s.target(WebSocket), Tabs: 3, Missed: 2,
		Publish: func(_ context.Context, body string) error {
			published++
			require.True(t, strings.HasPrefix(body, stamp))
			return nil
		},
		Break: func(context.Context) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.replay = []string{
				`{"type":"room.message.posted","id":"e-1","message":{"body":"t=1"}}`,
				`{"type":"room.message.posted","id":"e-2","message":{"body":"t=2"}}`,
				`{"type":"room.message.posted","id":"e-3","message":{"body":"t=3"}}`,
				`{"type":"room.message.posted","id":"e-4","message":{"body":"somebody else's"}}`,
			}
			return nil
		},
	})
	require.NoError(t, err)
	require.Equal(t, 2, published)
	require.Equal(t, 3, result.Tabs)
	require.Equal(t, 3, result.Twice, "one too many for each")
	require.Zero(t, result.Lost)
	require.Len(t, s.opened, 6)
	require.Empty(t, s.opened[0].URL.Query().Get("position"))
	for _, again := range s.opened[3:] {
		require.Equal(t, "e-0", again.URL.Query().Get("position"))
	}
}
