package domain

import (
	"strconv"
	"strings"
)

// Position is a place in a workspace's log: the epoch names one lifetime of
// the log, the offset counts its entries from 1. Offset 0 is "before the first
// entry". On the wire: "<epoch>-<offset>", for instance "k3f9-42".
type Position struct {
	Epoch  string
	Offset int64
}

// MaxPositionLength bounds the text form of a position, in bytes.
const MaxPositionLength = 64

func (p Position) String() string {
	return p.Epoch + "-" + strconv.FormatInt(p.Offset, 10)
}

// MarshalText makes a position travel in JSON as its text form; the zero one
// as "".
func (p Position) MarshalText() ([]byte, error) {
	if p.IsZero() {
		return nil, nil
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (p *Position) UnmarshalText(text []byte) (err error) {
	if *p = (Position{}); len(text) > 0 {
		*p, err = ParsePosition(string(text))
	}
	return err
}

// IsZero reports whether p names no place at all.
func (p Position) IsZero() bool { return p.Epoch == "" }

// ParsePosition reads the text form. It accepts exactly what String writes: an
// epoch of 1 to 32 letters and digits, a dash, and a decimal offset without
// sign or leading zero.
func ParsePosition(s string) (Position, error) {
	bad := func() (Position, error) {
		return Position{}, InvalidField("position", "a position is <epoch>-<offset>, as the server sent it")
	}
	if len(s) > MaxPositionLength {
		return bad()
	}
	epoch, digits, ok := strings.Cut(s, "-")
	if !ok || epoch == "" || len(epoch) > 32 || !isAlphanumeric(epoch) {
		return bad()
	}
	if digits == "" || len(digits) > 1 && digits[0] == '0' {
		return bad()
	}
	for _, r := range digits {
		if r < '0' || r > '9' {
			return bad()
		}
	}
	offset, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return bad()
	}
	return Position{Epoch: epoch, Offset: offset}, nil
}

func isAlphanumeric(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}
