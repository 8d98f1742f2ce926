//go:build unix

package hosttest

import (
	"syscall"
	"time"
)

// ProcessorTime is what this process has taken of the processors so far. Unlike
// the clock it does not run while others have them.
func ProcessorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
