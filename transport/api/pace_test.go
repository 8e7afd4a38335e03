package api

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(2, 4)
		for range 4 {
			require.NoError(t, p.allow("ann"))
		}
		require.Equal(t, domain.CodeRateLimited, domain.CodeOf(p.allow("ann")))
		require.NoError(t, p.allow("bob"), "each has their own")
		for range 100 {
			require.NoError(t, p.allow(""), "nobody in particular isn't counted")
		}
		time.Sleep(500 * time.Millisecond) // the bubble's clock
		require.NoError(t, p.allow("ann"))
		require.Error(t, p.allow("ann"))
	})
}

// Users that come and go are forgotten, but nobody gets a fresh start by it.
func TestPaceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1, 1)
		for i := range maxPaced {
			require.NoError(t, p.allow(strconv.Itoa(i)))
		}
		time.Sleep(time.Second)
		require.NoError(t, p.allow("0"))
		require.NoError(t, p.allow("one more"))
		require.Len(t, p.byUser, 2)
		require.Error(t, p.allow("0"))
	})
}
