package prove

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orbit/realtime/domain"
)

// silence is after how long without a byte a client gives a connection up: one
// and a half heartbeats, as the protocol says, and some for a busy machine.
const silence = heartbeat*3/2 + time.Second

// connect keeps one connection until it ends, or the tab has had enough of it.
func (tb *tab) connect(ctx context.Context, transport string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tb.mu.Lock()
	tb.drop = cancel
	tb.mu.Unlock()
	if tb.habit.stays > 0 && !tb.run.settling.Load() {
		timer := time.AfterFunc(around(tb.dice, tb.habit.stays), func() {
			if !tb.run.settling.Load() {
				cancel(errStayed)
			}
		})
		defer timer.Stop()
	}
	var err error
	switch transport {
	case "sse":
		err = tb.sse(ctx)
	case "poll":
		err = tb.poll(ctx)
	default:
		err = tb.ws(ctx, transport)
	}
	if cause := context.Cause(ctx); errors.Is(cause, errStayed) && !errors.Is(err, errGone) {
		return errStayed
	}
	return err
}

func (tb *tab) ws(ctx context.Context, transport string) error {
	q, position := tb.query()
	l := tb.newLink(position)
	d := websocket.Dialer{NetDialContext: tb.dial, HandshakeTimeout: 5 * time.Second, ReadBufferSize: 1024, WriteBufferSize: 256}
	if transport == "ws+batch" {
		d.Subprotocols = []string{"orbit.v1"}
	}
	conn, res, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(tb.base(), "http")+"/v1/ws?"+q.Encode(), http.Header{"Cookie": {tb.who.cookie}})
	if err != nil {
		if res != nil {
			defer res.Body.Close()
			if res.StatusCode == http.StatusUnauthorized {
				return errGone
			}
		}
		return err
	}
	defer func() { _ = conn.Close() }() // what ended it is known
	var clean atomic.Bool
	defer func() { l.ended(clean.Load()) }()
	// Half of those who leave say so; the others are just gone.
	goodbye := tb.dice.IntN(2) == 0
	defer context.AfterFunc(ctx, func() {
		if goodbye && errors.Is(context.Cause(ctx), errStayed) {
			clean.Store(true)
			_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		}
		_ = conn.Close()
	})()
	l.write = func(message any) error {
		_ = conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
		return conn.WriteJSON(message)
	}
	for {
		_ = conn.SetReadDeadline(time.Now().Add(silence + tb.habit.slow))
		_, data, err := conn.ReadMessage()
		if err != nil {
			if websocket.IsCloseError(err, 4400, 4401, 4403) {
				return fmt.Errorf("%w: %w", errGone, err)
			}
			return err
		}
		for line := range bytes.Lines(data) {
			if err := l.received(ctx, transport, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				return err
			}
		}
		tb.dawdle(ctx)
	}
}

// dawdle is what a slow reader does between two reads.
func (tb *tab) dawdle(ctx context.Context) {
	if tb.habit.slow > 0 && !tb.run.settling.Load() {
		sleep(ctx, around(tb.dice, tb.habit.slow))
	}
}

// request asks for a stream or an answer to a poll, and returns its body.
func (tb *tab) request(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Cookie", tb.who.cookie)
	dial := tb.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	transport := &http.Transport{DialContext: dial, DisableCompression: true, DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch res.StatusCode {
	case http.StatusOK:
		return res.Body, nil
	case http.StatusUnauthorized, http.StatusNoContent:
		err = errGone
	default:
		err = errors.New(res.Status)
	}
	res.Body.Close()
	return nil, err
}

func (tb *tab) sse(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence+5*time.Second, cancel)
	defer quiet.Stop()
	q, position := tb.query()
	l := tb.newLink(position)
	body, err := tb.request(ctx, tb.base()+"/v1/sse?"+q.Encode())
	if err != nil {
		return err
	}
	defer body.Close()
	defer l.ended(false)
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		quiet.Reset(silence)
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			if err := l.received(ctx, "sse", bytes.TrimSpace(data)); err != nil {
				return err
			}
		}
	}
}

func (tb *tab) poll(ctx context.Context) error {
	var l *link
	defer func() {
		if l != nil {
			l.ended(false)
		}
	}()
	for session := ""; ; {
		q, position := tb.query()
		if l == nil {
			l = tb.newLink(position)
		}
		l.asked, _ = domain.ParsePosition(position) // what a hello in the answer will answer to
		l.rooms = append([]string(nil), tb.rooms...)
		q.Set("session", session)
		q.Set("wait", "2")
		events, at, err := tb.pollOnce(ctx, tb.base()+"/v1/poll?"+q.Encode())
		if err != nil {
			return err
		}
		for _, line := range events {
			w, _ := decode(line) // received complains
			if w.Session != "" {
				session = w.Session
			}
			if err := l.received(ctx, "poll", line); err != nil {
				return err
			}
		}
		if err := l.claimed(at); err != nil {
			return err
		}
		tb.dawdle(ctx)
	}
}

func (tb *tab) pollOnce(ctx context.Context, url string) (events []json.RawMessage, position string, err error) {
	ctx, cancel := context.WithTimeout(ctx, silence+2*time.Second)
	defer cancel()
	body, err := tb.request(ctx, url)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	var answer struct {
		Position string            `json:"position"`
		Events   []json.RawMessage `json:"events"`
	}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return nil, "", err
	}
	return answer.Events, answer.Position, nil
}

// claimed records the position that a poll's answer gives.
func (l *link) claimed(position string) error {
	p, err := domain.ParsePosition(position)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.index < 0 {
		return nil // nobody has said hello: an overtaken poll
	}
	f := pollFrame(l.run.now(), p, l.epoch)
	conn := &l.record.Connections[l.index]
	conn.Frames = append(conn.Frames, f)
	if !l.gap {
		l.pos = max(l.pos, p.Offset)
	}
	return nil
}
