package bench

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func fakeCPU() func() (time.Duration, error) {
	var used time.Duration
	return func() (time.Duration, error) { used += 3 * time.Second; return used, nil }
}

// The yardstick measures itself: what it broadcasts arrives, once and in order.
func TestFanoutAgainstTheYardstick(t *testing.T) {
	server := httptest.NewServer(&Yardstick{EventBytes: 300})
	t.Cleanup(func() { server.CloseClientConnections(); server.Close(); http.DefaultClient.CloseIdleConnections() })
	result, err := fanout(t.Context(), FanoutOptions{
		Target: Target{BaseURL: server.URL, Plain: true}, Subscribers: 20, Events: 50, Writers: 3,
		Publish: func(ctx context.Context, body string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/publish", strings.NewReader(body))
			require.NoError(t, err)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		},
	}, fakeCPU())
	require.NoError(t, err)
	require.Equal(t, 1000, result.Deliveries)
	require.Equal(t, 300, result.Bytes)
	require.Equal(t, 3.0, result.CPUSeconds)
	require.Equal(t, 3000.0, result.CPUPerMillion)
	require.Equal(t, 1.0, result.PerMessage)
	require.Zero(t, result.Lost)
	require.Zero(t, result.Disordered)
	require.Positive(t, result.P50)
}

func TestFanoutTellsLossFromDisorder(t *testing.T) {
	total := new(arrivals)
	lines := func(ids ...string) [][]byte {
		var events [][]byte
		for _, id := range ids {
			events = append(events, []byte(`{"id":"ep-`+id+`","message":{"body":"t=1000"}}`))
		}
		return events
	}
	batches := [][][]byte{lines("1", "2"), {[]byte(`{"type":"system.heartbeat","id":"ep-2"}`)}, lines("2"), lines("5", "4")}
	tab := &tab{next: func() ([][]byte, time.Time, error) {
		if len(batches) == 0 {
			return nil, time.Time{}, context.Canceled
		}
		events := batches[0]
		batches = batches[1:]
		return events, time.Unix(0, 2000), nil
	}}
	total.total = new(atomic.Int64)
	tab.count(total)
	r := summarize([]*arrivals{total}, 7)
	require.Equal(t, 5, r.Deliveries)
	require.Equal(t, 2, r.Lost)
	require.Equal(t, 2, r.Disordered, "2 came twice, and 4 after 5")
	require.InDelta(t, 5.0/3, r.PerMessage, 1e-9)
	require.Equal(t, 0.001, r.P50)
}

func TestParseCPUTime(t *testing.T) {
	used, err := parseCPUTime([]byte("4711 (or) bit) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20"))
	require.NoError(t, err)
	require.Equal(t, 1500*time.Millisecond, used)
	_, err = parseCPUTime([]byte("4711 (orbit) S 1"))
	require.Error(t, err)
}

func TestPlot(t *testing.T) {
	line := Line{Name: "a <b>"}
	line.Add(100, 5)
	line.Add(10_000, 7)
	svg := Plot("cost", "tabs", "µs", []Line{line})
	require.Equal(t, 1, bytes.Count(svg, []byte("<polyline")))
	require.Contains(t, string(svg), "a &lt;b&gt;")
	require.NotContains(t, string(svg), "NaN")
	require.NotContains(t, string(Plot("none", "", "", []Line{{}})), "NaN")
}
