package main

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHabitsAreUnderstood(t *testing.T) {
	_, want, _ := orbit("--help")
	code, out, _ := orbit("help")
	require.Zero(t, code)
	require.Equal(t, want, out)

	_, want, _ = orbit("poison", "list", "--help")
	code, out, _ = orbit("help", "poison", "list")
	require.Zero(t, code)
	require.Equal(t, want, out)

	_, want, _ = orbit("version")
	code, out, _ = orbit("--version")
	require.Zero(t, code)
	require.Equal(t, want, out)
}

func TestUsageErrorsPointToTheCommandsHelp(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"nonsense"}, `"orbit --help"`},
		{[]string{"serve", "--lanes", "many"}, `"orbit serve --help"`},
		{[]string{"poison", "discard", "psn_1"}, `"orbit poison discard --help"`},
		{[]string{"poison"}, `"orbit poison --help"`},
	} {
		code, _, stderr := orbit(tc.args...)
		require.Equal(t, exitUsage, code, tc.args)
		require.Contains(t, stderr, tc.want)
	}
}

func TestEveryCommandShowsAnExample(t *testing.T) {
	for _, args := range [][]string{
		{"serve"}, {"migrate"}, {"config"}, {"poison"}, {"poison", "list"}, {"poison", "show"}, {"poison", "requeue"},
		{"poison", "discard"}, {"poison", "groups"}, {"poison", "preview"}, {"poison", "restore"}, {"poison", "stats"}, {"poison", "watch"}, {"poison", "export"}, {"poison", "replay"},
		{"operations"}, {"operations", "list"}, {"operations", "show"}, {"operations", "cancel"},
		{"ops"}, {"ops", "status"}, {"ops", "sessions"}, {"ops", "disconnect"}, {"trace"}, {"audit"}, {"audit", "list"}, {"tail"}, {"completion"}, {"log", "reset-epoch"}, {"bench", "latency"}, {"bench", "pipeline"}, {"bench", "idle"}, {"health"},
	} {
		_, out, _ := orbit(append(args, "--help")...)
		require.Regexp(t, `Examples?:\n+ +.*orbit `+args[0], out)
	}
}

// Zero used to mean "the default" to the benchmark, or to divide by it.
func TestBenchRefusesToMeasureNothing(t *testing.T) {
	for _, args := range [][]string{
		{"latency", "--rate", "0"}, {"latency", "--tabs", "0"}, {"latency", "--duration", "0s"}, {"idle", "--tabs", "0"},
		{"pipeline", "--backlog", "0"}, {"pipeline", "--workspaces", "0"},
	} {
		code, _, stderr := orbit(append([]string{"bench"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, stderr, args[1])
	}
}

// The workspaces that a backlog is about publish events of their own when they
// are made. They were counted as part of it, so that the clock stopped early
// and the result named more events than were asked for.
func TestBenchPipelineCountsItsBacklogAlone(t *testing.T) {
	code, out, stderr := orbit("bench", "pipeline", "--backlog", "200", "--workspaces", "20", "--json", "--database-url", t.TempDir()+"/orbit.db")
	require.Zero(t, code, stderr)
	var result struct{ Events int }
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	require.Equal(t, 200, result.Events)
}

// The shell asks by an environment variable, and takes every line for a word.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, _ := orbit("completion", shell)
		require.Zero(t, code)
		require.Contains(t, out, "orbit")
	}
	code, _, _ := orbit("completion", "tcsh")
	require.Equal(t, exitUsage, code)

	line := "orbit poison re"
	t.Setenv("COMP_LINE", line)
	t.Setenv("COMP_POINT", strconv.Itoa(len(line)))
	code, out, _ := orbit("poison", "re")
	require.Zero(t, code)
	require.NotContains(t, out, "Usage", "nothing but words")
}
