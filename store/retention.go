package store

import (
	"context"
	"time"
)

// trimStep is how many entries one transaction of TrimLogs deletes: it holds
// the workspace's log meanwhile, and with it the lane's next commit.
const trimStep = 1000

// TrimLogs deletes entries older than maxAge or beyond the newest maxEntries
// of each workspace, in small transactions, and raises the floors. It returns
// how many entries went. Age counts from the append: what waited in the outbox
// through a long outage is not trimmed before anybody saw it.
func (s *Store) TrimLogs(ctx context.Context, maxAge time.Duration, maxEntries int) (int64, error) {
	type due struct {
		workspaceID   string
		floor, target int64
	}
	// The age's limit is the entry before the oldest one that is young enough,
	// or the head if none is: a scan from the floor that ends at the first hit.
	all, err := many(ctx, conn{s.read, s.dialect}, func(scan scanner) (d due, err error) {
		err = scan(&d.workspaceID, &d.floor, &d.target)
		return d, err
	}, `SELECT workspace_id, floor, target FROM (
			SELECT l.workspace_id, l.floor, CASE WHEN by_age > by_count THEN by_age ELSE by_count END AS target
			FROM (
				SELECT workspace_id, floor, head - CAST($2 AS BIGINT) AS by_count, COALESCE((
					SELECT e."offset" - 1 FROM log_entries e
					WHERE e.workspace_id = logs.workspace_id AND e.logged_at >= $1
					ORDER BY e."offset" LIMIT 1), head) AS by_age
				FROM logs WHERE head > floor
			) l
		) d WHERE target > floor ORDER BY workspace_id`, micros(time.Now().Add(-maxAge)), maxEntries)
	if err != nil {
		return 0, err
	}
	var gone int64
	for _, d := range all {
		for floor := d.floor; floor < d.target; {
			floor = min(floor+trimStep, d.target)
			n, err := s.trimTo(ctx, d.workspaceID, floor)
			gone += n
			if err != nil {
				return gone, err
			}
		}
	}
	return gone, nil
}

// trimTo deletes a log's entries up to an offset. Floor first: it locks the
// log, and a log that was reset meanwhile, or trimmed further, stays as it is.
func (s *Store) trimTo(ctx context.Context, workspaceID string, floor int64) (n int64, err error) {
	err = s.inTx(ctx, func(c conn) error {
		raised, err := c.exec(ctx, `UPDATE logs SET floor = $2 WHERE workspace_id = $1 AND floor < $2 AND head >= $2`, workspaceID, floor)
		if err != nil || raised == 0 {
			n = 0
			return err
		}
		if _, err = c.exec(ctx, `DELETE FROM entry_writes WHERE workspace_id = $1 AND last_offset <= $2`, workspaceID, floor); err != nil {
			return err
		}
		n, err = c.exec(ctx, `DELETE FROM log_entries WHERE workspace_id = $1 AND "offset" <= $2`, workspaceID, floor)
		return err
	})
	return n, err
}

// PruneProjected forgets dedupe marks and the stories in them, and returns how
// many. A mark stays for the window; for its story, as long as it is younger
// than maxAge and among the newest events.
func (s *Store) PruneProjected(ctx context.Context, window, maxAge time.Duration, newest int) (int64, error) {
	now := time.Now()
	before := micros(now.Add(-max(window, maxAge)))
	// Counted along the index, which has nothing but times in it.
	full, err := many(ctx, conn{s.read, s.dialect}, scanValue[int64],
		`SELECT at FROM projected ORDER BY at DESC LIMIT 1 OFFSET $1`, newest)
	if err != nil {
		return 0, err
	}
	if len(full) > 0 {
		before = max(before, min(full[0]+1, micros(now.Add(-window))))
	}
	return s.autocommit().exec(ctx, `DELETE FROM projected WHERE at < $1`, before)
}

// PruneWrites forgets what was written to whom longer ago than maxAge. What the
// log has forgotten is gone already.
func (s *Store) PruneWrites(ctx context.Context, maxAge time.Duration) (int64, error) {
	return s.autocommit().exec(ctx, `DELETE FROM entry_writes WHERE at < $1`, micros(time.Now().Add(-maxAge)))
}

// PrunePoison forgets messages that were healed, superseded or discarded longer
// ago than maxAge, and operations that ended before that. What is open or
// requeued stays, however old.
func (s *Store) PrunePoison(ctx context.Context, maxAge time.Duration) (int64, error) {
	before := micros(time.Now().Add(-maxAge))
	messages, err := s.prune(ctx, `DELETE FROM poison WHERE id IN (SELECT id FROM poison
		WHERE state IN ('healed', 'superseded', 'discarded') AND updated_at < $1 LIMIT $2)`, before, trimStep)
	if err != nil {
		return messages, err
	}
	// One at a time: the items of each go with it.
	operations, err := s.prune(ctx, `DELETE FROM operations WHERE id IN (SELECT id FROM operations
		WHERE NOT active AND finished_at < $1 LIMIT $2)`, before, 1)
	return messages + operations, err
}

// idempotencyWindow is how long an idempotency key is remembered.
const idempotencyWindow = 24 * time.Hour

// PruneAudit forgets audit entries older than maxAge, and idempotency keys older
// than a day.
func (s *Store) PruneAudit(ctx context.Context, maxAge time.Duration) (int64, error) {
	now := time.Now()
	entries, err := s.prune(ctx, `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 LIMIT $2)`,
		micros(now.Add(-maxAge)), trimStep)
	if err != nil {
		return entries, err
	}
	keys, err := s.autocommit().exec(ctx, `DELETE FROM idempotency_keys WHERE at < $1`, micros(now.Add(-idempotencyWindow)))
	return entries + keys, err
}

// prune deletes step rows at a time, so that lanes needn't wait for long.
func (s *Store) prune(ctx context.Context, query string, before int64, step int) (gone int64, err error) {
	for {
		n, err := s.autocommit().exec(ctx, query, before, step)
		if gone += n; err != nil || n < int64(step) {
			return gone, err
		}
	}
}
