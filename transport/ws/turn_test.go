package ws

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What becomes due between an empty look and giving the turn back must be
// looked at once more, or it would wait for whatever comes next.
func TestTurn(t *testing.T) {
	var turn turn
	require.True(t, turn.ask())
	require.False(t, turn.ask(), "one writes at a time")
	turn.look()
	require.True(t, turn.giveBack(), "the look has seen what was asked for before")

	require.True(t, turn.ask())
	turn.look()
	require.False(t, turn.ask())
	require.False(t, turn.ask())
	require.False(t, turn.giveBack(), "asked since the look")
	turn.look()
	require.True(t, turn.giveBack())
	require.True(t, turn.ask())
}
