package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// call is one use of a command.
type call struct {
	ctx            context.Context
	command        *command
	flags          *flag.FlagSet
	args           []string // what is not a flag
	stdin          io.Reader
	stdout, stderr io.Writer
}

func newCall(ctx context.Context, command *command, stdin io.Reader, stdout, stderr io.Writer) *call {
	flags := flag.NewFlagSet(command.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return &call{ctx: ctx, command: command, flags: flags, stdin: stdin, stdout: stdout, stderr: stderr}
}

// usageError says what is wrong with the command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// errHelp asks for the help text.
var errHelp = errors.New("help")

// parse reads flags and arguments in any order.
func (c *call) parse(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			c.args = append(c.args, args...)
			return nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			c.args = append(c.args, arg)
			continue
		}
		name, value, given := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		if name == "help" || name == "h" {
			return errHelp
		}
		f := c.flags.Lookup(name)
		if f == nil {
			return usagef("unknown flag %q (-- goes before arguments that begin with a dash)", arg)
		}
		switch {
		case given:
		case isBool(f):
			value = "true"
		case len(args) == 0:
			return usagef("--%s needs a value", name)
		default:
			value, args = args[0], args[1:]
		}
		if err := c.flags.Set(name, value); err != nil {
			return usagef("--%s %q: %v", name, value, err)
		}
	}
	return nil
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// noArguments refuses arguments that a command has no use for.
func (c *call) noArguments() error {
	if len(c.args) > 0 {
		return usagef("unexpected argument %q", c.args[0])
	}
	return nil
}

// set says whether a flag was given.
func (c *call) set(name string) bool {
	given := false
	c.flags.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// note prints a line for the user to standard error.
func (c *call) note(format string, args ...any) {
	fmt.Fprintf(c.stderr, format+"\n", args...)
}

func (c *call) printHelp(w io.Writer) {
	fmt.Fprintf(w, "%s\n\nusage: m2embed %s %s\n", c.command.summary, c.command.name, c.command.synopsis)
	first := true
	c.flags.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(w, "\nflags:\n")
			first = false
		}
		value, usage := flag.UnquoteUsage(f)
		name := "--" + f.Name
		switch {
		case isBool(f):
		case strings.Contains(value, "|"): // a choice
			name += " " + value
			usage = strings.TrimPrefix(usage, value+": ")
		case value != "":
			name += " " + strings.ToUpper(value)
		}
		if d := f.DefValue; d != "" && d != "0" && d != "false" && d != "default" {
			usage += " (default " + d + ")"
		}
		const indent = 26
		if len(name) > indent-4 {
			name += "\n" + strings.Repeat(" ", indent)
			fmt.Fprintf(w, "  %s%s\n", name, wrap(usage, indent, 80))
			return
		}
		fmt.Fprintf(w, "  %-*s%s\n", indent-2, name, wrap(usage, indent, 80))
	})
	if c.command.details != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(c.command.details))
	}
}

// wrap breaks a text into lines that end before the given column.
func wrap(text string, indent, width int) string {
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return "" }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// isTerminal says whether w is one.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
