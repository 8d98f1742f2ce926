//go:build !wasm

package model

import "runtime/debug"

// catchFaults says whether reading memory that is not there any more is a panic of
// this goroutine, not the end of the program, and returns what it was: weights are
// mapped from a file, which another program may cut.
func catchFaults(on bool) (before bool) { return debug.SetPanicOnFault(on) }
