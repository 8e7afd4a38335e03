package main

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// orbit runs one command as a shell would.
func orbit(args ...string) (code int, out, err string) {
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), args, console{out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestHelpTeaches(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"serve", "--help"}, {"poison", "--help"}, {"poison", "list", "--help"}, {"bench", "latency", "--help"}} {
		code, out, _ := orbit(args...)
		require.Zero(t, code, args)
		require.Contains(t, out, "Usage: orbit", args)
	}
}

func TestUsageErrors(t *testing.T) {
	t.Setenv("DATABASE_URL", filepath.Join(t.TempDir(), "orbit.db"))
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"nonsense"}, "nonsense"},
		{[]string{"serve", "--addr", "8080"}, "ORBIT_ADDR (--addr)"},
		{[]string{"serve", "--lanes", "0"}, "ORBIT_LANES (--lanes)"},
		{[]string{"poison", "list", "--state", "lost"}, "--state"},
		{[]string{"poison", "list", "--limit", "0"}, "--limit"},
		{[]string{"poison", "discard", "psn_1"}, "--reason"},
		{[]string{"poison", "discard", "psn_1", "--reason", " "}, "--reason"},
	} {
		code, _, stderr := orbit(tc.args...)
		require.Equal(t, exitUsage, code, tc.args)
		require.Contains(t, stderr, tc.want)
	}
}

func TestConfigMasksSecrets(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://orbit:hunter2@db/orbit")
	for _, args := range [][]string{{"config"}, {"config", "--json"}} {
		code, out, stderr := orbit(args...)
		require.Zero(t, code, stderr)
		require.NotContains(t, out+stderr, "hunter2")
		require.Contains(t, out, "env")
	}
}

func TestMigrateTwice(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		dsn := storetest.EmptyDSN(t, engine)
		code, out, stderr := orbit("migrate", "--database-url", dsn)
		require.Zero(t, code, stderr)
		require.Regexp(t, `Applied [1-9]\d* migration`, out)
		_, out, _ = orbit("migrate", "--database-url", dsn)
		require.Contains(t, out, "up to date")
	}
}

// TestPoison goes through the life of a poison message on the command line; the
// outcomes have exit codes of their own.
func TestPoison(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			dsn := storetest.DSN(t, engine)
			s := storetest.OpenDSN(t, dsn)
			w, _, _ := storetest.SeedWorkspace(t, s)
			poison := func(id string) {
				ev := domain.NewEvent(domain.EventWorkspaceUpdated, w.ID, w.ID, domain.Changed{Version: 2})
				ev.ID = "event-of-" + id
				_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Poisoned: []domain.Poison{{
					ID: id, State: domain.PoisonOpen, Event: ev, Projector: string(ev.Type),
					Error: "broken \x1b[31mred", ErrorClass: "panic", Stack: "goroutine 1 [running]",
					Attempts: []domain.PoisonAttempt{{Error: "broken"}},
				}}})
				require.NoError(t, err)
			}
			poison("psn_1")
			poison("psn_2")
			at := func(args ...string) (int, string, string) { return orbit(append(args, "--database-url", dsn)...) }

			_, out, _ := at("poison", "list")
			require.Contains(t, out, "psn_1")
			require.NotContains(t, out, "\x1b", "what failed never steers the terminal")
			_, out, _ = at("poison", "list", "--json")
			require.Contains(t, out, `"stack":"goroutine 1 [running]"`)
			require.Len(t, bytes.Split(bytes.TrimSpace([]byte(out)), []byte("\n")), 2, "one object a line")
			_, out, _ = at("poison", "show", "psn_1")
			require.Contains(t, out, "goroutine 1 [running]")

			code, _, _ := at("poison", "show", "psn_3")
			require.Equal(t, exitNotFound, code)
			code, _, _ = at("poison", "requeue", "psn_3")
			require.Equal(t, exitNotFound, code)
			code, out, _ = at("poison", "requeue", "psn_1")
			require.Zero(t, code)
			require.Contains(t, out, "psn_1 is requeued")
			code, _, _ = at("poison", "requeue", "psn_1")
			require.Equal(t, exitConflict, code, "once is enough")
			code, _, _ = at("poison", "discard", "psn_2", "--reason", "a test")
			require.Zero(t, code)
			_, out, _ = at("poison", "list")
			require.Contains(t, out, "No poison messages")
			_, out, _ = at("poison", "list", "--state", "discarded", "--json")
			require.Contains(t, out, `"reason":"a test"`)
		})
	}
}
