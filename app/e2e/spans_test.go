package e2e

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlp is a collector that keeps what it is sent.
type otlp struct {
	mu      sync.Mutex
	spans   []*spans.Span
	service string
}

func (o *otlp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	raw, err := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(raw, &request) != nil {
		http.Error(w, "not an export of spans", http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, attribute := range resource.Resource.Attributes {
			if attribute.Key == "service.name" {
				o.service = attribute.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			o.spans = append(o.spans, scope.Spans...)
		}
	}
}

// of returns a trace's spans by name.
func (o *otlp) of(trace string) map[string]*spans.Span {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := map[string]*spans.Span{}
	for _, s := range o.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			found[s.Name] = s
		}
	}
	return found
}

// One trace from the browser's request to the write on the other tab's socket,
// at a real collector's endpoint.
func TestSpansFromTheCommandToTheWrite(t *testing.T) {
	o := &otlp{}
	server := httptest.NewServer(o)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_SERVICE_NAME", "orbit-test")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	each(t, func(t *testing.T, dsn string) {
		a := start(t, testConfig(dsn))
		owner := login(t, a.BaseURL(), "owner")
		snap := owner.snapshot(t, "acme")
		tb := openTab(t, owner, "acme", snap.Position, nil, always("ws"))
		tb.waitLive()

		const browser = "b7ad6b7169203331"
		id16 := uuid.New()
		traceID := hex.EncodeToString(id16[:])
		owner.trace = "00-" + traceID + "-" + browser + "-01"
		id := owner.do(t, 201, "POST", "/v1/workspaces/acme/teams", map[string]string{"name": "Spans"}).eventID
		tb.waitCause(id)

		var got map[string]*spans.Span
		require.Eventually(t, func() bool { got = o.of(traceID); return len(got) == 6 }, 30*time.Second, 20*time.Millisecond)
		post, handle := got["POST /v1/workspaces/:slug/teams"], got["handle workspaces.team.created"]
		require.NotNil(t, post)
		require.NotNil(t, handle)
		require.Equal(t, browser, hex.EncodeToString(post.ParentSpanId))
		for name, parent := range map[string]*spans.Span{
			"outbox": post, handle.Name: post, "project": handle, "commit": handle, "write": handle,
		} {
			require.NotNil(t, got[name], name)
			require.Equal(t, hex.EncodeToString(parent.SpanId), hex.EncodeToString(got[name].ParentSpanId), name)
			require.LessOrEqual(t, got[name].StartTimeUnixNano, got[name].EndTimeUnixNano, name)
		}
		require.LessOrEqual(t, got["outbox"].EndTimeUnixNano, got["project"].EndTimeUnixNano)
		require.LessOrEqual(t, got["project"].EndTimeUnixNano, got["commit"].StartTimeUnixNano)
		o.mu.Lock()
		defer o.mu.Unlock()
		require.Equal(t, "orbit-test", o.service)
	})
}
