package main

import (
	"encoding/json"
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/orbit/realtime/config"
)

type configCmd struct {
	config.Config `embed:""`
	JSON          bool `name:"json" help:"One JSON object a line."`
	Markdown      bool `help:"Print the reference of all settings instead, as in docs/configuration.md."`
}

func (c configCmd) Run(k *kong.Context, con console) error {
	if c.Markdown {
		return config.WriteMarkdown(con.out)
	}
	settings := config.Describe(c.Config, k)
	if c.JSON {
		lines := json.NewEncoder(con.out)
		for _, s := range settings {
			if err := lines.Encode(s); err != nil {
				return err
			}
		}
	} else if err := config.WriteTable(con.out, settings); err != nil {
		return err
	}
	for _, warning := range c.Warnings() {
		fmt.Fprintln(con.err, "warning:", warning)
	}
	return c.Validate()
}
