//go:build !amd64 || noasm

package kernel

import (
	"runtime"
	"testing"

	"golang.org/x/sys/cpu"
)

// fastestSet names the set that models must be loaded with, or "" where this
// test does not know.
func fastestSet(*testing.T) string {
	switch {
	case runtime.GOARCH == "wasm":
		return ""
	case runtime.GOARCH != "arm64" || len(Sets()) == 1: // noasm
		return "go"
	case cpu.ARM64.HasASIMDDP:
		return "neon-dotprod"
	}
	return "neon"
}
