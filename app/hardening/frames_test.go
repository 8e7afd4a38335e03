package hardening

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// frames is what a client sends on an open WebSocket, and the server's exact
// words: see raw.outcome. Where the connection lives, it is seen to live.
type frames struct {
	name string
	send string
	want []string
}

const pingMessage = `{"type":"ping"}`

// ends is what a client hears that broke the protocol.
func ends(code string) []string { return []string{"close:" + code, "end"} }

var heartbeat = []string{"system.heartbeat"}

// protocolFrames follow the cases of the Autobahn suite: framing, pings,
// reserved bits, opcodes, fragmentation, UTF-8, limits and closing.
func protocolFrames() []frames {
	list := []frames{
		// Framing
		{"an unmasked frame", "\x81\x0f" + pingMessage, ends("1002")},
		{"an empty text", whole(""), []string{"error:invalid"}},
		{"a mask of zeros", "\x81\x8f\x00\x00\x00\x00" + pingMessage, heartbeat},
		{"a length of 16 bits", whole(pingMessage + strings.Repeat(" ", 200)), heartbeat},
		{"a length of 64 bits with the top bit", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", ends("4413")}, // too large before it is malformed
		{"a length of 2^62", "\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ends("4413")},
		{"a length of 2^63-1", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", ends("4413")},
		{"a message of 4,096 bytes", whole(pingMessage + strings.Repeat(" ", 4096-len(pingMessage))), heartbeat},
		{"a message of 4,097 bytes", whole(pingMessage + strings.Repeat(" ", 4097-len(pingMessage))), ends("4413")},
		{"a binary message", frame(fin|binaryFrame, pingMessage), []string{"error:invalid"}},
		// Pings
		{"an empty ping", frame(fin|ping, ""), []string{"pong:"}},
		{"a ping of 125 bytes", frame(fin|ping, strings.Repeat("\xfe", 125)), []string{"pong:" + strings.Repeat("\xfe", 125)}},
		{"a ping of 126 bytes", frame(fin|ping, strings.Repeat("x", 126)), ends("1002")},
		{"a ping of 64 KB", frame(fin|ping, strings.Repeat("x", 1<<16)), ends("1002")},
		{"a fragmented ping", frame(ping, "x") + frame(fin|cont, "y"), ends("1002")},
		{"an unmasked ping", "\x89\x00", ends("1002")},
		{"a pong that nobody asked for", frame(fin|pong, "hello") + whole(pingMessage), heartbeat},
		{"a fragmented pong", frame(pong, "x"), ends("1002")},
		{"ten pings", strings.Repeat(frame(fin|ping, "x"), 10), []string{"pong:x", "pong:x", "pong:x", "pong:x", "pong:x", "pong:x", "pong:x", "pong:x", "pong:x", "pong:x"}},
		// Fragmentation
		{"two fragments", frame(text, `{"type":`) + frame(fin|cont, `"ping"}`), heartbeat},
		{"a byte a fragment", fragments(pingMessage, 1), heartbeat},
		{"empty fragments", frame(text, "") + frame(cont, "") + frame(cont, "") + frame(fin|cont, pingMessage), heartbeat},
		{"a ping between fragments", frame(text, `{"type":`) + frame(fin|ping, "p") + frame(fin|cont, `"ping"}`), []string{"pong:p", "system.heartbeat"}},
		{"the end without a beginning", frame(fin|cont, pingMessage), ends("1002")},
		{"the middle without a beginning", frame(cont, pingMessage), ends("1002")},
		{"a beginning after a beginning", frame(text, `{"type":`) + whole(pingMessage), ends("1002")},
		{"binary after a beginning", frame(text, `{"type":`) + frame(fin|binaryFrame, "x"), ends("1002")},
		{"fragments of 5,000 bytes in all", fragments(strings.Repeat(" ", 5000), 100), ends("4413")},
		{"binary fragments of 5,000 bytes in all", frame(binaryFrame, strings.Repeat(" ", 4000)) + frame(fin|cont, strings.Repeat(" ", 1000)), ends("4413")},
		// UTF-8
		{"text that isn't", whole("{\"type\":\"ping\",\"x\":\"\xc3\x28\"}"), ends("1007")},
		{"a character over two fragments", frame(text, "{\"type\":\"ping\",\"x\":\"\xc3") + frame(fin|cont, "\xa9\"}"), heartbeat},
		{"half a character over two fragments", frame(text, "{\"type\":\"ping\",\"x\":\"\xc3") + frame(fin|cont, "\"}"), ends("1007")},
		{"an overlong slash", whole("\"\xc0\xaf\""), ends("1007")},
		{"an overlong NUL", whole("\"\xe0\x80\x80\""), ends("1007")},
		{"a surrogate", whole("\"\xed\xa0\x80\""), ends("1007")},
		{"beyond Unicode", whole("\"\xf4\x90\x80\x80\""), ends("1007")},
		{"five bytes for one", whole("\"\xf8\x88\x80\x80\x80\""), ends("1007")},
		{"a continuation byte alone", whole("\"\x80\""), ends("1007")},
		{"cut off within a character", whole("\"\xf0\x9f\x98"), ends("1007")},
		{"the last of Unicode", whole("{\"type\":\"ping\",\"x\":\"\xf4\x8f\xbf\xbf\"}"), heartbeat},
		// Closing
		{"a close of one byte", frame(fin|closing, "\x03"), []string{"close", "end"}}, // to gorilla, as good as none,
		{"a close of 126 bytes", closeFrame(1000, strings.Repeat("x", 124)), ends("1002")},
		{"a fragmented close", frame(closing, "\x03\xe8"), ends("1002")},
		{"a close whose reason isn't UTF-8", closeFrame(1000, "\xff"), ends("1002")},
		{"a close without a code", frame(fin|closing, ""), []string{"close", "end"}},
		{"a close of 125 bytes", closeFrame(1000, strings.Repeat("x", 123)), ends("1000")},
		{"a close amid fragments", frame(text, `{"type":`) + closeFrame(1000, ""), ends("1000")},
		{"a ping after the close", closeFrame(1000, "") + frame(fin|ping, "x"), ends("1000")},
		{"a message after the close", closeFrame(1000, "") + whole(pingMessage), ends("1000")},
		{"two closes", closeFrame(1000, "") + closeFrame(1001, ""), ends("1000")},
		// Not frames at all
		{"HTTP on a WebSocket", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ends("1002")},
		{"a TLS hello on a WebSocket", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ends("1002")},
	}
	for bits, name := range map[byte]string{0x40: "1", 0x20: "2", 0x10: "3", 0x70: "1, 2 and 3"} {
		list = append(list,
			frames{"reserved bit " + name, frame(fin|bits|text, pingMessage), ends("1002")},
			frames{"reserved bit " + name + " on a ping", frame(fin|bits|ping, ""), ends("1002")})
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		list = append(list, frames{"opcode " + string("0123456789abcdef"[opcode]), frame(fin|opcode, "x"), ends("1002")})
	}
	// 1009 comes back as ours, for the same wire exchanges gorilla's own: see ws.
	for code, want := range map[int]string{
		0: "1002", 999: "1002", 1004: "1002", 1005: "1002", 1006: "1002", 1015: "1002", 1016: "1002", 1100: "1002",
		2000: "1002", 2999: "1002", 5000: "1002", 65535: "1002",
		1000: "1000", 1001: "1001", 1002: "1002", 1003: "1003", 1007: "1007", 1008: "1008", 1009: "4413", 1010: "1010", 1011: "1011",
		3000: "3000", 3999: "3999", 4000: "4000", 4999: "4999",
	} {
		list = append(list, frames{"close code " + strconv.Itoa(code), closeFrame(code, "because"), ends(want)})
	}
	return list
}

// fragments cuts a text message into pieces of size bytes.
func fragments(message string, size int) string {
	var b strings.Builder
	for i := 0; i < len(message); i += size {
		op, end := byte(cont), min(i+size, len(message))
		if i == 0 {
			op = text
		}
		if end == len(message) {
			op |= fin
		}
		b.WriteString(frame(op, message[i:end]))
	}
	return b.String()
}

// messages are well-formed frames, and no good as messages.
func messages(privateRoom string) []frames {
	bad := []string{"error:invalid"}
	room := func(id string) string { return whole(`{"type":"subscribe","room":"` + id + `","ref":7}`) }
	list := []frames{
		{"not JSON", whole("hello"), bad},
		{"null", whole("null"), bad},
		{"a list", whole("[" + pingMessage + "]"), bad},
		{"a number", whole("7"), bad},
		{"half of JSON", whole(`{"type":`), bad},
		{"two objects", whole(pingMessage + pingMessage), bad},
		{"no type", whole(`{}`), bad},
		{"an unknown type", whole(`{"type":"shout"}`), bad},
		{"a server's type", whole(`{"type":"system.goodbye"}`), bad},
		{"a type of another type", whole(`{"type":["ping"]}`), bad},
		{"a type in other case", whole(`{"type":"PING"}`), bad},
		{"1,020 levels", whole(strings.Repeat(`{"":`, 1020)), bad},
		{"a ref of another type", whole(`{"type":"ping","ref":"1"}`), bad},
		{"a ref with a fraction", whole(`{"type":"ping","ref":1.5}`), bad},
		{"a ref over 64 bits", whole(`{"type":"ping","ref":9223372036854775808}`), bad},
		{"a room of another type", whole(`{"type":"subscribe","room":1}`), bad},
		{"no room", whole(`{"type":"subscribe"}`), bad},
		{"a room that is no id", room("../../etc"), bad},
		{"a channel for a room", room("workspace:ws_1"), bad},
		{"a long room", room(strings.Repeat("r", 65)), bad},
		{"a room that isn't there", room("room_nowhere"), []string{"error:not_found"}},
		{"somebody else's room", room(privateRoom), []string{"error:not_found"}},
		{"to leave where one isn't", whole(`{"type":"unsubscribe","room":"room_nowhere"}`), []string{"system.unsubscribed"}},
		{"a position of another type", whole(`{"type":"subscribe","room":"r","position":1}`), bad},
		{"what is to come", whole(`{"type":"ping","later":{"a":[1]}}`), heartbeat},
	}
	return list
}

// talk sends each on a connection of its own.
func (w *world) talk(t *testing.T, cookie *http.Cookie, list []frames, after func(t *testing.T)) {
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			c := w.open(t, cookie)
			c.write(f.send)
			got := c.outcome(func(words []string) bool { return len(words) >= len(f.want) })
			require.Equal(t, f.want, got)
			if got[len(got)-1] != "end" {
				c.write(frame(fin|ping, "alive?"))
				require.Equal(t, []string{"pong:alive?"}, c.outcome(func(words []string) bool { return len(words) >= 1 }), "the connection lives")
				c.write(closeFrame(1000, ""))
			}
			after(t)
		})
	}
}
