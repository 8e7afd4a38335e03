package store

import (
	"context"
	"sync/atomic"

	"github.com/orbit/realtime/domain"
)

const (
	defaultLanes = 4
	maxLanes     = 64
)

// laneCount is settings.lanes as this process last read it.
type laneCount struct{ atomic.Int32 }

// LaneOf returns the lane of a workspace: the first four bytes of the MD5 of
// its id, big endian, modulo lanes. SQL computes the same in orbit_publish.
func LaneOf(workspaceID string, lanes int) int {
	return int(laneHash(workspaceID) % uint32(lanes))
}

// Lanes returns the number of lanes the outbox is laid out for (default 4).
func (s *Store) Lanes() int { return int(s.lanes.Load()) }

// loadLanes reads the setting; a database without a schema has the default.
func (s *Store) loadLanes(ctx context.Context) error {
	s.lanes.Store(defaultLanes)
	current, err := s.SchemaCurrent(ctx)
	if err != nil || !current {
		return err
	}
	n, err := one(ctx, conn{s.read, s.dialect}, "setting", scanValue[int], `SELECT lanes FROM settings`)
	if err == nil {
		s.lanes.Store(int32(n))
	}
	return err
}

// SetLanes makes the outbox n lanes wide (1 to 64), moving waiting rows. Set it
// before lanes are consumed; other processes must be started anew to consume
// the new ones, but publish to the right ones at once.
func (s *Store) SetLanes(ctx context.Context, n int) error {
	if n < 1 || n > maxLanes {
		return domain.InvalidField("lanes", "the number of lanes must be 1 to %d, not %d", maxLanes, n)
	}
	ctx, cancel := context.WithTimeout(ctx, upkeepPatience)
	defer cancel()
	err := s.inTx(ctx, func(c conn) error {
		if c.d.name == Postgres {
			if _, err := c.exec(ctx, `SET LOCAL lock_timeout = 0`); err != nil {
				return err
			}
			// Wait for the transactions that published by the old number, and
			// hold off new ones: their INSERT reads the setting only after it
			// got the table.
			if _, err := c.exec(ctx, `LOCK TABLE outbox IN SHARE ROW EXCLUSIVE MODE`); err != nil {
				return err
			}
		}
		if _, err := c.exec(ctx, `UPDATE settings SET lanes = $1`, n); err != nil {
			return err
		}
		_, err := c.exec(ctx, `UPDATE outbox SET lane = orbit_hash(workspace_id) % $1 WHERE lane <> orbit_hash(workspace_id) % $1`, n)
		return err
	})
	if err == nil {
		s.lanes.Store(int32(n))
	}
	return err
}
