package store

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	notifyChannel = "orbit_outbox" // orbit_publish has it, too
	listenBackoff = 100 * time.Millisecond
	maxListenWait = 5 * time.Second
	// listenPing is how long a silent connection is trusted.
	listenPing = 15 * time.Second
)

// AnyLane is what Listen reports when notifications may have been missed.
const AnyLane = -1

// Listen calls fn with each lane another process (or orbit_publish) wrote to,
// until ctx ends, and returns ctx's error. It reconnects by itself, and calls
// fn(AnyLane) each time it has connected, for what went unheard. Its own
// process's Notify is heard as well. On SQLite it only waits for ctx.
func (s *Store) Listen(ctx context.Context, fn func(lane int)) error {
	connected := func(up bool) {
		if up {
			fn(AnyLane)
		}
	}
	return s.ListenTo(ctx, notifyChannel, connected, func(payload string) {
		if lane, err := strconv.Atoi(payload); err == nil {
			fn(lane)
		}
	})
}

// ListenTo calls fn with each payload sent to a channel, until ctx ends, and
// returns ctx's error. It has a connection of its own, which LISTEN needs for
// as long as it shall last; connected is told when that is there and when it
// broke. On SQLite it only waits for ctx.
func (s *Store) ListenTo(ctx context.Context, channel string, connected func(up bool), fn func(payload string)) error {
	wait := listenBackoff
	for s.dialect.name == Postgres && ctx.Err() == nil {
		if s.listenOnce(ctx, channel, connected, fn) {
			wait = listenBackoff
			connected(false)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, maxListenWait)
	}
	<-ctx.Done()
	return ctx.Err()
}

// listenOnce listens until the connection fails or ctx ends, and reports
// whether there was a connection at all.
func (s *Store) listenOnce(ctx context.Context, channel string, connected func(up bool), fn func(payload string)) (was bool) {
	conf := s.locks.postgres.Copy()
	conf.RuntimeParams["application_name"] = "orbit listen"
	c, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return false
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(ctx) // nothing is left to be said on it
	}()
	if _, err := c.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return false
	}
	connected(true)
	for {
		silent, cancel := context.WithTimeout(ctx, listenPing)
		n, err := c.WaitForNotification(silent)
		timedOut := silent.Err() != nil
		cancel()
		switch {
		case err == nil:
			fn(n.Payload)
		case ctx.Err() != nil || !timedOut:
			return true
		default:
			// Quiet for long: is anybody there? A timeout leaves the
			// connection intact, a failed ping doesn't.
			probe, cancel := context.WithTimeout(ctx, lockTimeout)
			err := c.Ping(probe)
			cancel()
			if err != nil {
				return true
			}
		}
	}
}

// Notify wakes other processes that hold these lanes.
func (s *Store) Notify(ctx context.Context, lanes []int) error {
	payloads := make([]string, len(lanes))
	for i, lane := range lanes {
		payloads[i] = strconv.Itoa(lane)
	}
	return s.NotifyOn(ctx, notifyChannel, payloads)
}

// NotifyOn sends payloads (each below 8,000 bytes) to a channel, all with one
// statement: NOTIFY takes a lock that serializes commits, so it is kept out of
// the publishing transactions. No-op on SQLite.
func (s *Store) NotifyOn(ctx context.Context, channel string, payloads []string) error {
	if s.dialect.name != Postgres || len(payloads) == 0 {
		return nil
	}
	_, err := s.autocommit().exec(ctx, `SELECT pg_notify($1, payload) FROM unnest($2::text[]) payload`, channel, payloads)
	return err
}
