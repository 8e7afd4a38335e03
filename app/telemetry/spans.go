package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/pipeline"
	"github.com/orbit/realtime/transport/hub"
)

// maxFollowed bounds the events whose writes are awaited for a span.
const maxFollowed = 4096

// Spans sends OpenTelemetry spans: of a command's request, and, as its children
// through the traceparent in the event's metadata, of handling the event, of the
// commit and of the write to the tabs. A nil *Spans sends nothing; it only hands
// a caller's traceparent on.
//
// What happens to an event is told by observers, after it happened: spans are
// made then, with the times of old, and nothing waits for them.
type Spans struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	node     string

	mu         sync.Mutex
	young, old map[string]*followed // by event id; old is forgotten as a whole
}

// followed is an event that was handled, and some of whose entries nobody has
// written yet.
type followed struct {
	span trace.SpanContext
	left int
}

var w3c = propagation.TraceContext{}

// NewSpans reads the standard environment: OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT)
// turns spans on, and OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
// OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, … do as everywhere. Off, the
// result is nil. The protocol is http/protobuf; another one is an error.
func NewSpans(ctx context.Context, node, build string, logger *slog.Logger) (*Spans, error) {
	if !configured() {
		return nil, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		if p := os.Getenv(name); p != "" && p != "http/protobuf" {
			return nil, domain.InvalidField(name, "%s: %q is not spoken here; use http/protobuf, and the collector's port for it (4318 as a rule)", name, p)
		}
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	// A collector that is away is told of, and is nobody's outage.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("spans can't be sent", "error", err) }))
	return newSpans(sdk.NewBatchSpanProcessor(exporter), node, build)
}

func configured() bool {
	return (os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "") &&
		!strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") && os.Getenv("OTEL_TRACES_EXPORTER") != "none"
}

func newSpans(processor sdk.SpanProcessor, node, build string) (*Spans, error) {
	self, err := resource.New(context.Background(),
		resource.WithAttributes(
			attribute.String("service.name", "orbit"),
			attribute.String("service.version", build),
			attribute.String("service.instance.id", node),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(), // wins over the above
	)
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(processor), sdk.WithResource(self))
	return &Spans{
		provider: provider, node: node, young: map[string]*followed{},
		tracer: provider.Tracer("github.com/orbit/realtime", trace.WithInstrumentationVersion(build)),
	}, nil
}

// Stop sends what is left, or gives up when ctx ends.
func (s *Spans) Stop(ctx context.Context) error {
	if s == nil {
		return nil
	}
	return s.provider.Shutdown(ctx)
}

// HTTP begins a span for each request but those to streams, and makes the
// events that it publishes carry it. A caller's traceparent is its parent.
func (s *Spans) HTTP(streams ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx := w3c.Extract(c.Request.Context(), propagation.HeaderCarrier(c.Request.Header))
		if s == nil || slices.Contains(streams, c.FullPath()) {
			c.Request = c.Request.WithContext(withTraceparent(ctx))
			c.Next()
			return
		}
		name := c.Request.Method
		if route := c.FullPath(); route != "" {
			name += " " + route
		}
		ctx, span := s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("http.request.method", c.Request.Method), attribute.String("http.route", c.FullPath()),
		))
		defer span.End() // also when a handler panics
		c.Request = c.Request.WithContext(withTraceparent(ctx))
		c.Next()
		status := c.Writer.Status()
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
	}
}

// withTraceparent hands the span of ctx to the commands under it.
func withTraceparent(ctx context.Context) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return domain.WithTraceparent(ctx, carrier.Get("traceparent"))
}

// Around returns a pipeline's observer that also makes spans, or next itself
// when there are none to make.
func (s *Spans) Around(next pipeline.Observer) pipeline.Observer {
	if s == nil {
		return next
	}
	return spanning{next, s}
}

type spanning struct {
	pipeline.Observer
	spans *Spans
}

func (o spanning) Handled(lane int, committedAt time.Time, events []pipeline.Handled) {
	o.Observer.Handled(lane, committedAt, events)
	for i := range events {
		if e := &events[i]; e.Outcome != pipeline.Duplicate && e.Event.Metadata[domain.MetaTraceparent] != "" {
			o.spans.handled(lane, committedAt, e)
		}
	}
}

// handled makes the spans of one event: the wait in the outbox, and its handling
// with projector and commit in it.
func (s *Spans) handled(lane int, committedAt time.Time, e *pipeline.Handled) {
	ctx := w3c.Extract(context.Background(), propagation.MapCarrier{"traceparent": e.Event.Metadata[domain.MetaTraceparent]})
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return
	}
	s.span(ctx, "outbox", e.Event.CreatedAt, e.ClaimedAt)
	ctx, span := s.tracer.Start(ctx, "handle "+string(e.Event.Type), trace.WithTimestamp(e.ClaimedAt),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			attribute.String("orbit.event.id", e.Event.ID), attribute.String("orbit.event.type", string(e.Event.Type)),
			attribute.String("orbit.workspace.id", e.Event.WorkspaceID), attribute.Int("orbit.lane", lane),
			attribute.String("orbit.outcome", string(e.Outcome)), attribute.Int("orbit.entries", len(e.Entries)),
		))
	if e.Outcome == pipeline.Poisoned {
		span.SetStatus(codes.Error, "poisoned: "+e.Class)
	}
	s.span(ctx, "project", e.DoneAt.Add(-e.Took), e.DoneAt)
	s.span(ctx, "commit", e.DoneAt, committedAt)
	span.End(trace.WithTimestamp(committedAt))
	if len(e.Entries) > 0 {
		s.follow(e.Event.ID, span.SpanContext(), len(e.Entries))
	}
}

func (s *Spans) span(ctx context.Context, name string, from, to time.Time, attributes ...attribute.KeyValue) {
	_, span := s.tracer.Start(ctx, name, trace.WithTimestamp(from), trace.WithAttributes(attributes...))
	span.End(trace.WithTimestamp(to))
}

// follow awaits the writes of an event's entries. Those that nobody writes, for
// want of tabs, are forgotten by and by.
func (s *Spans) follow(eventID string, span trace.SpanContext, entries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= maxFollowed/2 {
		s.young, s.old = map[string]*followed{}, s.young
	}
	s.young[eventID] = &followed{span, entries}
}

// written makes one span per entry: from when this node heard of it to the last
// write within the second. Later writes are in the event's trace, not here.
func (s *Spans) written(w hub.WorkspaceWrites) {
	if s == nil {
		return
	}
	for i := 0; i < len(w.Entries); {
		first, last, live, n := w.Entries[i], w.Entries[i].Last, 0, i
		for ; n < len(w.Entries) && w.Entries[n].Offset == first.Offset; n++ {
			live += w.Entries[n].Live
			if w.Entries[n].Last.After(last) {
				last = w.Entries[n].Last
			}
		}
		i = n
		parent, ok := s.take(first.EventID)
		if !ok || first.Heard.IsZero() {
			continue
		}
		s.span(trace.ContextWithSpanContext(context.Background(), parent), "write", first.Heard, last,
			attribute.Int64("orbit.offset", first.Offset), attribute.Int("orbit.sessions", live), attribute.String("orbit.node", s.node))
	}
}

// take finds the handling of an event whose entry was written.
func (s *Spans) take(eventID string) (trace.SpanContext, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, generation := range []map[string]*followed{s.young, s.old} {
		if f := generation[eventID]; f != nil {
			if f.left--; f.left <= 0 {
				delete(generation, eventID)
			}
			return f.span, true
		}
	}
	return trace.SpanContext{}, false
}
