package api_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/api"
)

// pipe serves the API on one connection in memory, whose other end it returns,
// under a clock that moves when everybody waits.
func pipe(t *testing.T, cfg api.Config) net.Conn {
	t.Helper()
	engine := api.NewEngine(slog.New(slog.DiscardHandler))
	cfg.Sessions = signedIn{}
	api.New(cfg).Register(engine)
	client, conn := net.Pipe()
	listener := &oneConn{conns: make(chan net.Conn, 1)}
	listener.conns <- conn
	server := &http.Server{Handler: engine}
	go func() { _ = server.Serve(listener) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return client
}

type oneConn struct{ conns chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { close(l.conns); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

const postRoom = "POST /v1/workspaces/acme/rooms HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"

// The server has no read timeout, for it would end every stream: a client that
// sends its body a byte a day would keep a goroutine for good.
func TestBodyThatNeverArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := pipe(t, api.Config{})
		_, err := io.WriteString(conn, postRoom+`{"name"`)
		require.NoError(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, answer.StatusCode)
	})
}

// A read deadline that outlives the body looks to net/http like a client that
// went away, and cancels the request of a command that merely takes its time.
func TestSlowCommandIsNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := pipe(t, api.Config{Commands: domain.Commands{UoW: slow{}}, ReadTimeout: time.Second})
		for _, request := range []string{postRoom + `{"name":"x"}`, "DELETE /v1/workspaces/acme/rooms/room_1 HTTP/1.1\r\nHost: x\r\n\r\n"} {
			_, err := io.WriteString(conn, request)
			require.NoError(t, err)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusConflict, answer.StatusCode)
			_, err = io.Copy(io.Discard, answer.Body)
			require.NoError(t, err)
		}
	})
}

// A client that doesn't read its answer must not keep a goroutine for good.
func TestAnswerThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := pipe(t, api.Config{
			Commands: domain.Commands{UoW: slow{}}, Reader: users{}, Directory: bigDirectory{},
		})
		_, err := io.WriteString(conn, "GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		time.Sleep(time.Minute) // of the bubble's clock: past the write timeout
		_, err = io.Copy(io.Discard, conn)
		require.NoError(t, err, "the server has closed the connection")
	})
}

// slow refuses everything, after five seconds.
type slow struct{ domain.UnitOfWork }

func (slow) Write(ctx context.Context, _ func(domain.Tx) error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Second):
		return domain.Errorf(domain.CodeConflict, "too late")
	}
}

type users struct{ domain.Reader }

func (users) User(context.Context, string) (domain.User, error) { return domain.User{}, nil }

// bigDirectory has an answer that fits into no buffer.
type bigDirectory struct{}

func (bigDirectory) WorkspacesOfUser(context.Context, string) ([]domain.Workspace, error) {
	return []domain.Workspace{{Name: strings.Repeat("x", 1<<20)}}, nil
}
