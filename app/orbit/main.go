// Command orbit is the Orbit Realtime server and its tools.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"
	"github.com/willabides/kongplete"

	"github.com/orbit/realtime/config"
	"github.com/orbit/realtime/domain"
)

const description = `Makes every open browser tab show what the database says, within milliseconds.

Start with:  orbit serve --demo      then open http://localhost:8080 twice.

Every flag has an environment variable; "orbit config" shows what is in force and where it came from.
` + exitCodes

// cli is the list of subcommands: one struct, and one file, each.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Migrate migrateCmd `cmd:"" help:"Apply the database migrations, then exit."`
	Config  configCmd  `cmd:"" help:"Print the configuration in force, with sources; secrets masked."`

	Poison     poisonCmd     `cmd:"" group:"For operators" help:"Look at, requeue or discard events that could not be projected."`
	Operations operationsCmd `cmd:"" group:"For operators" help:"Bulk acts on the poison queue: progress, outcomes, cancel."`
	Ops        opsCmd        `cmd:"" group:"For operators" help:"How a server is doing; its sessions."`
	Trace      traceCmd      `cmd:"" group:"For operators" help:"Why didn't this tab see it? The way of one event, from its commit to the tabs."`
	Audit      auditCmd      `cmd:"" group:"For operators" help:"Who did what, when and why."`
	Tail       tailCmd       `cmd:"" group:"For operators" help:"Print a workspace's events as they are appended, until interrupted."`

	Log     logCmd     `cmd:"" help:"Care for the workspaces' logs."`
	Bench   benchCmd   `cmd:"" help:"Measure this build on this machine: latency, pipeline, idle."`
	Prove   proveCmd   `cmd:"" help:"Break this build on purpose, and check that nothing was lost, doubled or leaked."`
	Health  healthCmd  `cmd:"" help:"Ask a running server whether it is ready (exit 0 or 1)."`
	Version versionCmd `cmd:"" help:"Print the build."`

	Completion completionCmd `cmd:"" help:"Print what makes a shell complete this command."`
}

// io of a command, so that tests can run commands without a process.
type console struct {
	out io.Writer
	err io.Writer
	in  io.Reader
	// terminal: somebody looks at err, and can answer on in.
	terminal bool
}

// asks reports whether a question would reach somebody.
func (con console) asks() bool { return con.terminal && con.in != nil }

func main() {
	// The second signal kills at once: only the first is caught.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop()
	}()
	os.Exit(run(ctx, os.Args[1:], console{
		out: os.Stdout, err: os.Stderr, in: os.Stdin,
		terminal: isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stderr.Fd()),
	}))
}

// run parses args, runs one command and returns its exit code.
func run(ctx context.Context, args []string, con console) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("orbit"),
		kong.Description(description),
		kong.Writers(con.out, con.err),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(con),
		config.Hints(),
	)
	if err != nil {
		fmt.Fprintln(con.err, "orbit:", err)
		return exitError
	}
	kongplete.Complete(parser) // answers a shell that asks, and exits
	if exited >= 0 {
		return exited
	}
	command, err := parser.Parse(understood(args))
	if exited >= 0 { // --help answers and is done
		return exited
	}
	if err != nil {
		fmt.Fprintln(con.err, "orbit:", err)
		pointToHelp(con, err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		var told silent
		if !errors.As(err, &told) {
			fmt.Fprintln(con.err, "orbit:", describeError(err))
		}
		return exitCode(err)
	}
	return exitOK
}

// understood turns what people type out of habit into what there is.
func understood(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case args[0] == "--version":
		return []string{"version"}
	}
	return args
}

// pointToHelp names the help of the command that a usage error is about.
func pointToHelp(con console, err error) {
	command := "orbit"
	var usage *kong.ParseError
	if errors.As(err, &usage) {
		for _, step := range usage.Context.Path {
			if step.Command != nil {
				command = step.Command.FullPath()
			}
		}
	}
	fmt.Fprintf(con.err, "Run \"%s --help\" for what it takes, and examples.\n", command)
}

// describeError prefers the message meant for people over the chain meant for logs.
func describeError(err error) string {
	var e *domain.Error
	if errors.As(err, &e) && e.Code != domain.CodeInternal {
		if cause := errors.Unwrap(e); cause != nil {
			return fmt.Sprintf("%s (%v)", e.Message, cause)
		}
		return e.Message
	}
	return err.Error()
}
