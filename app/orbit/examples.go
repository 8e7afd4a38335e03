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
	return `Examples:

  orbit poison list
  orbit poison show psn_01
  orbit poison requeue psn_01 psn_02
  orbit poison discard psn_01 --reason "of a workspace that is gone"`
}

func (poisonListCmd) Help() string {
	return `Examples:

  orbit poison list --state all --limit 20
  orbit poison list --json | jq -r .id`
}

func (poisonShowCmd) Help() string {
	return `Example:

  orbit poison show psn_01 --json | jq -r .stack`
}

func (poisonRequeueCmd) Help() string {
	return `Examples:

  orbit poison requeue psn_01 psn_02
  orbit poison list --json | jq -r .id | xargs orbit poison requeue`
}

func (poisonDiscardCmd) Help() string {
	return `Example:

  orbit poison discard psn_01 --reason "of a workspace that is gone"`
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

func (healthCmd) Help() string {
	return `Example:

  orbit health --admin-addr 127.0.0.1:9001 && echo ready`
}
