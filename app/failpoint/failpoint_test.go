package failpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOrders(t *testing.T) {
	s := New("")
	require.Empty(t, s.pass("projector"), "nothing is ordered")
	require.NoError(t, s.Order("# a remark\n\nprojector fail every=3\nbug drop\n"))
	for range 2 {
		require.Empty(t, s.pass("projector"))
		require.Empty(t, s.pass("projector"))
		require.Equal(t, "fail", s.pass("projector"))
	}
	require.Equal(t, "drop", s.pass("bug drop"))
	chosen := 0
	for i := range 300 {
		id := fmt.Sprint("event", i)
		first := s.passedBy("projector", id)
		require.Equal(t, first, s.passedBy("projector", id), "an event fares the same each time")
		if first != "" {
			chosen++
		}
	}
	require.InDelta(t, 100, chosen, 40)
	require.Empty(t, s.pass("committed"))
	for _, bad := range []string{"projector", "projector fail every=0", "projector fail often", "projector fail every=x"} {
		require.Error(t, s.Order(bad), bad)
	}
}

// The file is read again when it changes; without it nothing is ordered, and a
// file that makes no sense leaves things as they are.
func TestTheFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders")
	s := New(path)
	say := func(text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		s.looked = time.Time{}
	}
	require.Empty(t, s.pass("projector"))
	say("projector panic")
	require.Equal(t, "panic", s.pass("projector"))
	say("projector")
	require.Equal(t, "panic", s.pass("projector"))
	say("")
	require.Empty(t, s.pass("projector"))
	say("projector hang")
	require.Equal(t, "hang", s.pass("projector"))
	require.NoError(t, os.Remove(path))
	s.looked = time.Time{}
	require.Empty(t, s.pass("projector"))
}
