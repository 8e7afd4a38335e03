package sse

import (
	"net/http"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

const (
	// batchBytes is about how much is written before a flush.
	batchBytes = 64 << 10
	// closeWait is how long an ending stream may take for what it still has to
	// write. A reader that is slower is cut.
	closeWait = 250 * time.Millisecond
)

// stream is the writing side of one answer.
type stream struct {
	w         http.ResponseWriter
	control   *http.ResponseController
	writeWait time.Duration
	ready     chan struct{} // the session may have something
	ended     chan goodbye  // the hub ended the session

	mu     sync.Mutex
	ending time.Time // when the last write must be done; zero while the stream lives
	closed bool
}

type goodbye struct {
	code  domain.CloseCode
	delay time.Duration
}

func newStream(w http.ResponseWriter, writeWait time.Duration) *stream {
	return &stream{
		w:         w,
		control:   http.NewResponseController(innermost(w)),
		writeWait: writeWait,
		ready:     make(chan struct{}, 1),
		ended:     make(chan goodbye, 1),
	}
}

// innermost unwraps w: gin's writer has a Flush without an error, which a
// ResponseController prefers over looking further, and a client that is gone
// would go unnoticed.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// wake is the session's OnReady.
func (s *stream) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// end is the session's OnClose. A write that is stuck gets closeWait.
func (s *stream) end(code domain.CloseCode, info hub.CloseInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.ending = time.Now().Add(closeWait)
	_ = s.control.SetWriteDeadline(s.ending) // a stuck write notices
	s.ended <- goodbye{code, info.Delay}
}

// close gives the connection back to net/http as it was: it may carry another
// request now, which must not meet our deadline.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	_ = s.control.SetWriteDeadline(time.Time{})
}

// open sends the headers and the first bytes.
func (s *stream) open(first []byte) error {
	// The server's ReadTimeout is for requests. While we write, net/http reads
	// on to notice a client that goes, and would take the timeout for one.
	_ = s.control.SetReadDeadline(time.Time{})
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx buffers without it
	s.w.WriteHeader(http.StatusOK)
	return s.write(first)
}

// write writes and flushes, with a deadline of its own: the server's
// WriteTimeout counts from the request on and would end every stream.
func (s *stream) write(p []byte) error {
	s.deadline(time.Now().Add(s.writeWait))
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	s.deadline(time.Time{}) // HTTP/2 resets a stream whose deadline passes while it is idle
	return nil
}

// deadline sets the write deadline, unless the stream is ending and has a
// nearer one. Errors mean a writer without deadlines, as under a test.
func (s *stream) deadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ending.IsZero() {
		t = s.ending
	}
	_ = s.control.SetWriteDeadline(t)
}

// encode renders frames as events without an event field, so that onmessage
// sees all of them. An event without a position leaves the browser's last
// event id as it is.
func encode(frames []hub.Frame) []byte {
	size := 0
	for _, f := range frames {
		size += len(f.ID) + len(f.Data) + len("id: \ndata: \n\n")
	}
	out := make([]byte, 0, size)
	for _, f := range frames {
		if f.ID != "" {
			out = append(out, "id: "...)
			out = append(out, f.ID...)
			out = append(out, '\n')
		}
		out = append(out, "data: "...)
		out = append(out, f.Data...)
		out = append(out, "\n\n"...)
	}
	return out
}
