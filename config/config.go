// Package config is everything an operator can set, in one struct: the tags of
// [Config] are the flags, the environment variables, the defaults, the ranges
// and the help text, and docs/configuration.md is generated from them.
//
// A flag wins over the environment, which wins over the default.
package config

//go:generate go test . -run TestReferenceIsCurrent -update

import (
	"time"

	"github.com/alecthomas/kong"
)

// Config is the configuration of one node. Embed it in a kong command, or start
// from [Default].
//
// Tags beside kong's own: "range" (inclusive, low..high; checked by Validate),
// "choices" (the values allowed, separated by |) and "secret" (printed masked: "true" for
// database URLs and tokens, "url" where the path is the secret, "users" where it stands before the host, "all").
// Durations are Go's: "200ms", "25s", "1h30m".
type Config struct {
	Addr           string   `group:"Listeners" env:"ORBIT_ADDR" default:"127.0.0.1:8080" help:"Where clients connect, host:port. An empty host is every interface, port 0 any free one."`
	AdminAddr      string   `group:"Listeners" env:"ORBIT_ADMIN_ADDR" default:"127.0.0.1:8081" help:"Where operators connect, host:port: console, API, health, readiness and metrics. Keep it off public networks."`
	AdminTokens    []string `group:"Listeners" env:"ORBIT_ADMIN_TOKENS" placeholder:"NAME:ROLE:TOKEN" secret:"true" help:"Operators that may use the console and the admin API, each name:role:token. The role is viewer (reads, payloads masked) or operator (acts); the token has 16 characters or more. Empty: nobody, or on a loopback address with the demo, whoever reaches it."`
	AdminHosts     []string `group:"Listeners" env:"ORBIT_ADMIN_HOSTS" placeholder:"HOST" help:"Names, such as ops.example.com, by which a proxy on this machine forwards operators to a loopback admin address. Empty: loopback names alone."`
	AllowedOrigins []string `group:"Listeners" env:"ORBIT_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Origins, such as https://app.example.com, whose pages may connect with cookies. Empty: the server's own origin alone."`
	CookieSecure   string   `group:"Listeners" env:"ORBIT_COOKIE_SECURE" default:"auto" choices:"auto|always" help:"Whether session cookies are for https and this host alone, by the name __Host-…. auto: when the request came over https. Behind a proxy that ends TLS, use always."`

	DatabaseURL string `group:"Database" env:"DATABASE_URL" default:"orbit.db" secret:"true" help:"postgres://user:password@host/database, or the path of a SQLite file."`
	DBMaxConns  int    `group:"Database" env:"ORBIT_DB_MAX_CONNS" default:"20" range:"4..1000" help:"Open connections to PostgreSQL at most. SQLite ignores it."`
	Migrate     bool   `group:"Database" env:"ORBIT_MIGRATE" default:"true" negatable:"" help:"Apply database migrations when the server starts."`

	NodeLease       time.Duration `group:"Nodes" env:"ORBIT_NODE_LEASE" default:"5s" range:"2s..5m" help:"How long a node may show no sign of life before others take it for dead: its lanes are taken, and its members go offline unless they came back elsewhere (after the presence grace, if that is longer)."`
	NatsURL         string        `group:"Nodes" env:"NATS_URL" default:"" secret:"users" help:"NATS servers that carry hints between nodes, nats://user:password@host:4222, separated by commas (tls:// for TLS). Empty: PostgreSQL's LISTEN and NOTIFY carry them."`
	NatsCredentials string        `group:"Nodes" env:"NATS_CREDENTIALS" default:"" help:"Path of a NATS credentials file (JWT and nkey)."`
	NatsCA          string        `group:"Nodes" env:"NATS_CA" default:"" help:"Path of the CA certificates, PEM, that the NATS server's is checked against. Empty: the system's."`
	NatsCert        string        `group:"Nodes" env:"NATS_CERT" default:"" help:"Path of a client certificate for NATS, PEM. It needs NATS_KEY."`
	NatsKey         string        `group:"Nodes" env:"NATS_KEY" default:"" help:"Path of the client certificate's key, PEM."`
	NatsPrefix      string        `group:"Nodes" env:"NATS_PREFIX" default:"orbit" help:"First part of the NATS subjects. Products that share a NATS server have different ones."`

	Lanes          int           `group:"Event bus" env:"ORBIT_LANES" default:"4" range:"1..64" help:"Strictly ordered shares of the outbox that are projected side by side. A workspace lives in one. The same on every node."`
	HandlerTimeout time.Duration `group:"Event bus" env:"ORBIT_HANDLER_TIMEOUT" default:"5s" range:"10ms..5m" help:"How long one attempt to project an event may take."`
	RetryBudget    time.Duration `group:"Event bus" env:"ORBIT_RETRY_BUDGET" default:"1s" range:"0s..1m" help:"How long an event that fails is tried again before it is poisoned. One bad event holds its lane up that long."`
	DedupeWindow   time.Duration `group:"Event bus" env:"ORBIT_DEDUPE_WINDOW" default:"10m" range:"1s..168h" help:"How long the id of a projected event is remembered at least, so that it is not projected twice."`
	SafetyPoll     time.Duration `group:"Event bus" env:"ORBIT_SAFETY_POLL" default:"200ms" range:"10ms..10s" help:"How often an idle lane looks at the outbox should every wake-up have been lost."`

	LogMaxAge     time.Duration `group:"Log" env:"ORBIT_LOG_MAX_AGE" default:"24h" range:"1m..8760h" help:"How long a workspace's log keeps an entry. A client that was away longer fetches a snapshot."`
	LogMaxEntries int           `group:"Log" env:"ORBIT_LOG_MAX_ENTRIES" default:"10000" range:"1..10000000" help:"Entries a workspace's log keeps at most."`
	RingSize      int           `group:"Log" env:"ORBIT_RING_SIZE" default:"1024" range:"16..65536" help:"Newest entries kept in memory for each active workspace. Sessions further behind read the log."`

	AuditRate     int           `group:"Operators" env:"ORBIT_AUDIT_RATE" default:"20" range:"0..100000" help:"How many aggregates per second a node compares with what tabs were told of them, to find and tell what no event told. 0 compares none."`
	AuditPatience time.Duration `group:"Operators" env:"ORBIT_AUDIT_PATIENCE" default:"30s" range:"100ms..24h" help:"How long an aggregate may differ from what tabs were told, with no event waiting, before it is told again."`

	PoisonMaxAge time.Duration `group:"Operators" env:"ORBIT_POISON_MAX_AGE" default:"720h" range:"1h..87600h" help:"How long a poison message is kept once it is healed, superseded or discarded. Open ones are kept for good."`
	AuditMaxAge  time.Duration `group:"Operators" env:"ORBIT_AUDIT_MAX_AGE" default:"8760h" range:"24h..87600h" help:"How long the audit keeps what operators did."`

	Heartbeat time.Duration `group:"Sessions" env:"ORBIT_HEARTBEAT" default:"25s" range:"1s..5m" help:"How often the server pings a session and tells it the current position."`
	PongWait  time.Duration `group:"Sessions" env:"ORBIT_PONG_WAIT" default:"10s" range:"100ms..5m" help:"How long a WebSocket may take to answer a ping before it is closed. At most the heartbeat."`
	WriteWait time.Duration `group:"Sessions" env:"ORBIT_WRITE_WAIT" default:"10s" range:"100ms..5m" help:"How long one write to a client may take before its session is closed."`
	PollLease time.Duration `group:"Sessions" env:"ORBIT_POLL_LEASE" default:"10s" range:"100ms..5m" help:"How soon the next poll must follow for the poller to stay online."`

	PresenceGrace time.Duration `group:"Sessions" env:"ORBIT_PRESENCE_GRACE" default:"5s" range:"0s..5m" help:"How long a member whose last connection broke off stays online. A clean close is offline at once."`

	MaxSessions          int `group:"Limits" env:"ORBIT_MAX_SESSIONS" default:"20000" range:"1..1000000" help:"Sessions on this node at most."`
	MaxWorkspaceSessions int `group:"Limits" env:"ORBIT_MAX_WORKSPACE_SESSIONS" default:"20000" range:"1..1000000" help:"Sessions of one workspace on this node at most."`
	MaxUserSessions      int `group:"Limits" env:"ORBIT_MAX_USER_SESSIONS" default:"100" range:"1..100000" help:"Sessions of one user on this node at most."`
	MaxRooms             int `group:"Limits" env:"ORBIT_MAX_ROOMS" default:"50" range:"1..1000" help:"Rooms one session may subscribe to at most."`
	MaxBodyBytes         int `group:"Limits" env:"ORBIT_MAX_BODY_BYTES" default:"65536" range:"1024..16777216" help:"Bytes in the body of a request at most."`
	MaxMessageBytes      int `group:"Limits" env:"ORBIT_MAX_MESSAGE_BYTES" default:"4096" range:"256..1048576" help:"Bytes in one WebSocket message from a client at most."`
	MessagesPerSecond    int `group:"Limits" env:"ORBIT_MESSAGES_PER_SECOND" default:"20" range:"1..10000" help:"WebSocket messages a second from one session at most."`
	CommandsPerSecond    int `group:"Limits" env:"ORBIT_COMMANDS_PER_SECOND" default:"100" range:"1..100000" help:"Commands a second of one user on this node at most; twice as many at once."`

	Node       string        `group:"Telemetry" env:"ORBIT_NODE" default:"" help:"Name of this node, for operators. Empty: host name and process id."`
	Traces     int           `group:"Telemetry" env:"ORBIT_TRACES" default:"1000000" range:"0..100000000" help:"Of how many events, up to ORBIT_LOG_MAX_AGE, the way is remembered: when, by which node, to how many tabs. 0 remembers none."`
	LagLimit   time.Duration `group:"Telemetry" env:"ORBIT_LAG_LIMIT" default:"5s" range:"100ms..1h" help:"How long the oldest event may wait in the outbox before the verdict is lagging."`
	StallLimit time.Duration `group:"Telemetry" env:"ORBIT_STALL_LIMIT" default:"15s" range:"1s..1h" help:"How long a lane with events may move none, or be held by no node, before the verdict is stalled."`

	AlertWebhook string        `group:"Alerts" env:"ORBIT_ALERT_WEBHOOK" secret:"url" placeholder:"URL" help:"Where alerts are posted as JSON, such as https://hooks.slack.com/…. Empty: nowhere."`
	AlertSecret  string        `group:"Alerts" env:"ORBIT_ALERT_SECRET" secret:"all" help:"Key of the signature that each alert carries. Empty: none does."`
	AlertAfter   time.Duration `group:"Alerts" env:"ORBIT_ALERT_AFTER" default:"1m" range:"0s..24h" help:"How long the verdict must be lagging or stalled before that is an alert."`
	AlertAge     time.Duration `group:"Alerts" env:"ORBIT_ALERT_AGE" default:"1h" range:"1m..8760h" help:"How old the oldest open poison message may get before that is an alert."`

	ShutdownTimeout time.Duration `group:"Process" env:"ORBIT_SHUTDOWN_TIMEOUT" default:"20s" range:"1s..10m" help:"How long an orderly shutdown may take."`
	Drain           time.Duration `group:"Process" env:"ORBIT_DRAIN" default:"5s" range:"0s..5m" help:"Over how long sessions are sent away at shutdown, so that they don't all come back at once. Less than the shutdown timeout."`
	LogLevel        string        `group:"Process" env:"ORBIT_LOG_LEVEL" default:"info" choices:"debug|info|warn|error" help:"The least severe messages that are logged."`
	LogFormat       string        `group:"Process" env:"ORBIT_LOG_FORMAT" default:"auto" choices:"auto|text|json" help:"auto: text on a terminal, JSON elsewhere."`
	Demo            bool          `group:"Process" env:"ORBIT_DEMO" default:"false" negatable:"" help:"Seed the workspaces acme and globex, let anybody sign in as owner, admin or guest, and serve the page that may flood, break and restart this server."`
}

// Default returns the configuration of a node that nobody configured: it looks
// at neither flags nor environment.
func Default() Config {
	var c Config
	blind := kong.PostBuild(func(k *kong.Kong) error {
		for _, flag := range k.Model.Flags {
			flag.Tag.Envs = nil
		}
		return nil
	})
	if _, err := kong.Must(&c, blind).Parse(nil); err != nil {
		panic(err) // a default that its own tags refuse
	}
	return c
}
