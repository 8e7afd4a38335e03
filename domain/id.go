package domain

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"sync"
	"time"
)

// MaxIDLength bounds every id that comes from outside, in bytes.
const MaxIDLength = 64

// NewID returns a fresh id such as "mem_7k2q…": the prefix, an underscore and
// 26 lower-case base32 characters (130 random bits).
func NewID(prefix string) string {
	return prefix + "_" + strings.ToLower(rand.Text())
}

// NewEpoch returns a short name for one lifetime of a log.
func NewEpoch() string { return strings.ToLower(rand.Text()[:8]) }

// ValidID reports whether s could be an id: 1 to 64 letters, digits, '_' or
// '-'. It says nothing about whether the thing exists.
func ValidID(s string) bool {
	if s == "" || len(s) > MaxIDLength {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return false
		}
	}
	return true
}

var eventIDs struct {
	sync.Mutex
	lastMillis int64
	sequence   uint16
}

// NewEventID returns a UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix
// milliseconds, then a 12-bit counter that keeps ids of one process ascending
// within a millisecond (method 1 of section 6.2), then 62 random bits.
func NewEventID() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	eventIDs.Lock()
	now := time.Now().UnixMilli()
	if now > eventIDs.lastMillis {
		eventIDs.lastMillis, eventIDs.sequence = now, binary.BigEndian.Uint16(b[6:8])&0x07ff
	} else if eventIDs.sequence++; eventIDs.sequence > 0x0fff {
		eventIDs.lastMillis, eventIDs.sequence = eventIDs.lastMillis+1, 0
	}
	millis, sequence := eventIDs.lastMillis, eventIDs.sequence
	eventIDs.Unlock()

	binary.BigEndian.PutUint64(b[:8], uint64(millis)<<16|0x7000|uint64(sequence))
	b[8] = b[8]&0x3f | 0x80

	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	s[8] = '-'
	hex.Encode(s[9:13], b[4:6])
	s[13] = '-'
	hex.Encode(s[14:18], b[6:8])
	s[18] = '-'
	hex.Encode(s[19:23], b[8:10])
	s[23] = '-'
	hex.Encode(s[24:36], b[10:16])
	return string(s[:])
}
