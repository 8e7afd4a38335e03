package store

import (
	"context"

	"github.com/orbit/realtime/domain"
)

// damaged selects the logs whose entries are not what head and floor promise:
// all of floor+1 … head, once each and nothing else.
const damaged = `SELECT w.workspace_id FROM (
		SELECT workspace_id FROM logs UNION SELECT workspace_id FROM log_entries
	) w
	LEFT JOIN logs l ON l.workspace_id = w.workspace_id
	LEFT JOIN (
		SELECT workspace_id, COUNT(*) AS n, MIN("offset") AS lowest, MAX("offset") AS highest
		FROM log_entries GROUP BY workspace_id
	) e ON e.workspace_id = w.workspace_id
	WHERE l.workspace_id IS NULL
		OR COALESCE(e.n, 0) <> l.head - l.floor
		OR (e.n > 0 AND (e.lowest <> l.floor + 1 OR e.highest <> l.head))`

// CheckLogs compares every log's head and floor with its entries, starts a new
// epoch where history is missing, and returns those workspaces' ids. It reads
// every log once: run it when a process starts, before lanes are consumed.
func (s *Store) CheckLogs(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, upkeepPatience)
	defer cancel()
	ids, err := many(ctx, conn{s.read, s.dialect}, scanValue[string], damaged+` ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	mended := []string{}
	for _, id := range ids {
		var reset bool
		err := s.inTx(ctx, func(c conn) error {
			// Look again under the lock: another process may have mended it.
			if err := lockLog(ctx, c, id); err != nil {
				return err
			}
			still, err := many(ctx, c, scanValue[string], `SELECT * FROM (`+damaged+`) d WHERE workspace_id = $1`, id)
			if reset = len(still) > 0; err != nil || !reset {
				return err
			}
			return resetLog(ctx, c, id)
		})
		if err != nil {
			return mended, err
		}
		if reset {
			mended = append(mended, id)
		}
	}
	return mended, nil
}

// ResetEpoch starts a new epoch for a workspace's log ("" for all): to be used
// after a restore from backup. It returns how many logs it reset; a workspace
// without a log is CodeNotFound.
func (s *Store) ResetEpoch(ctx context.Context, workspaceID string) (int64, error) {
	ids := []string{workspaceID}
	if workspaceID == "" {
		var err error
		ids, err = many(ctx, conn{s.read, s.dialect}, scanValue[string], `SELECT workspace_id FROM logs ORDER BY workspace_id`)
		if err != nil {
			return 0, err
		}
	}
	var n int64
	for _, id := range ids {
		err := s.inTx(ctx, func(c conn) error {
			if _, err := (reader{c}).LogState(ctx, id); err != nil {
				return err
			}
			return resetLog(ctx, c, id)
		})
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func lockLog(ctx context.Context, c conn, id string) error {
	_, err := many(ctx, c, scanValue[string], `SELECT workspace_id FROM logs WHERE workspace_id = $1`+c.d.lockUpdate, id)
	return err
}

// resetLog begins a new lifetime of a log, above every offset of the old one.
// The old entries go: no position of the new epoch reaches them.
func resetLog(ctx context.Context, c conn, id string) error {
	if _, err := c.exec(ctx, `INSERT INTO logs (workspace_id, epoch, head, floor)
		SELECT $1, $2, top, top FROM (SELECT COALESCE(MAX("offset"), 0) AS top FROM log_entries WHERE workspace_id = $1) e WHERE true
		ON CONFLICT (workspace_id) DO UPDATE SET epoch = excluded.epoch,
			head = CASE WHEN logs.head > excluded.head THEN logs.head ELSE excluded.head END,
			floor = CASE WHEN logs.head > excluded.head THEN logs.head ELSE excluded.head END`,
		id, domain.NewEpoch()); err != nil {
		return err
	}
	_, err := c.exec(ctx, `DELETE FROM log_entries WHERE workspace_id = $1`, id)
	return err
}
