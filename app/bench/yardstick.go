package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// Yardstick is the least that a WebSocket broadcaster can do: it makes a frame
// once and writes it to every socket, one after the other. It authenticates
// nobody, remembers nothing, and waits for the slowest reader. What another
// server needs beyond it is the price of what it promises.
//
// GET /v1/ws subscribes; POST /publish sends its body's text to all, in an event
// of the size given, and answers 204 when it is written.
type Yardstick struct {
	EventBytes int // size of an event, default 256

	mu    sync.Mutex
	conns []net.Conn
	sent  int64
}

func (y *Yardstick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/v1/ws":
		y.subscribe(w, r)
	case r.Method == http.MethodPost && r.URL.Path == "/publish":
		body, err := io.ReadAll(io.LimitReader(r.Body, 1024))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		y.broadcast(string(body))
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

func (y *Yardstick) subscribe(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{ReadBufferSize: 512, WriteBufferSize: 512}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // answered
	}
	defer func() { _ = ws.Close() }()
	conn := ws.NetConn()
	// Under the lock: who hears that it is live gets what is published from then on.
	y.mu.Lock()
	_, err = conn.Write(textFrame([]byte(`{"type":"system.live"}`)))
	if err == nil {
		y.conns = append(y.conns, conn)
	}
	y.mu.Unlock()
	if err != nil {
		return
	}
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			y.mu.Lock()
			defer y.mu.Unlock()
			y.conns = slices.DeleteFunc(y.conns, func(c net.Conn) bool { return c == conn })
			return
		}
	}
}

func (y *Yardstick) broadcast(body string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.sent++
	event := fmt.Sprintf(`{"id":"e-%d","type":"yardstick","body":"%s","pad":"`, y.sent, body)
	event += strings.Repeat("x", max(0, orDefault(y.EventBytes, 256)-len(event)-2)) + `"}`
	frame := textFrame([]byte(event))
	for _, conn := range y.conns {
		// One that is gone is removed by its reader.
		_, _ = conn.Write(frame)
	}
}

// textFrame is a server's unfragmented text message (RFC 6455, section 5.2).
func textFrame(payload []byte) []byte {
	frame := []byte{0x80 | websocket.TextMessage}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
	}
	return append(frame, payload...)
}
