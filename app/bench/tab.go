package bench

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
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// openTimeout bounds the way to system.live.
const openTimeout = 30 * time.Second

// tab is one open connection.
type tab struct {
	node     int    // its place in Target.Nodes
	position string // after the replay
	replayed int    // events with a stamp that came before system.live
	// next blocks for the next server events and says when they arrived.
	next  func() (events [][]byte, at time.Time, err error)
	close func()
}

// event is as much of a server event as a load client looks at.
type event struct {
	ID     string   `json:"id"` // the position
	Type   string   `json:"type"`
	Cause  string   `json:"cause"`
	Causes []string `json:"causes"`
}

// openTab connects from the local address given (nil: any) and returns once
// the server has said system.live: an open socket proves nothing.
func openTab(ctx context.Context, target Target, local net.IP) (*tab, error) {
	dialer := net.Dialer{Timeout: openTimeout}
	if local != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: local}
	}
	open := openWebSocket
	if target.Transport == SSE {
		open = openSSE
	}
	t, err := open(ctx, target, dialer.DialContext)
	if err != nil {
		return nil, err
	}
	opening, opened := context.WithTimeout(ctx, openTimeout)
	defer opened()
	defer context.AfterFunc(opening, t.close)()
	for {
		events, _, err := t.next()
		if err != nil {
			t.close()
			return nil, fmt.Errorf("the tab closed before system.live: %w", err)
		}
		live := false
		for _, data := range events {
			var ev event
			if err := json.Unmarshal(data, &ev); err != nil {
				t.close()
				return nil, fmt.Errorf("not a server event: %w", err)
			}
			if ev.ID != "" {
				t.position = ev.ID
			}
			switch ev.Type {
			case "system.live":
				live = true // what follows in the same message counts as well
			case "system.resync":
				t.close()
				return nil, errors.New("the server has no replay for the position")
			}
			if _, ours := sentAt(data); ours {
				t.replayed++
			}
		}
		if live {
			return t, nil
		}
	}
}

// watch notes every event that has a cause, until the tab closes.
func (t *tab) watch(s *sightings) {
	for {
		events, at, err := t.next()
		if err != nil {
			return
		}
		for _, data := range events {
			var ev event
			if json.Unmarshal(data, &ev) == nil && ev.Cause != "" {
				s.note(ev.Cause, at)
				for _, cause := range ev.Causes {
					s.note(cause, at)
				}
			}
		}
	}
}

// discard reads and forgets, until the tab closes. An idle tab needs it too:
// pings are answered while reading.
func (t *tab) discard() {
	for {
		if _, _, err := t.next(); err != nil {
			return
		}
	}
}

type dial func(ctx context.Context, network, addr string) (net.Conn, error)

func openWebSocket(ctx context.Context, target Target, dial dial) (*tab, error) {
	d := websocket.Dialer{
		NetDialContext: dial, HandshakeTimeout: openTimeout,
		ReadBufferSize: 1024, WriteBufferSize: 256, // thousands of tabs live in one load process
	}
	if !target.Plain {
		d.Subprotocols = []string{"orbit.v1"}
	}
	address := "ws" + strings.TrimPrefix(target.url("/v1/ws"), "http")
	conn, res, err := d.DialContext(ctx, address, http.Header{"Cookie": {target.Cookie}})
	if res != nil {
		defer res.Body.Close()
	}
	if err != nil {
		if res != nil {
			err = refused(res) // it knows more than "bad handshake"
		}
		return nil, err
	}
	return &tab{
		next: func() ([][]byte, time.Time, error) {
			_, data, err := conn.ReadMessage()
			return bytes.Split(data, []byte("\n")), time.Now(), err
		},
		close: func() { _ = conn.Close() },
	}, nil
}

func openSSE(ctx context.Context, target Target, dial dial) (*tab, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.url("/v1/sse"), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Cookie", target.Cookie)
	transport := &http.Transport{
		DialContext: dial, DisableCompression: true, DisableKeepAlives: true, ResponseHeaderTimeout: openTimeout,
	}
	res, err := transport.RoundTrip(req) //nolint:bodyclose // the tab reads it until close
	if err == nil && res.StatusCode != http.StatusOK {
		err = refused(res)
		res.Body.Close()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	lines := bufio.NewReader(res.Body)
	return &tab{
		next: func() ([][]byte, time.Time, error) {
			for {
				line, err := lines.ReadBytes('\n')
				if err != nil {
					return nil, time.Time{}, err
				}
				if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
					return [][]byte{bytes.TrimSpace(data)}, time.Now(), nil
				}
			}
		},
		close: func() { cancel(); res.Body.Close() },
	}, nil
}

// refused tells what the server answered.
func refused(res *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1024))
	return fmt.Errorf("the server refused the tab with status %d: %s", res.StatusCode, bytes.TrimSpace(body))
}

func (t Target) url(path string) string {
	query := url.Values{"workspace": {t.Workspace}}
	if t.Position != "" {
		query.Set("position", t.Position)
	}
	if len(t.Rooms) > 0 {
		query.Set("rooms", strings.Join(t.Rooms, ","))
	}
	return strings.TrimSuffix(t.BaseURL, "/") + path + "?" + query.Encode()
}
