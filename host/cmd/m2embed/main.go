// Command m2embed embeds texts with M2-BERT, and converts, inspects, measures
// and serves its models. "m2embed help" lists the commands.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailure     = 1   // what was asked could not be done
	exitUsage       = 2   // the command line is wrong
	exitInterrupted = 130 // Ctrl-C or SIGTERM
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is one of m2embed's commands.
type command struct {
	name     string
	synopsis string // what follows the name
	summary  string // one line
	details  string // paragraphs after the flags
	// define declares flags and returns the function that runs with them.
	define func(c *call) func() error
}

// commands in the order of the help.
func commands() []*command {
	return []*command{
		embedCommand, similarityCommand, indexCommand, searchCommand, tokenizeCommand,
		convertCommand, pullCommand, inspectCommand, benchCommand, serveCommand, versionCommand,
	}
}

// run is the command line without its process. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "help", "-h", "-help", "--help":
		return help(args, stdout, stderr)
	case "-version", "--version":
		name = "version"
	}
	command := find(name)
	if command == nil {
		fmt.Fprintf(stderr, "m2embed: no command %q; see m2embed help\n", name)
		return exitUsage
	}
	c := newCall(ctx, command, stdin, stdout, stderr)
	do := command.define(c)
	err := c.parse(args)
	if errors.Is(err, errHelp) {
		var text bytes.Buffer
		c.printHelp(&text)
		stdout.Write(text.Bytes())
		return exitOK
	}
	if err == nil {
		err = do()
	}
	return report(ctx, stderr, name, err)
}

// report prints an error as one line and returns the exit code for it.
func report(ctx context.Context, stderr io.Writer, name string, err error) int {
	if err == nil {
		return exitOK
	}
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "m2embed %s: %s; see m2embed %s --help\n", name, oneLine(err), name)
		return exitUsage
	case ctx.Err() != nil && !errors.Is(err, errGrace):
		fmt.Fprintf(stderr, "m2embed %s: interrupted\n", name)
		return exitInterrupted
	}
	fmt.Fprintf(stderr, "m2embed %s: %s\n", name, oneLine(err))
	return exitFailure
}

// oneLine is an error's message without line breaks, which joined errors and
// foreign text may hold.
func oneLine(err error) string {
	return strings.NewReplacer("\r", `\r`, "\n", "; ", "\x00", `\x00`, "\x1b", `\x1b`).Replace(err.Error())
}

func find(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return c
		}
	}
	return nil
}

func help(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		command := find(args[0])
		if command == nil {
			fmt.Fprintf(stderr, "m2embed: no command %q; see m2embed help\n", args[0])
			return exitUsage
		}
		c := newCall(context.Background(), command, nil, stdout, stderr)
		command.define(c)
		c.printHelp(stdout)
		return exitOK
	}
	fmt.Fprint(stdout, "m2embed embeds texts with M2-BERT.\n\nusage: m2embed COMMAND [flags] [arguments]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(stdout, "  %-11s %s\n", c.name, c.summary)
	}
	fmt.Fprint(stdout, `
m2embed help COMMAND (or m2embed COMMAND --help) explains a command. Flags may
stand before, between and after arguments; -- ends them.

Results go to standard output or to the file that --output names; all else goes
to standard error, errors as one line.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`)
	return exitOK
}
