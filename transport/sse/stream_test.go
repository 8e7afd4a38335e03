package sse

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

// connWriter is a ResponseWriter whose write deadline can be seen.
type connWriter struct {
	*httptest.ResponseRecorder
	deadline time.Time
	flushErr error
}

func (w *connWriter) SetWriteDeadline(t time.Time) error { w.deadline = t; return nil }
func (w *connWriter) FlushError() error                  { return w.flushErr }

// wrapper stands for gin's writer: it has a Flush without an error.
type wrapper struct{ http.ResponseWriter }

func (w wrapper) Flush()                      {}
func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A ResponseController over gin's writer would report success for ever.
func TestFlushErrorsAreSeen(t *testing.T) {
	gone := errors.New("connection reset")
	w := &connWriter{ResponseRecorder: httptest.NewRecorder(), flushErr: gone}
	st := newStream(wrapper{wrapper{w}}, time.Second)
	require.ErrorIs(t, st.write([]byte("data: {}\n\n")), gone)
}

// While a stream idles it has no deadline; once it is ending, no write moves
// the deadline away again.
func TestDeadlines(t *testing.T) {
	w := &connWriter{ResponseRecorder: httptest.NewRecorder()}
	st := newStream(w, time.Hour)
	require.NoError(t, st.write(nil))
	require.Zero(t, w.deadline)

	st.end(domain.CloseDraining, hub.CloseInfo{})
	require.WithinDuration(t, time.Now(), w.deadline, time.Minute)
	require.NoError(t, st.write(nil))
	require.Equal(t, st.ending, w.deadline)
}

// A stream that is over leaves no deadline behind, not even when the hub ends
// its session at the last moment: the connection may carry another request.
func TestClosedStreamLeavesNoDeadline(t *testing.T) {
	w := &connWriter{ResponseRecorder: httptest.NewRecorder()}
	st := newStream(w, time.Hour)
	st.end(domain.CloseDraining, hub.CloseInfo{})
	st.close()
	require.Zero(t, w.deadline)

	st = newStream(w, time.Hour)
	st.close()
	st.end(domain.CloseDraining, hub.CloseInfo{})
	require.Zero(t, w.deadline)
	require.Empty(t, st.ended)
}

func TestEncode(t *testing.T) {
	require.Equal(t, "id: e1-7\ndata: {\"a\":1}\n\ndata: {}\n\n", string(encode([]hub.Frame{
		{ID: "e1-7", Data: []byte(`{"a":1}`)}, {Data: []byte(`{}`)},
	})))
}
