package config_test

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md instead of comparing with it")

// command is how the binary uses the struct: embedded in a subcommand.
type command struct {
	Serve struct {
		config.Config `embed:""`
	} `cmd:""`
}

// parse runs a command line in an environment of env alone.
func parse(t *testing.T, env map[string]string, args ...string) (config.Config, *kong.Context, error) {
	t.Helper()
	for _, s := range config.Describe(config.Config{}, nil) {
		t.Setenv(s.Name, "") // so that the test's end restores it
		require.NoError(t, os.Unsetenv(s.Name))
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	var c command
	parser, err := kong.New(&c, config.Hints(), kong.Exit(func(int) { t.Error("exited") }))
	require.NoError(t, err)
	k, err := parser.Parse(append([]string{"serve"}, args...))
	return c.Serve.Config, k, err
}

func TestDefaults(t *testing.T) {
	parsed, _, err := parse(t, nil)
	require.NoError(t, err)
	require.Equal(t, config.Default(), parsed)
	require.NoError(t, parsed.Validate())
	require.Empty(t, parsed.Warnings())
	require.Equal(t, "127.0.0.1:8080", parsed.Addr)
	require.Equal(t, "orbit.db", parsed.DatabaseURL)
	require.Equal(t, 24*time.Hour, parsed.LogMaxAge)
	require.True(t, parsed.Migrate)
	require.False(t, parsed.Demo)
}

func TestDefaultLooksAtNoEnvironment(t *testing.T) {
	t.Setenv("ORBIT_LANES", "16")
	require.Equal(t, 4, config.Default().Lanes)
}

func TestSources(t *testing.T) {
	c, k, err := parse(t,
		map[string]string{
			"ORBIT_LANES":           "8",
			"ORBIT_HEARTBEAT":       "30s",
			"ORBIT_ALLOWED_ORIGINS": "https://a.example,https://b.example:8443",
			"DATABASE_URL":          "postgres://orbit:s3cret@db/orbit",
			"NATS_URL":              "nats://orbit:s3cret@a:4222,nats://t0ken@b",
		},
		"--heartbeat=40s", "--no-migrate", "--demo", "--addr", ":9000")
	require.NoError(t, err)

	type line struct {
		value  string
		source config.Source
	}
	got := map[string]line{}
	for _, s := range config.Describe(c, k) {
		got[s.Name] = line{s.Value, s.Source}
	}
	require.Equal(t, line{"8", config.FromEnv}, got["ORBIT_LANES"])
	require.Equal(t, line{"40s", config.FromFlag}, got["ORBIT_HEARTBEAT"], "a flag wins over the environment")
	require.Equal(t, line{"false", config.FromFlag}, got["ORBIT_MIGRATE"])
	require.Equal(t, line{"true", config.FromFlag}, got["ORBIT_DEMO"])
	require.Equal(t, line{":9000", config.FromFlag}, got["ORBIT_ADDR"])
	require.Equal(t, line{"24h", config.FromDefault}, got["ORBIT_LOG_MAX_AGE"])
	require.Equal(t, line{"https://a.example,https://b.example:8443", config.FromEnv}, got["ORBIT_ALLOWED_ORIGINS"])
	require.Equal(t, line{"postgres://orbit:*****@db/orbit", config.FromEnv}, got["DATABASE_URL"])
	require.Equal(t, line{"nats://*****@a:4222,nats://*****@b", config.FromEnv}, got["NATS_URL"])
	require.Equal(t, []string{"https://a.example", "https://b.example:8443"}, c.AllowedOrigins)

	var table bytes.Buffer
	require.NoError(t, config.WriteTable(&table, config.Describe(c, k)))
	require.Regexp(t, `(?m)^ORBIT_LANES +8 +env$`, table.String())
	require.NotContains(t, table.String(), "s3cret")
}

func TestPasswordsAreMaskedWhereverTheyStand(t *testing.T) {
	for dsn, want := range map[string]string{
		"orbit.db":                               "orbit.db",
		"postgres://db/orbit":                    "postgres://db/orbit",
		"postgres://orbit@db/orbit":              "postgres://orbit@db/orbit",
		"postgres://orbit:s3cret@db/orbit":       "postgres://orbit:*****@db/orbit",
		"postgres://orbit:s3%40cret@db/o?a=b":    "postgres://orbit:*****@db/o?a=b",
		"postgres://db/orbit?password=s3cret":    "postgres://db/orbit?password=*****",
		"postgres://db/o?sslpassword=s3cret&a=b": "postgres://db/o?sslpassword=*****&a=b",
		"host=db password=s3cret user=orbit":     "host=db password=***** user=orbit",
		"postgres://orbit:s3%cret@db/orbit":      "(not a URL)",
	} {
		c := config.Default()
		c.DatabaseURL = dsn
		for _, s := range config.Describe(c, nil) {
			if s.Name == "DATABASE_URL" {
				require.Equal(t, want, s.Value)
			}
		}
		if err := c.Validate(); err != nil {
			require.NotContains(t, err.Error(), "cret", "not even a refused value is shown")
		}
	}
}

func TestValidateNamesTheVariableAndTheMend(t *testing.T) {
	for _, tc := range []struct {
		change func(c *config.Config)
		want   string
	}{
		{func(c *config.Config) { c.Lanes = 0 }, "ORBIT_LANES (--lanes): 0 is out of range; use 1 to 64"},
		{func(c *config.Config) { c.Lanes = 65 }, "ORBIT_LANES (--lanes): 65 is out of range; use 1 to 64"},
		{func(c *config.Config) { c.Heartbeat = time.Millisecond; c.PongWait = 0 }, "ORBIT_HEARTBEAT (--heartbeat): 1ms is out of range; use 1s to 5m"},
		{func(c *config.Config) { c.LogMaxAge = -time.Hour }, "ORBIT_LOG_MAX_AGE (--log-max-age): -1h is out of range; use 1m to 8760h"},
		{func(c *config.Config) { c.PongWait = time.Minute }, "ORBIT_PONG_WAIT (--pong-wait): 1m is longer than ORBIT_HEARTBEAT"},
		{func(c *config.Config) { c.Drain = c.ShutdownTimeout }, "use less than ORBIT_SHUTDOWN_TIMEOUT, which is 20s"},
		{func(c *config.Config) { c.LogFormat = "xml" }, `ORBIT_LOG_FORMAT (--log-format): "xml" is unknown; use one of auto, text, json`},
		{func(c *config.Config) { c.LogLevel = "" }, "ORBIT_LOG_LEVEL"},
		{func(c *config.Config) { c.CookieSecure = "yes" }, "use one of auto, always"},
		{func(c *config.Config) { c.Addr = "8080" }, `ORBIT_ADDR (--addr): "8080" is not an address`},
		{func(c *config.Config) { c.Addr = "localhost:http" }, `port "http" is not a number`},
		{func(c *config.Config) { c.AdminAddr = "localhost:70000" }, "ORBIT_ADMIN_ADDR (--admin-addr): "},
		{func(c *config.Config) { c.AdminAddr = c.Addr }, "is ORBIT_ADDR as well; use another port"},
		{func(c *config.Config) { c.DatabaseURL = "" }, "DATABASE_URL (--database-url): is empty; use postgres://"},
		{func(c *config.Config) { c.DatabaseURL = "mysql://db/orbit" }, `there is no database "mysql"`},
		{func(c *config.Config) { c.DatabaseURL = "host=db dbname=orbit" }, "is a list of keywords"},
		{func(c *config.Config) { c.NatsURL = "127.0.0.1:4222" }, "NATS_URL (--nats-url): is not a"},
		{func(c *config.Config) { c.NatsURL = "nats://a:4222, nats://" }, "NATS_URL (--nats-url): is not a NATS URL; use nats://host:4222"},
		{func(c *config.Config) { c.NatsCert = "/cert" }, "NATS_KEY (--nats-key): a client certificate and its key go together"},
		{func(c *config.Config) { c.NatsPrefix = "a.>" }, `NATS_PREFIX (--nats-prefix): "a.>" can't begin a subject`},
		{func(c *config.Config) { c.DatabaseURL = "postgres://" }, "DATABASE_URL (--database-url): names no database; use postgres://"},
		{func(c *config.Config) { c.DatabaseURL = "postgres://orbit:s3cret@db/" }, "names no database"},
		{func(c *config.Config) { c.DatabaseURL = "postgres://orbit:100%@db/orbit" }, "percent-encoded"},
		{func(c *config.Config) { c.AllowedOrigins = []string{"*"} }, "every web site"},
		{func(c *config.Config) { c.AllowedOrigins = []string{"https://a.example/"} }, `"https://a.example/" is not an origin`},
		{func(c *config.Config) { c.AllowedOrigins = []string{"a.example"} }, `"a.example" is not an origin`},
	} {
		c := config.Default()
		tc.change(&c)
		require.ErrorContains(t, c.Validate(), tc.want)
	}

	c := config.Default()
	c.Lanes, c.RingSize, c.LogFormat = 0, 0, "xml"
	require.Len(t, strings.Split(c.Validate().Error(), "\n"), 3, "everything that is wrong is told at once")
}

func TestValidateAccepts(t *testing.T) {
	for _, change := range []func(c *config.Config){
		func(c *config.Config) { c.Addr, c.AdminAddr = "127.0.0.1:0", "127.0.0.1:0" },
		func(c *config.Config) { c.Addr = "[::]:8080" },
		func(c *config.Config) { c.RetryBudget, c.PresenceGrace, c.Drain = 0, 0, 0 },
		func(c *config.Config) { c.DatabaseURL = "file:orbit.db?mode=rwc" },
		func(c *config.Config) { c.DatabaseURL = "file:///var/lib/orbit.db" },
		func(c *config.Config) { c.DatabaseURL = "postgresql:///orbit?host=/run/postgresql" },
		func(c *config.Config) { c.DatabaseURL = "postgresql://?host=/run/postgresql&dbname=orbit" },
		func(c *config.Config) { c.AllowedOrigins = []string{"http://localhost:3000"} },
	} {
		c := config.Default()
		change(&c)
		require.NoError(t, c.Validate())
	}
}

// A value that can't even be read is told by kong; its message must name the
// variable as well, and what would do.
func TestUnreadableValuesNameTheVariable(t *testing.T) {
	for flag, want := range map[string]string{
		"--lanes=many":          "ORBIT_LANES takes 1 to 64, such as 4",
		"--heartbeat=25":        "ORBIT_HEARTBEAT takes 1s to 5m, such as 25s",
		"--heartbeat=soon":      "ORBIT_HEARTBEAT takes 1s to 5m, such as 25s",
		"--log-max-entries=1e4": "ORBIT_LOG_MAX_ENTRIES takes 1 to 10000000, such as 10000",
	} {
		name, _, _ := strings.Cut(flag, "=")
		_, _, err := parse(t, nil, flag)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, want)
	}
	_, _, err := parse(t, map[string]string{"ORBIT_PONG_WAIT": "10"})
	require.ErrorContains(t, err, "ORBIT_PONG_WAIT takes 100ms to 5m, such as 10s")
	for name, value := range map[string]string{"ORBIT_LANES": "many", "ORBIT_HEARTBEAT": "25", "ORBIT_MIGRATE": "maybe"} {
		_, _, err := parse(t, map[string]string{name: value})
		require.ErrorContains(t, err, name+`="`+value+`"`)
	}
	_, _, err = parse(t, map[string]string{"ORBIT_LANES": "0"})
	require.ErrorContains(t, err, "ORBIT_LANES (--lanes)", "parsing validates")
}

