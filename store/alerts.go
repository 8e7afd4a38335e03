package store

import (
	"context"
	"encoding/json"
	"time"
)

// Alert is something to tell operators of. Its row makes many nodes one: the
// condition is raised once, whoever sees it, and told once, by whoever claims it.
type Alert struct {
	Name     string // what it is about, such as group/<fingerprint>
	Kind     string // what it was raised as
	Pending  string // what is to be told: Kind, or AlertRecovered
	RaisedAt time.Time
	Attempts int             // to tell it, this one included
	Body     json.RawMessage // an object
}

// AlertRecovered is what is pending of an alert that was told, and is over.
const AlertRecovered = "recovered"

// closedAlerts is how long an alert that is over is remembered: what comes back
// later than that counts as new.
const closedAlerts = 30 * 24 * time.Hour

// RaiseAlert raises an alert of the name, unless it is raised already. It is of
// kind first, or of kind again where one of that name is remembered that was
// over. silent raises it without telling. It reports whether it was raised now.
func (s *Store) RaiseAlert(ctx context.Context, name, first, again string, body any, silent bool) (bool, error) {
	pendingFirst, pendingAgain := first, again
	if silent {
		pendingFirst, pendingAgain = "", ""
	}
	raised, err := s.autocommit().exec(ctx, `INSERT INTO alerts (name, kind, raised_at, closed_at, pending, attempts, due_at, body)
		VALUES ($1, $2, $3, 0, $4, 0, 0, $5)
		ON CONFLICT (name) DO UPDATE SET kind = $6, raised_at = excluded.raised_at, closed_at = 0, pending = $7,
			attempts = 0, due_at = 0, body = excluded.body
		WHERE alerts.closed_at > 0`,
		name, first, micros(time.Now()), pendingFirst, toJSON(body), again, pendingAgain)
	return raised > 0, err
}

// CloseAlert ends an alert, unless it has ended. tell makes its end pending, if
// anybody was told of its beginning.
func (s *Store) CloseAlert(ctx context.Context, name string, tell bool) error {
	told := ""
	if tell {
		told = AlertRecovered
	}
	_, err := s.autocommit().exec(ctx, `UPDATE alerts SET closed_at = $2, attempts = 0, due_at = 0,
			pending = CASE WHEN pending = '' THEN $3 ELSE '' END
		WHERE name = $1 AND closed_at = 0`, name, micros(time.Now()), told)
	return err
}

// RaisedAlerts names the alerts that have not ended.
func (s *Store) RaisedAlerts(ctx context.Context) ([]string, error) {
	return many(ctx, conn{s.read, s.dialect}, scanValue[string], `SELECT name FROM alerts WHERE closed_at = 0 ORDER BY name`)
}

// ClaimAlerts returns alerts that are to be told, oldest first, for the caller
// to tell: nobody else gets them until lease is over.
func (s *Store) ClaimAlerts(ctx context.Context, lease time.Duration, limit int) ([]Alert, error) {
	now := time.Now()
	// The condition stands twice: on PostgreSQL it is looked at again once a row
	// that another node has just claimed can be had.
	return many(ctx, s.autocommit(), func(scan scanner) (a Alert, err error) {
		var raised int64
		var body string
		err = scan(&a.Name, &a.Kind, &a.Pending, &raised, &a.Attempts, &body)
		a.RaisedAt, a.Body = fromMicros(raised), json.RawMessage(body)
		return a, err
	}, `UPDATE alerts SET attempts = attempts + 1, due_at = $2
		WHERE pending <> '' AND due_at <= $1 AND name IN (
			SELECT name FROM alerts WHERE pending <> '' AND due_at <= $1 ORDER BY raised_at, name LIMIT $3)
		RETURNING name, kind, pending, raised_at, attempts, body`, micros(now), micros(now.Add(lease)), limit)
}

// AlertTold notes that what was pending has been told, or is given up.
func (s *Store) AlertTold(ctx context.Context, a Alert) error {
	_, err := s.autocommit().exec(ctx, `UPDATE alerts SET pending = '' WHERE name = $1 AND pending = $2 AND raised_at = $3`,
		a.Name, a.Pending, micros(a.RaisedAt))
	return err
}

// RetryAlert lets somebody try again after a while.
func (s *Store) RetryAlert(ctx context.Context, a Alert, after time.Duration) error {
	_, err := s.autocommit().exec(ctx, `UPDATE alerts SET due_at = $4 WHERE name = $1 AND pending = $2 AND raised_at = $3`,
		a.Name, a.Pending, micros(a.RaisedAt), micros(time.Now().Add(after)))
	return err
}

// PruneAlerts forgets alerts that ended longer than a month ago.
func (s *Store) PruneAlerts(ctx context.Context) (int64, error) {
	return s.autocommit().exec(ctx, `DELETE FROM alerts WHERE closed_at > 0 AND pending = '' AND closed_at < $1`,
		micros(time.Now().Add(-closedAlerts)))
}
