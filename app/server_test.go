package app

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// oneConn is a listener with one connection.
type oneConn struct{ conns chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { close(l.conns); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects to a listener's server, in memory and under the bubble's clock.
func dial(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	client, conn := net.Pipe()
	l := &oneConn{conns: make(chan net.Conn, 1)}
	l.conns <- conn
	s := server(h)
	go func() { _ = s.Serve(l) }() // ends with Close
	t.Cleanup(func() { _ = s.Close(); _ = client.Close() })
	return client
}

// net/http reads what a handler has left of a body before it sends the answer:
// a client that announced one and sent none was never answered, and never let go.
func TestABodyThatNobodyReadsHoldsNothing(t *testing.T) {
	for name, head := range map[string]string{
		"announced": "GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
		"chunked":   "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\na\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := dial(t, http.NotFoundHandler())
				_, err := io.WriteString(conn, head)
				require.NoError(t, err)
				in := bufio.NewReader(conn)
				answer, err := http.ReadResponse(in, nil)
				require.NoError(t, err)
				require.Equal(t, http.StatusNotFound, answer.StatusCode)
				_, err = io.Copy(io.Discard, answer.Body)
				require.NoError(t, err)
				_, err = in.ReadByte()
				require.ErrorIs(t, err, io.EOF, "and the connection is closed")
			})
		})
	}
}

// Whoever doesn't read the answer is not waited for.
func TestAnAnswerThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		conn := dial(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			ended <- err
		}))
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		require.Error(t, <-ended)
	})
}

// Headers that drip in, one at a time, are not waited for.
func TestHeadersThatNeverEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, http.NotFoundHandler())
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

// A connection on which nothing is asked is closed.
func TestASilentConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, http.NotFoundHandler())
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		in := bufio.NewReader(conn)
		answer, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(t, err)
		_, err = in.ReadByte()
		require.ErrorIs(t, err, io.EOF)
	})
}
