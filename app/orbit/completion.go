package main

import (
	"fmt"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// The binary completes itself: these lines tell a shell to ask it.
var completionScripts = map[string]string{
	"bash": "complete -C %[1]s orbit\n",
	"zsh":  "autoload -U +X bashcompinit && bashcompinit\ncomplete -C %[1]s orbit\n",
	"fish": "function __complete_orbit\n    set -lx COMP_LINE (commandline -cp)\n    test -z (commandline -ct)\n    and set COMP_LINE \"$COMP_LINE \"\n    %[1]s\nend\ncomplete -f -c orbit -a \"(__complete_orbit)\"\n",
}

func (c completionCmd) Run(con console) error {
	fmt.Fprintf(con.out, completionScripts[c.Shell], "orbit")
	return nil
}
