package domain_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestNewID(t *testing.T) {
	id := domain.NewID("mem")
	require.Regexp(t, `^mem_[a-z2-7]{26}$`, id)
	require.True(t, domain.ValidID(id))
	require.NotEqual(t, id, domain.NewID("mem"))
	require.Regexp(t, `^[a-z2-7]{8}$`, domain.NewEpoch())
	_, err := domain.ParsePosition(domain.Position{Epoch: domain.NewEpoch()}.String())
	require.NoError(t, err, "every epoch makes a position that can be parsed")
}

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "mem_01", "A-Z_09", strings.Repeat("x", domain.MaxIDLength), domain.NewEventID()} {
		require.True(t, domain.ValidID(id), "%q", id)
	}
	for _, id := range []string{"", strings.Repeat("x", domain.MaxIDLength+1), "a b", "a/b", "a:b", "..", "é", "a\x00", "a\n", "%41", "'"} {
		require.False(t, domain.ValidID(id), "%q", id)
	}
}

func TestEventIDsAreUUIDv7(t *testing.T) {
	before := time.Now().UnixMilli()
	id, err := uuid.Parse(domain.NewEventID())
	require.NoError(t, err)
	require.EqualValues(t, 7, id.Version())
	require.Equal(t, uuid.RFC4122, id.Variant())
	seconds, nanos := id.Time().UnixTime()
	require.GreaterOrEqual(t, time.Unix(seconds, nanos).UnixMilli(), before)
}

// The clock stands still: the counter alone must keep ids ascending, and carry
// into the milliseconds when its 12 bits are used up.
func TestEventIDsAscendWithinAMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := make([]string, 10_000)
		for i := range ids {
			ids[i] = domain.NewEventID()
		}
		require.True(t, slices.IsSorted(ids))
		require.Len(t, slices.Compact(ids), 10_000)
	})
}

func TestEventIDsAreUniqueAcrossGoroutines(t *testing.T) {
	const routines, each = 8, 2_000
	all := make([][]string, routines)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			for range each {
				all[i] = append(all[i], domain.NewEventID())
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, ids := range all {
		require.True(t, slices.IsSorted(ids))
		for _, id := range ids {
			require.False(t, seen[id])
			seen[id] = true
		}
	}
}

func FuzzValidID(f *testing.F) {
	for _, seed := range []string{"mem_01", "", "a b", "a:b", "é", "\xff", strings.Repeat("x", 65)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !domain.ValidID(s) {
			return
		}
		require.NotEmpty(t, s)
		require.LessOrEqual(t, len(s), domain.MaxIDLength)
		require.Equal(t, -1, strings.IndexFunc(s, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", r)
		}))
	})
}
