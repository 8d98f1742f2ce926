package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"m2embed/core"
	"m2embed/core/kernel"
	"m2embed/host"
	"m2embed/host/small"
)

var versionCommand = &command{
	name:    "version",
	summary: "Say which build this is and what it can use here.",
	define: func(c *call) func() error {
		return func() error {
			if err := c.noArguments(); err != nil {
				return err
			}
			_, err := io.WriteString(c.stdout, versionText())
			return err
		}
	},
}

// versionText is what the command version prints.
func versionText() string {
	b := new(strings.Builder)
	fmt.Fprintln(b, "m2embed", version())
	fmt.Fprintf(b, "%s %s/%s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	var sets []string
	for _, s := range kernel.Sets() {
		sets = append(sets, s.Name)
	}
	fmt.Fprintln(b, "kernels:", strings.Join(sets, ", "), "(the last is used)")
	fmt.Fprintln(b, "engines:", strings.Join(host.Engines, ", "))
	fmt.Fprintf(b, "embedded model: %s (%.1f MB)\n", small.Name, float64(len(small.Weights))/1e6)
	return b.String()
}

// version is m2embed's, with the commit that was built where Go knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return core.Version
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", modified"
		}
	}
	if revision == "" {
		return core.Version
	}
	return core.Version + " (" + revision + modified + ")"
}
