package domain

import "time"

// Time is a time as it travels: RFC 3339, UTC, always three decimals.
type Time struct{ time.Time }

// TimeFormat is the layout of Time's JSON form.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// At cuts t to what the wire and the database keep: UTC, milliseconds.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(TimeFormat) + `"`), nil
}
