package ws

import (
	"bufio"
	"bytes"
	"net"
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/orbit/realtime/domain"
)

// gorilla refuses an oversized message from its frame header, before a byte of
// it is in memory, and writes close code 1009 by itself. Our close codes tell
// a client more, so the frame is exchanged on its way to the network.
var (
	closeTooBig   = closeFrame(websocket.CloseMessageTooBig, "")
	closeTooLarge = closeFrame(domain.CloseMessageTooLarge.Code, domain.CloseMessageTooLarge.Name)
)

// closeFrame is a server's close frame on the wire (RFC 6455, section 5.2).
func closeFrame(code int, text string) []byte {
	payload := websocket.FormatCloseMessage(code, text)
	return append([]byte{0x80 | websocket.CloseMessage, byte(len(payload))}, payload...)
}

// hijacker gives the upgrade a connection that exchanges the frame.
type hijacker struct{ http.ResponseWriter }

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return tcpSocket{tcp}, buffered, nil
	}
	return socket{conn}, buffered, nil
}

// tcpSocket embeds *net.TCPConn rather than net.Conn, for then a frame's header
// and payload still go out in one writev (see net.Buffers).
type tcpSocket struct{ *net.TCPConn }

func (s tcpSocket) Write(p []byte) (int, error) { return exchange(s.TCPConn, p) }

// socket is any other connection, such as TLS.
type socket struct{ net.Conn }

func (s socket) Write(p []byte) (int, error) { return exchange(s.Conn, p) }

// NetConn is the connection below TLS.
func (s socket) NetConn() net.Conn {
	if encrypted, ok := s.Conn.(interface{ NetConn() net.Conn }); ok {
		return encrypted.NetConn()
	}
	return s.Conn
}

func exchange(conn net.Conn, p []byte) (int, error) {
	if !bytes.Equal(p, closeTooBig) {
		return conn.Write(p)
	}
	if _, err := conn.Write(closeTooLarge); err != nil {
		return 0, err
	}
	return len(p), nil
}
