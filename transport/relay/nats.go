package relay

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orbit/realtime/domain"
)

// NATSConfig says how to reach a NATS server. Only URL is required.
type NATSConfig struct {
	URL         string // nats://, tls:// or ws:// URLs, separated by commas; may hold user and password, or a token
	Credentials string // path of a credentials file (JWT and nkey)
	CA          string // path of the certificates, PEM, that the server's is checked against
	Cert, Key   string // paths of our own certificate and its key, PEM
	// Prefix of our subjects (default "orbit"): products that share a server
	// have different ones.
	Prefix string
	Name   string // of this node, for the server's monitoring
	Logger *slog.Logger
}

const (
	natsLimit = 256 << 10 // a server takes 1 MiB by default
	natsQueue = 8192      // messages that wait for the receiver; the rest is lost, and it is told
	natsPing  = 10 * time.Second
)

// NATS is a carrier over NATS core: a subject per workspace, of which a node
// subscribes to those it follows, and one for every node.
type NATS struct {
	prefix  string
	logger  *slog.Logger
	options nats.Options
	conn    atomic.Pointer[nats.Conn] // nil before Run
	inbox   chan *nats.Msg
	lost    chan struct{} // holds a token when messages may have been lost
	heard   chan []string // workspaces whose subscription has taken effect
}

// NewNATS makes a carrier, which connects when it runs: a server that is away is
// tried again and again. What could never work (a URL that is none, a file that
// isn't there) is an error.
func NewNATS(cfg NATSConfig) (*NATS, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "orbit"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &NATS{prefix: cfg.Prefix, logger: cfg.Logger, inbox: make(chan *nats.Msg, natsQueue), lost: make(chan struct{}, 1), heard: make(chan []string)}
	options := []nats.Option{
		nats.Name(cfg.Name),
		nats.NoEcho(),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(func(attempts int) time.Duration {
			wait := min(50*time.Millisecond<<min(attempts, 6), 2*time.Second)
			return wait/2 + rand.N(wait)
		}),
		nats.PingInterval(natsPing), nats.MaxPingsOutstanding(2),
		// Hints that are old are of no use: what is read meanwhile is the truth.
		nats.ReconnectBufSize(-1),
		nats.ConnectHandler(func(*nats.Conn) { c.miss() }),
		nats.ReconnectHandler(func(*nats.Conn) { cfg.Logger.Info("NATS is back"); c.miss() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				cfg.Logger.Warn("NATS is away; tabs of other nodes' changes wait for the safety read", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) {
				c.miss()
				return
			}
			cfg.Logger.Warn("NATS", "error", err)
		}),
	}
	if cfg.Credentials != "" {
		options = append(options, nats.UserCredentials(cfg.Credentials))
	}
	if cfg.CA != "" {
		options = append(options, nats.RootCAs(cfg.CA))
	}
	if cfg.Cert != "" {
		options = append(options, nats.ClientCert(cfg.Cert, cfg.Key))
	}
	// Errors go without the URL, which may hold a password.
	c.options = nats.GetDefaultOptions()
	for address := range strings.SplitSeq(cfg.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(address))
		if err != nil || u.Hostname() == "" {
			return nil, domain.InvalidField("nats", "NATS_URL: is not a URL; use nats://host:4222, or several separated by commas")
		}
		c.options.Servers = append(c.options.Servers, u.String())
	}
	for _, path := range []string{cfg.Credentials, cfg.CA, cfg.Cert, cfg.Key} {
		if path == "" {
			continue
		}
		if _, err := os.ReadFile(path); err != nil {
			return nil, domain.InvalidField("nats", "NATS: %v", err)
		}
	}
	for _, option := range options {
		if err := option(&c.options); err != nil {
			return nil, domain.InvalidField("nats", "NATS: %v", err)
		}
	}
	return c, nil
}

// Limit implements Carrier.
func (*NATS) Limit() int { return natsLimit }

// Pace implements Carrier.
func (*NATS) Pace() time.Duration { return 0 }

// Connected implements Carrier.
func (c *NATS) Connected() bool {
	conn := c.conn.Load()
	return conn != nil && conn.IsConnected()
}

func (c *NATS) miss() {
	select {
	case c.lost <- struct{}{}:
	default:
	}
}

// Send implements Carrier.
func (c *NATS) Send(_ context.Context, parcels []Parcel) error {
	conn := c.conn.Load()
	if conn == nil || !conn.IsConnected() {
		return nats.ErrConnectionReconnecting
	}
	for _, p := range parcels {
		if err := conn.Publish(c.subject(p.WorkspaceID), p.Data); err != nil {
			return err
		}
	}
	return nil
}

// subject of a workspace, or of every node. An id of somebody else's making may
// hold what a subject can't.
func (c *NATS) subject(workspaceID string) string {
	switch {
	case workspaceID == "":
		return c.prefix + ".nodes"
	case domain.ValidID(workspaceID):
		return c.prefix + ".ws." + workspaceID
	}
	return c.prefix + ".ws64." + base64.RawURLEncoding.EncodeToString([]byte(workspaceID))
}

// Run implements Carrier.
func (c *NATS) Run(ctx context.Context, follow *Interest, receive func([]byte), missed func([]string)) {
	conn, err := c.options.Connect()
	if err != nil {
		c.logger.Error("NATS can't be used; tabs of other nodes' changes wait for the safety read", "error", err)
		<-ctx.Done()
		return
	}
	defer conn.Close()
	c.conn.Store(conn)
	subs := map[string]*nats.Subscription{}
	if err := c.subscribe(subs, ""); err != nil {
		return // closed
	}
	// The library subscribes again by itself when it reconnects.
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-c.inbox:
			receive(m.Data)
		case <-c.lost:
			missed(nil)
		case ids := <-c.heard:
			missed(ids)
		case <-follow.Changed():
			if err := c.adjust(ctx, subs, follow.Changes()); err != nil && ctx.Err() == nil {
				c.miss()
			}
		}
	}
}

// adjust subscribes to what is followed now, and no more to what isn't.
func (c *NATS) adjust(ctx context.Context, subs map[string]*nats.Subscription, changes map[string]bool) error {
	var errs []error
	var followed []string
	for workspaceID, follow := range changes {
		sub := subs[workspaceID]
		switch {
		case follow && sub == nil:
			followed = append(followed, workspaceID)
			errs = append(errs, c.subscribe(subs, workspaceID))
		case !follow && sub != nil:
			delete(subs, workspaceID)
			errs = append(errs, sub.Unsubscribe())
		}
	}
	if len(followed) > 0 {
		// When the server has answered, it has the subscriptions. In a goroutine,
		// for what comes in meanwhile must not wait.
		go func() {
			waiting, cancel := context.WithTimeout(ctx, sendTimeout)
			defer cancel()
			_ = c.conn.Load().FlushWithContext(waiting) // away: reconnecting will say so
			select {
			case c.heard <- followed:
			case <-ctx.Done():
			}
		}()
	}
	return errors.Join(errs...)
}

func (c *NATS) subscribe(subs map[string]*nats.Subscription, workspaceID string) error {
	sub, err := c.conn.Load().ChanSubscribe(c.subject(workspaceID), c.inbox)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	subs[workspaceID] = sub
	return nil
}
