package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// call is one use of a command.
type call struct {
	ctx            context.Context
	command        *command
	flags          *pflag.FlagSet
	args           []string // what is not a flag
	stdin          io.Reader
	stdout, stderr io.Writer
}

// cobra is the command as cobra has it.
func (c *command) cobra(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	it := &cobra.Command{Use: strings.TrimSpace(c.name + " " + c.synopsis), Short: c.summary, DisableFlagsInUseLine: true}
	use := &call{command: c, flags: it.Flags(), stdin: stdin, stdout: stdout, stderr: stderr}
	do := c.define(use)
	it.RunE = func(it *cobra.Command, args []string) error {
		use.ctx, use.args = it.Context(), args
		return do()
	}
	it.SetHelpFunc(func(*cobra.Command, []string) { use.printHelp(stdout) })
	it.Flags().VisitAll(func(f *pflag.Flag) { completeFlag(it, f) })
	return it
}

// completeFlag tells shells what may follow a flag: one of the choices in its
// usage, a folder, a file, or what they cannot know.
func completeFlag(c *cobra.Command, f *pflag.Flag) {
	value, _ := pflag.UnquoteUsage(f)
	switch choices := strings.Split(value, "|"); {
	case len(choices) > 1:
		choices = slices.DeleteFunc(choices, func(s string) bool { return s == strings.ToUpper(s) }) // N stands for a number
		c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp))
	case value == "folder" && f.Name != "model":
		c.MarkFlagDirname(f.Name)
	case value != "file" && value != "path" && value != "folder":
		c.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
	}
}

// usageError says what is wrong with the command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// noArguments refuses arguments that a command has no use for.
func (c *call) noArguments() error {
	if len(c.args) > 0 {
		return usagef("unexpected argument %q", c.args[0])
	}
	return nil
}

// set says whether a flag was given.
func (c *call) set(name string) bool { return c.flags.Changed(name) }

// note prints a line for the user to standard error.
func (c *call) note(format string, args ...any) {
	fmt.Fprintf(c.stderr, format+"\n", args...)
}

func (c *call) printHelp(out io.Writer) {
	w := new(bytes.Buffer)
	defer w.WriteTo(out)
	fmt.Fprintf(w, "%s\n\nusage: m2embed %s %s\n", c.command.summary, c.command.name, c.command.synopsis)
	first := true
	c.flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		if first {
			fmt.Fprint(w, "\nflags:\n")
			first = false
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		switch {
		case f.Value.Type() == "bool":
		case strings.Contains(value, "|"): // a choice
			name += " " + value
			usage = strings.TrimPrefix(usage, value+": ")
		case value != "":
			name += " " + strings.ToUpper(value)
		}
		if d := f.DefValue; d != "" && d != "0" && d != "false" && d != "default" && d != "[]" {
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

// isTerminal says whether a stream is one.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
