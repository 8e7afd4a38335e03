package main

// Examples, shown by each command's --help.

func (serveCmd) Help() string {
	return `Examples:

  orbit serve --demo                                   SQLite and a page to try it with
  DATABASE_URL=postgres://localhost/orbit orbit serve  PostgreSQL
  orbit serve --addr :9000 --allowed-origins https://app.example.com`
}

func (migrateCmd) Help() string {
	return `Example:

  DATABASE_URL=postgres://localhost/orbit orbit migrate`
}

func (configCmd) Help() string {
	return `Examples:

  orbit config                       what "orbit serve" would run with here
  ORBIT_LANES=8 orbit config --json  for scripts`
}

func (poisonCmd) Help() string {
	return `An event that a projector fails on waits here, with its whole story. The way back:

  orbit poison groups                            what broke, and how much of it
  orbit poison show psn_01                       why
  orbit poison preview psn_01                    is it mended? what would a requeue send?
  orbit poison requeue --group 9f86d081884c7d65  all of it, one first, then ten, then the rest

` + exitCodes + `

Examples:

  orbit poison list --workspace acme --since 24h
  orbit poison requeue psn_01 psn_02
  orbit poison list --dsn orbit.db       no server runs: straight on the database`
}

func (poisonListCmd) Help() string {
	return `Examples:

  orbit poison list --state all --limit 20
  orbit poison list --search "column missing" --since 1h
  orbit poison list --json --all | jq -r .id`
}

func (poisonGroupsCmd) Help() string {
	return `Messages that failed in the same way are one group: the same projector, class of error, and place.

Examples:

  orbit poison groups
  orbit poison groups --state open --json | jq -r .fingerprint`
}

func (poisonShowCmd) Help() string {
	return `Example:

  orbit poison show psn_01 --json | jq -r .stack`
}

func (poisonPreviewCmd) Help() string {
	return `Runs the projector on the database as it is now. Nothing is written.

Example:

  orbit poison preview psn_01`
}

func (poisonRequeueCmd) Help() string {
	return `With ids, one after the other. With filters, an operation on the server: its selection is pinned, and it goes
on if this command is interrupted. One message goes first, then ten, then the rest; it stops by itself when one
fails in the same way again. Where no terminal can ask, say --yes --expect N.

Examples:

  orbit poison requeue psn_01 psn_02
  orbit poison requeue --group 9f86d081884c7d65 --dry-run
  orbit poison requeue --group 9f86d081884c7d65 --yes --expect 412 --reason "fixed in v2.3" --wait`
}

func (poisonDiscardCmd) Help() string {
	return `Tabs keep what they have. Discarded messages can be restored until retention takes them.

Examples:

  orbit poison discard psn_01 --reason "of a workspace that is gone"
  orbit poison discard --workspace acme --reason "of a workspace that is gone" --yes --expect 12`
}

func (poisonRestoreCmd) Help() string {
	return `Examples:

  orbit poison restore psn_01
  orbit poison restore --all --yes --expect 12`
}

func (poisonStatsCmd) Help() string {
	return `For monitoring checks. Example:

  orbit poison stats --max-open 0 --max-age 10m || echo "exit $?"`
}

func (poisonWatchCmd) Help() string {
	return `Examples:

  orbit poison watch
  orbit poison watch --json | jq -r '.newGroups[].error'`
}

func (poisonExportCmd) Help() string {
	return `The fixture holds the event and every row that its projector read, with what is anybody's business taken out.

Example:

  orbit poison export psn_01 > handlers/testdata/mood.json`
}

func (poisonReplayCmd) Help() string {
	return `Needs no server and no database. Exits with 1 if this build's projector fails on it.

Examples:

  orbit poison replay handlers/testdata/mood.json
  orbit poison replay handlers/testdata/mood.json --test > handlers/mood_test.go`
}

func (operationsCmd) Help() string {
	return `Example:

  orbit operations list`
}

func (operationsListCmd) Help() string {
	return `Example:

  orbit operations list --json | jq 'select(.state == "running")'`
}

func (operationsShowCmd) Help() string {
	return `Examples:

  orbit operations show op_01 --wait     with a progress bar; exits with 5 if some failed
  orbit operations show op_01 --items`
}

func (operationsCancelCmd) Help() string {
	return `Example:

  orbit operations cancel op_01 --reason "wrong group"`
}

func (opsCmd) Help() string {
	return `Example:

  orbit ops status`
}

func (opsStatusCmd) Help() string {
	return `Examples:

  orbit ops status
  orbit ops status --json | jq -r '.verdict.why[]'`
}

func (opsSessionsCmd) Help() string {
	return `Example:

  orbit ops sessions --workspace acme`
}

func (opsDisconnectCmd) Help() string {
	return `Example:

  orbit ops disconnect ses_01 --reason "stuck tab"`
}

func (traceCmd) Help() string {
	return `Example:

  orbit trace 0198c7a2-5d1e-7c3a-9b52-0d6b1f0c9a11`
}

func (auditCmd) Help() string {
	return `Example:

  orbit audit list --since 24h`
}

func (auditListCmd) Help() string {
	return `Examples:

  orbit audit list --operator alice --outcome denied
  orbit audit list --target psn_01 --json`
}

func (tailCmd) Help() string {
	return `Examples:

  orbit tail acme
  orbit tail acme --json | jq -r .type`
}

func (completionCmd) Help() string {
	return `Examples:

  source <(orbit completion bash)
  orbit completion fish > ~/.config/fish/completions/orbit.fish`
}

func (resetEpochCmd) Help() string {
	return `Examples:

  orbit log reset-epoch                    every workspace
  orbit log reset-epoch --workspace ws_01  one`
}

func (benchLatencyCmd) Help() string {
	return `Examples:

  orbit bench latency --rate 100 --tabs 50 --duration 30s
  orbit bench latency --transport sse --json`
}

func (benchPipelineCmd) Help() string {
	return `Examples:

  orbit bench pipeline --backlog 10000
  DATABASE_URL=postgres://localhost/orbit orbit bench pipeline --lanes 8`
}

func (benchIdleCmd) Help() string {
	return `Example:

  orbit bench idle --tabs 5000 --settle 30s`
}

func (proveCmd) Help() string {
	return `Starts this binary on a scratch database, has writers change things and clients watch over every
transport, kills, starves and cuts off the server meanwhile, and compares in the end what each client
received with what was committed. Exit 0: every promise was kept. docs/proof.md tells all of it.

The seed decides what is done when; how the machine answers is its own affair, so a run that found
something may need a few runs with its seed to find it again.

Some nemeses need root (half-open, disk-full), PostgreSQL's own programs (db-…), or a binary that can
be told to fail (kill-before-commit, projector-…):

  go build -tags failpoint -o orbit-prove ./app/orbit

Examples:

  orbit prove                                                three minutes on each engine
  orbit prove --nemesis list                                 what there is, and what is possible here
  orbit prove --engine sqlite --nemesis kill,pause --duration 30s
  orbit prove --nemesis each --report proof                  one round each; proof/sqlite.html has the picture
  orbit prove --engine postgres --duration 8h --seed 42      a soak: checked and forgotten every five minutes`
}

func (healthCmd) Help() string {
	return `Example:

  orbit health --admin-addr 127.0.0.1:9001 && echo ready`
}
