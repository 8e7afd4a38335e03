package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/transport/hub"
)

const remote = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func record(t *testing.T) (*Spans, *tracetest.SpanRecorder) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	s, err := newSpans(recorder, "n1", "v1")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	return s, recorder
}

func handled(id string, outcome pipeline.Outcome, traceparent string, entries int) pipeline.Handled {
	now := time.Now()
	return pipeline.Handled{
		Event:   &domain.Event{ID: id, Type: "a.type", CreatedAt: now, Metadata: map[string]string{domain.MetaTraceparent: traceparent}},
		Outcome: outcome, Class: "panic", ClaimedAt: now, DoneAt: now, Entries: make([]domain.Entry, entries),
	}
}

func names(spans []sdk.ReadOnlySpan) (all []string) {
	for _, s := range spans {
		all = append(all, s.Name())
	}
	return all
}

func TestSpansAreForSampledEventsAlone(t *testing.T) {
	s, recorder := record(t)
	m := NewMeters("v1")
	s.Around(m).Handled(0, time.Now(), []pipeline.Handled{
		handled("1", pipeline.Projected, "", 1),
		handled("2", pipeline.Projected, remote[:len(remote)-1]+"0", 1), // its caller doesn't sample
		handled("3", pipeline.Projected, "nonsense", 1),
		handled("4", pipeline.Duplicate, remote, 1),
	})
	require.Empty(t, recorder.Ended())
	require.EqualValues(t, 4, m.handled.Load(), "they are counted all the same")
	s.Around(m).Handled(0, time.Now(), []pipeline.Handled{handled("5", pipeline.Poisoned, remote, 0)})
	require.Equal(t, []string{"outbox", "project", "commit", "handle a.type"}, names(recorder.Ended()))
	last := recorder.Ended()[3]
	require.Equal(t, codes.Error, last.Status().Code)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", last.SpanContext().TraceID().String())
}

func TestOneSpanPerEntryWritten(t *testing.T) {
	s, recorder := record(t)
	s.Around(NewMeters("v1")).Handled(0, time.Now(), []pipeline.Handled{handled("1", pipeline.Projected, remote, 2)})
	n := len(recorder.Ended())
	now := time.Now()
	writes := hub.WorkspaceWrites{Entries: []hub.EntryWrites{
		{Offset: 1, EventID: "1", Transport: hub.WS, Live: 2, Heard: now, Last: now.Add(time.Second)},
		{Offset: 1, EventID: "1", Transport: hub.SSE, Live: 1, Heard: now, Last: now.Add(2 * time.Second)},
		{Offset: 2, EventID: "1", Transport: hub.WS, Live: 1, Heard: now, Last: now},
		{Offset: 3, EventID: "unheard of", Transport: hub.WS, Live: 1, Heard: now, Last: now},
	}}
	s.written(writes)
	got := recorder.Ended()[n:]
	require.Equal(t, []string{"write", "write"}, names(got))
	require.Equal(t, 2*time.Second, got[0].EndTime().Sub(got[0].StartTime()))
	s.written(writes)
	require.Len(t, recorder.Ended(), n+2, "told once")
}

// Events that no tab is there for must not pile up.
func TestFollowedEventsAreBounded(t *testing.T) {
	s, _ := record(t)
	for i := range 10 * maxFollowed {
		s.follow(fmt.Sprint(i), trace.SpanContext{}, 1)
	}
	require.LessOrEqual(t, len(s.young)+len(s.old), maxFollowed)
	_, ok := s.take(fmt.Sprint(10*maxFollowed - 1))
	require.True(t, ok)
}

func TestSpansAreOffUnlessConfigured(t *testing.T) {
	ctx := t.Context()
	off, err := NewSpans(ctx, "n1", "v1", slog.Default())
	require.NoError(t, err)
	require.Nil(t, off)
	require.NoError(t, off.Stop(ctx))
	m := NewMeters("v1")
	require.Equal(t, pipeline.Observer(m), off.Around(m))
	off.written(hub.WorkspaceWrites{})

	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
	t.Setenv("OTEL_SDK_DISABLED", "true")
	off, err = NewSpans(ctx, "n1", "v1", slog.Default())
	require.NoError(t, err)
	require.Nil(t, off)
	t.Setenv("OTEL_SDK_DISABLED", "")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	_, err = NewSpans(ctx, "n1", "v1", slog.Default())
	require.ErrorContains(t, err, "http/protobuf")
}

func TestRequests(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	s, recorder := record(t)
	m := NewMeters("v1")
	var log bytes.Buffer
	logger := slog.New(Logs(slog.NewJSONHandler(&log, nil))).With("a", "b").WithGroup("g")
	for _, spans := range []*Spans{s, nil} {
		engine := gin.New()
		engine.Use(m.HTTP("/stream"), spans.HTTP("/stream"))
		engine.GET("/things/:id", func(c *gin.Context) {
			logger.InfoContext(c.Request.Context(), "inside")
			c.Status(503)
		})
		engine.GET("/stream", func(c *gin.Context) { c.Status(200) })
		for _, path := range []string{"/things/1", "/things/2", "/stream", "/nowhere"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("traceparent", remote)
			engine.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	require.Equal(t, []string{"GET /things/:id", "GET /things/:id", "GET"}, names(recorder.Ended()))
	require.Equal(t, "b7ad6b7169203331", recorder.Ended()[0].Parent().SpanID().String())
	require.Equal(t, codes.Error, recorder.Ended()[0].Status().Code)
	require.Equal(t, 4, bytes.Count(log.Bytes(), []byte(`"trace_id":"0af7651916cd43dd8448eb211c80319c"`)))

	got := values(t, m)
	require.EqualValues(t, 4, got["orbit_http_requests_total{method=GET,route=/things/:id,status=503}"])
	require.EqualValues(t, 2, got["orbit_http_requests_total{method=GET,route=other,status=404}"])
	require.EqualValues(t, 2, got["orbit_http_requests_total{method=GET,route=/stream,status=200}"])
	require.EqualValues(t, 4, got["orbit_http_request_duration_seconds{method=GET,route=/things/:id}"])
	require.NotContains(t, got, "orbit_http_request_duration_seconds{method=GET,route=/stream}")
}
