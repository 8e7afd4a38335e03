package relay

import (
	"context"
	"sync/atomic"
	"time"
)

// Notifier is PostgreSQL's LISTEN and NOTIFY. Package store implements it.
type Notifier interface {
	// ListenTo calls fn with each payload sent to the channel until ctx ends.
	// It has a connection of its own, reconnects by itself, and tells each time
	// the connection came or went.
	ListenTo(ctx context.Context, channel string, connected func(bool), fn func(payload string)) error
	// NotifyOn sends payloads to the channel, in one statement. A payload has
	// fewer than 8,000 bytes.
	NotifyOn(ctx context.Context, channel string, payloads []string) error
}

const (
	postgresChannel = "orbit_relay"
	// postgresLimit leaves a little of the 8,000 bytes that PostgreSQL allows
	// (src/backend/commands/async.c, NOTIFY_PAYLOAD_MAX_LENGTH).
	postgresLimit = 7900
	// postgresPace is the least time between two statements: each is a commit
	// that takes a lock all notifying commits of the cluster share.
	postgresPace = 5 * time.Millisecond
)

// Postgres is a carrier over LISTEN and NOTIFY: nothing new to run, where the
// nodes share a PostgreSQL database anyhow. Every node hears every message of
// the database, and ignores what it doesn't follow.
//
// LISTEN belongs to a database session: behind PgBouncer it needs session
// pooling, or a DATABASE_URL that goes around it (so do the lanes' locks).
type Postgres struct {
	notifier  Notifier
	connected atomic.Bool
}

// NewPostgres makes a carrier.
func NewPostgres(n Notifier) *Postgres { return &Postgres{notifier: n} }

// Limit implements Carrier.
func (*Postgres) Limit() int { return postgresLimit }

// Pace implements Carrier.
func (*Postgres) Pace() time.Duration { return postgresPace }

// Connected implements Carrier.
func (c *Postgres) Connected() bool { return c.connected.Load() }

// Send implements Carrier.
func (c *Postgres) Send(ctx context.Context, parcels []Parcel) error {
	payloads := make([]string, len(parcels))
	for i, p := range parcels {
		payloads[i] = string(p.Data)
	}
	return c.notifier.NotifyOn(ctx, postgresChannel, payloads)
}

// Run implements Carrier. It hears of everything: to follow is to filter less.
func (c *Postgres) Run(ctx context.Context, _ *Interest, receive func([]byte), missed func([]string)) {
	_ = c.notifier.ListenTo(ctx, postgresChannel, func(up bool) { // it ends with ctx alone
		c.connected.Store(up)
		if up {
			missed(nil)
		}
	}, func(payload string) { receive([]byte(payload)) })
}
