//go:build !unix

package hosttest

import "time"

var started = time.Now()

// ProcessorTime is the time since the start, where the processors' is not told.
func ProcessorTime() time.Duration { return time.Since(started) }
