package checkpoint

import "errors"

// errRoom is the answer to a file whose description would take much more
// memory than the file has bytes.
var errRoom = errors.New("its description repeats itself to more bytes than the file's size allows")

// roomFor returns how many bytes the description of a file may take in memory:
// 8 MB, some thousand tensors, and twice the file. As much again may be waiting for
// the garbage collector.
func roomFor(size int64) int64 { return 8<<20 + 2*size }
