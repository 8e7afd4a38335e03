package relay_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
	"github.com/orbit/realtime/transport/relay"
)

func memoryNetwork(*testing.T) network {
	bus := relay.NewBus()
	return network{join: func(*testing.T, string) relay.Carrier { return bus.Carrier() }}
}

// postgresNetwork: every node has a Store of its own, through one plug.
func postgresNetwork(t *testing.T) network {
	plug, dsn := storetest.NewPlug(t, storetest.DSN(t, store.Postgres))
	return network{
		join: func(t *testing.T, _ string) relay.Carrier { return relay.NewPostgres(storetest.OpenDSN(t, dsn)) },
		cut:  plug.Pull, mend: plug.Push,
	}
}

// embeddedNATS runs a server in this process, with user and password.
func embeddedNATS(t *testing.T) network {
	options := &natsserver.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, Username: "orbit", Password: "s3cret"}
	var server *natsserver.Server
	start := func() {
		var err error
		server, err = natsserver.NewServer(options)
		require.NoError(t, err)
		server.Start()
		require.True(t, server.ReadyForConnections(soon))
	}
	stop := func() { server.Shutdown(); server.WaitForShutdown() }
	start()
	options.Port = server.Addr().(*net.TCPAddr).Port // the same after a restart
	address := "nats://orbit:s3cret@" + server.Addr().String()
	t.Cleanup(func() { stop() })
	return network{join: joinNATS(address, "test"), cut: stop, mend: start}
}

// runningNATS uses the server that answers on this machine.
func runningNATS(t *testing.T) network {
	address := "nats://127.0.0.1:4222"
	if named := os.Getenv("ORBIT_TEST_NATS_URL"); named != "" {
		address = named
	}
	u, err := url.Parse(address)
	require.NoError(t, err)
	conn, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err != nil {
		t.Skipf("no NATS server answers: %v", err)
	}
	require.NoError(t, conn.Close())
	return network{join: joinNATS(address, "test-"+domain.NewEpoch())}
}

func joinNATS(address, prefix string) func(*testing.T, string) relay.Carrier {
	return func(t *testing.T, node string) relay.Carrier {
		c, err := relay.NewNATS(relay.NATSConfig{URL: address, Prefix: prefix, Name: node})
		require.NoError(t, err)
		return c
	}
}

// run makes a bare carrier receive, and drop what comes.
func run(t *testing.T, c relay.Carrier) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	idle := relay.New("idle", c, newEar(), nil)
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx, idle.Interest(), func([]byte) {}, func([]string) {}) })
	return func() { cancel(); running.Wait() }
}

// A server that isn't there yet is tried again; what can't ever work is an
// error, which doesn't tell the password.
func TestNATSConfiguration(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	c, err := relay.NewNATS(relay.NATSConfig{URL: "nats://" + address})
	require.NoError(t, err)
	require.False(t, c.Connected())
	run(t, c)()

	for _, cfg := range []relay.NATSConfig{
		{URL: "nats://u:s3cret@"},
		{URL: "nats://u:s3cret@" + address, CA: "/no/such/file"},
		{URL: "nats://u:s3cret@" + address, Cert: "/no/such/file", Key: "/no/such/file"},
		{URL: "nats://u:s3cret@" + address, Credentials: "/no/such/file"},
	} {
		_, err := relay.NewNATS(cfg)
		require.Error(t, err)
		require.Contains(t, err.Error(), "NATS")
		require.False(t, strings.Contains(err.Error(), "s3cret"), err.Error())
	}
}
