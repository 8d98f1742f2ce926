// Command m2embed embeds texts with M2-BERT, and converts, inspects, measures
// and serves its models. "m2embed help" lists the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
		embedCommand, batchCommand, similarityCommand, indexCommand, searchCommand, siteIndexCommand, tokenizeCommand,
		convertCommand, pullCommand, inspectCommand, benchCommand, serveCommand, versionCommand,
	}
}

// run is the command line without its process. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(stdin, stdout, stderr)
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	ran, err := root.ExecuteContextC(ctx)
	return report(ctx, stderr, ran.CommandPath(), err)
}

// newRoot is the command line: all commands, help and shell completion.
func newRoot(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use: "m2embed", Short: "m2embed embeds texts with M2-BERT.", Version: version(),
		SilenceErrors: true, SilenceUsage: true, // report prints them
		Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
		RunE: func(root *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(root, args[0])
			}
			return root.Help()
		},
	}
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetVersionTemplate(versionText())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			return usagef("%v (-- goes before arguments that begin with a dash)", err)
		}
		return usagef("%v", err)
	})
	others := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		if c != root {
			others(c, args) // cobra's own, such as completion's
			return
		}
		printOverview(stdout)
	})
	root.SetHelpCommand(helpCommand(root))
	for _, c := range commands() {
		root.AddCommand(c.cobra(stdin, stdout, stderr))
	}
	return root
}

// noCommand says that there is no such command, and which one may be meant.
func noCommand(root *cobra.Command, name string) error {
	meant := ""
	if near := root.SuggestionsFor(name); len(near) > 0 {
		meant = ", but " + strings.Join(near, " and ")
	}
	return usagef("no command %q%s", excerpt(name, 40), meant)
}

// report prints an error as one line and returns the exit code for it.
func report(ctx context.Context, stderr io.Writer, name string, err error) int {
	if err == nil {
		return exitOK
	}
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		see := name + " --help"
		if name == "m2embed" || name == "m2embed help" {
			see = "m2embed help"
		}
		fmt.Fprintf(stderr, "%s: %s; see %s\n", name, oneLine(err), see)
		return exitUsage
	case ctx.Err() != nil && !errors.Is(err, errGrace):
		fmt.Fprintf(stderr, "%s: interrupted\n", name)
		return exitInterrupted
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err))
	return exitFailure
}

// oneLine is an error's message without line breaks, which joined errors and
// foreign text may hold.
func oneLine(err error) string {
	return strings.NewReplacer("\r", `\r`, "\n", "; ", "\x00", `\x00`, "\x1b", `\x1b`).Replace(err.Error())
}

func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Explain a command.",
		RunE: func(_ *cobra.Command, args []string) error {
			found, _, err := root.Find(args)
			if err != nil || found == root && len(args) > 0 {
				return noCommand(root, args[0])
			}
			return found.Help()
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range commands() {
				names = append(names, c.name+"\t"+c.summary)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func printOverview(w io.Writer) {
	b := new(strings.Builder)
	fmt.Fprint(b, "m2embed embeds texts with M2-BERT.\n\nusage: m2embed COMMAND [flags] [arguments]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(b, "  %-11s %s\n", c.name, c.summary)
	}
	fmt.Fprintf(b, "  %-11s %s\n", "completion", "Write the script that lets bash, zsh, fish or PowerShell complete commands.")
	fmt.Fprint(b, `
m2embed help COMMAND (or m2embed COMMAND --help) explains a command. Flags may
stand before, between and after arguments; -- ends them. Where no text is named,
texts come from standard input: some command | m2embed embed

Results go to standard output or to the file that --output names; all else goes
to standard error, errors as one line.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`)
	io.WriteString(w, b.String())
}
