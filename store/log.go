package store

import (
	"context"
	"database/sql"

	"github.com/orbit/realtime/domain"
)

const logColumns = `SELECT workspace_id, epoch, head, floor FROM logs`

type logRow struct {
	workspaceID string
	domain.LogState
}

func scanLog(scan scanner) (l logRow, err error) {
	err = scan(&l.workspaceID, &l.Epoch, &l.Head, &l.Floor)
	return l, err
}

// LogState implements domain.Reader.
func (r reader) LogState(ctx context.Context, workspaceID string) (domain.LogState, error) {
	l, err := one(ctx, r.conn, "log", scanLog, logColumns+` WHERE workspace_id = $1`, workspaceID)
	return l.LogState, err
}

// LogStates returns the state of each named workspace that has a log.
func (s *Store) LogStates(ctx context.Context, workspaceIDs []string) (map[string]domain.LogState, error) {
	d := s.dialect
	logs, err := many(ctx, conn{s.read, d}, scanLog, logColumns+` WHERE `+d.in("workspace_id", 1), d.list(workspaceIDs))
	if err != nil {
		return nil, err
	}
	states := make(map[string]domain.LogState, len(logs))
	for _, l := range logs {
		states[l.workspaceID] = l.LogState
	}
	return states, nil
}

// LogAfter returns up to limit entries with after < offset <= upTo on any of
// channels (nil: all), in order, and the log's state in the same statement's
// moment, so that a caller can tell whether after fell below the floor. A
// workspace without a log is CodeNotFound.
func (s *Store) LogAfter(ctx context.Context, workspaceID string, after, upTo int64, channels []domain.Channel, limit int) ([]domain.Entry, domain.LogState, error) {
	d := s.dialect
	filter, args := "", []any{workspaceID, after, upTo, limit}
	if channels != nil {
		names := make([]string, len(channels))
		for i, c := range channels {
			names[i] = string(c)
		}
		filter = ` AND ` + d.in("channel", 5)
		args = append(args, d.list(names))
	}
	// One row per entry, or a single one without an entry.
	type row struct {
		state domain.LogState
		entry domain.Entry
	}
	rows, err := many(ctx, conn{s.read, d}, func(scan scanner) (r row, err error) {
		var offset, at sql.NullInt64
		var channel, typ, data, revoke, eventID sql.NullString
		if err = scan(&r.state.Epoch, &r.state.Head, &r.state.Floor, &offset, &channel, &typ, &data, &revoke, &eventID, &at); err != nil {
			return r, err
		}
		r.entry = domain.Entry{
			Offset: offset.Int64, Channel: domain.Channel(channel.String), Type: domain.ServerEventType(typ.String),
			Data: []byte(data.String), EventID: eventID.String, At: fromMicros(at.Int64),
		}
		return r, fromJSON(revoke.String, &r.entry.Revoke)
	}, `SELECT l.epoch, l.head, l.floor, e."offset", e.channel, e.type, e.data, e.revoke, e.event_id, e.at
		FROM logs l LEFT JOIN (
			SELECT * FROM log_entries WHERE workspace_id = $1 AND "offset" > $2 AND "offset" <= $3`+filter+`
			ORDER BY "offset" LIMIT $4
		) e ON true
		WHERE l.workspace_id = $1 ORDER BY e."offset"`, args...)
	switch {
	case err != nil:
		return nil, domain.LogState{}, err
	case len(rows) == 0:
		return nil, domain.LogState{}, domain.Errorf(domain.CodeNotFound, "no such log")
	}
	entries := make([]domain.Entry, 0, len(rows))
	for _, r := range rows {
		if r.entry.Offset > 0 {
			entries = append(entries, r.entry)
		}
	}
	return entries, rows[0].state, nil
}