func TestWarnings(t *testing.T) {
	for addr, warns := range map[string]bool{
		"127.0.0.1:8081": false, "[::1]:8081": false, "localhost:8081": false,
		":8081": true, "0.0.0.0:8081": true, "10.0.0.7:8081": true, "[::]:8081": true,
	} {
		c := config.Default()
		c.AdminAddr = addr
		require.Equal(t, warns, len(c.Warnings()) == 1, addr)
	}
	c := config.Default()
	c.Addr, c.Demo = ":8080", true
	require.Len(t, c.Warnings(), 1)
}

// A misspelt variable would be ignored without a word.
func TestUnknownVariablesAreTold(t *testing.T) {
	t.Setenv("ORBIT_LAINES", "8")
	t.Setenv("ORBIT_TEST_DATABASE_URL", "postgres://127.0.0.1/postgres")
	t.Setenv("ORBITAL", "not ours")
	warnings := strings.Join(config.Default().Warnings(), "\n")
	require.Contains(t, warnings, "ORBIT_LAINES is not a setting")
	require.NotContains(t, warnings, "ORBIT_TEST_DATABASE_URL")
	require.NotContains(t, warnings, "ORBITAL")
}

// One name in three spellings: the field, the variable and the flag.
func TestNamesAgree(t *testing.T) {
	_, k, err := parse(t, nil)
	require.NoError(t, err)
	flags := map[string]*kong.Flag{}
	for _, f := range k.Selected().Flags {
		flags[f.Name] = f
	}
	settings := config.Describe(config.Default(), nil)
	require.Len(t, settings, reflect.TypeFor[config.Config]().NumField())
	for _, s := range settings {
		require.Contains(t, flags, s.Flag, s.Name)
		require.Equal(t, []string{s.Name}, flags[s.Flag].Envs)
		require.NotEmpty(t, flags[s.Flag].Help, s.Name)
		require.NotNil(t, flags[s.Flag].Group, s.Name)
	}
}

func TestReferenceIsCurrent(t *testing.T) {
	const path = "../docs/configuration.md"
	var want bytes.Buffer
	require.NoError(t, config.WriteMarkdown(&want))
	if *update {
		require.NoError(t, os.WriteFile(path, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got), `docs/configuration.md is old: run "make generate"`)
}
