package console

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// Streams: how often the status is told, how long one write may take, and how
// many streams there may be at once.
const (
	livePeriod = time.Second
	writeWait  = 10 * time.Second
	maxStreams = 64
)

// stream is an answer that goes on until the client leaves, the console session
// ends, or the server stops.
type stream struct {
	ctx  context.Context
	end  context.CancelFunc
	mu   sync.Mutex // one write at a time
	w    http.ResponseWriter
	conn *http.ResponseController
	live func() bool // the caller may still see this
}

// stream begins one. end must be called.
func (c *Console) stream(w http.ResponseWriter, r *http.Request, mediaType string) (s *stream, end func(), err error) {
	if c.streams.Add(1) > maxStreams {
		c.streams.Add(-1)
		return nil, nil, domain.Errorf(domain.CodeUnavailable, "there are %d streams to operators already", maxStreams)
	}
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(c.closing, cancel)
	s = &stream{ctx: ctx, end: cancel, w: w, conn: http.NewResponseController(w), live: func() bool {
		_, _, err := c.gate.identify(r)
		return err == nil
	}}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	return s, func() { stop(); cancel(); c.streams.Add(-1) }, nil
}

// write sends a piece at once. A failure ends the stream.
func (s *stream) write(piece []byte) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if err != nil {
			s.end()
		}
	}()
	if err := s.ctx.Err(); err != nil {
		return err
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeWait)) // no connection: nothing to limit
	if _, err := s.w.Write(piece); err != nil {
		return err
	}
	return s.conn.Flush()
}

// event sends one server-sent event; data may have several lines.
func (s *stream) event(name string, data []byte) error {
	var b bytes.Buffer
	b.WriteString("event: " + name + "\n")
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return s.write(b.Bytes())
}

// every calls tick now and each period, until it fails or the stream ends.
func (s *stream) every(period time.Duration, tick func() error) error {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		if !s.live() {
			s.end()
			return nil
		}
		if err := tick(); err != nil {
			return err
		}
		select {
		case <-s.ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// live is the API's stream of the status and of changes in the queue.
func live(c *call) error {
	s, end, err := c.stream(c.w, c.r, "text/event-stream")
	if err != nil {
		return err
	}
	defer end()
	var before map[domain.PoisonState]int
	// An error is the client's end, or a database that is away for a moment:
	// the stream has begun, and a client comes back.
	_ = s.every(livePeriod, func() error {
		if c.Monitor != nil {
			st := c.Monitor.Status(s.ctx)
			st.Series = []domain.Sample{}
			if err := s.json("status", st); err != nil {
				return err
			}
		}
		counts, err := c.Count(s.ctx, domain.PoisonFilter{})
		if err != nil || maps.Equal(before, counts) {
			return err
		}
		before = counts
		return s.json("poison", map[string]any{"counts": counts})
	})
	return nil
}

func (s *stream) json(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.event(name, data)
}

// tailSilence is how long a tail says nothing before an empty line shows either
// end whether the other is there.
const tailSilence = 15 * time.Second

// tail streams a workspace's events, one JSON object a line. What goes wrong
// after the stream began is its last line: {"problem": "…"}.
func tail(c *call) error {
	workspace, after := c.query.text("workspace"), c.query.text("after")
	if workspace == "" {
		c.query.fail("workspace", "whose events? workspace is a slug or an id")
	}
	if after != "" {
		if _, err := domain.ParsePosition(after); err != nil {
			c.query.fail("after", "that is not a position; one is <epoch>-<offset>")
		}
	}
	if c.query.err != nil {
		return c.query.err
	}
	if c.Tail == nil {
		return absent("a tail")
	}
	w, err := c.workspace(c.r.Context(), workspace)
	if err != nil {
		return err
	}
	s, end, err := c.stream(c.w, c.r, "application/x-ndjson")
	if err != nil {
		return err
	}
	var beating sync.WaitGroup
	defer beating.Wait() // behind end: nothing may write when the handler has returned
	defer end()
	if s.write(nil) != nil {
		return nil
	}
	beating.Go(func() { _ = s.every(tailSilence, func() error { return s.write([]byte("\n")) }) })
	err = c.Follow(s.ctx, c.who, w.ID, after, func(e TailEvent) error { return s.line(e) })
	if err != nil && s.ctx.Err() == nil {
		_ = s.line(map[string]string{"problem": problem.Coded(err).Message}) // it ends either way
	}
	return nil
}

func (s *stream) line(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write(append(line, '\n'))
}
