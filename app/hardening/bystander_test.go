package hardening

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// event is a server event, as far as these tests look at it.
type event struct {
	Type, ID, Channel, Session, Reason string
	Code                               any
	Ref                                *int64
	Message                            json.RawMessage // an entity, or the text of an error
	Member                             struct{ ID string }
}

// told begins what is posted for bystanders to hear.
const told = "after "

// bystander is a tab that did nothing wrong. It never reconnects: whatever ends
// it is a failure.
type bystander struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	changed *sync.Cond
	live    bool
	heard   []string // the texts posted in its room, in order
	err     error
}

// watch opens a tab on each transport.
func (w *world) watch(t *testing.T, as *http.Cookie, room string) []*bystander {
	t.Helper()
	var all []*bystander
	for name, read := range map[string]func(context.Context, *http.Cookie, string, *bystander) error{
		"ws": w.readWS, "sse": w.readSSE, "poll": w.readPoll,
	} {
		ctx, cancel := context.WithCancel(context.Background())
		b := &bystander{name: name, cancel: cancel, done: make(chan struct{})}
		b.changed = sync.NewCond(&b.mu)
		go func() {
			defer close(b.done)
			err := read(ctx, as, room, b)
			b.mu.Lock()
			b.err = fmt.Errorf("the tab over %s ended: %w", b.name, err)
			b.changed.Broadcast()
			b.mu.Unlock()
		}()
		t.Cleanup(b.close)
		b.wait(t, func() bool { return b.live })
		all = append(all, b)
	}
	return all
}

func (b *bystander) close() { b.cancel(); <-b.done }

func (b *bystander) apply(line []byte) error {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("%w: %s", err, line)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Type {
	case "system.live":
		b.live = true
	case "room.message.posted":
		var message struct{ Body string }
		if err := json.Unmarshal(e.Message, &message); err != nil {
			return err
		}
		if strings.HasPrefix(message.Body, told) { // the demo's own may still come
			b.heard = append(b.heard, message.Body)
		}
	case "system.resync", "system.goodbye":
		return fmt.Errorf("it was sent %s", line)
	}
	b.changed.Broadcast()
	return nil
}

// wait blocks until ok holds; the tab's end, or patience, fails the test.
func (b *bystander) wait(t *testing.T, ok func() bool) {
	t.Helper()
	late := false
	timer := afterPatience(func() { b.mu.Lock(); late = true; b.changed.Broadcast(); b.mu.Unlock() })
	defer timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for !ok() {
		if b.err != nil || late {
			t.Fatalf("%s: late %t, %v; heard %d", b.name, late, b.err, len(b.heard))
		}
		b.changed.Wait()
	}
}

// heardAll waits for the last of texts and compares: each once, in order.
func (b *bystander) heardAll(t *testing.T, texts []string) {
	t.Helper()
	b.wait(t, func() bool { return slices.Contains(b.heard, texts[len(texts)-1]) })
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Len(t, b.heard, len(texts), b.name)
	for i := range texts {
		require.Equal(t, texts[i], b.heard[i], b.name)
	}
}

func (w *world) readWS(ctx context.Context, as *http.Cookie, room string, b *bystander) error {
	conn, resp, err := websocket.DefaultDialer.DialContext(ctx, "ws"+w.BaseURL()[4:]+"/v1/ws"+query("rooms", room), http.Header{"Cookie": {as.String()}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for {
		_, data, err := conn.ReadMessage()
		if err == nil {
			err = b.apply(data)
		}
		if err != nil {
			return err
		}
	}
}

func (w *world) get(ctx context.Context, as *http.Cookie, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.BaseURL()+path, nil)
	if err != nil {
		return nil, err
	}
	req.AddCookie(as)
	resp, err := http.DefaultClient.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp, err
}

func (w *world) readSSE(ctx context.Context, as *http.Cookie, room string, b *bystander) error {
	resp, err := w.get(ctx, as, "/v1/sse"+query("rooms", room))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadBytes('\n')
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); err == nil && ok {
			err = b.apply(data)
		}
		if err != nil {
			return err
		}
	}
}

func (w *world) readPoll(ctx context.Context, as *http.Cookie, room string, b *bystander) error {
	var answer struct {
		Position string
		Events   []json.RawMessage
	}
	for session := ""; ; {
		resp, err := w.get(ctx, as, "/v1/poll"+query("rooms", room, "session", session, "position", answer.Position))
		if err != nil {
			return err
		}
		answer.Events = nil
		err = json.NewDecoder(resp.Body).Decode(&answer)
		resp.Body.Close()
		if err != nil {
			return err
		}
		for _, raw := range answer.Events {
			if strings.Contains(string(raw), `"system.hello"`) {
				var hello event
				if err := json.Unmarshal(raw, &hello); err != nil {
					return err
				}
				session = hello.Session
			}
			if err := b.apply(raw); err != nil {
				return err
			}
		}
	}
}
