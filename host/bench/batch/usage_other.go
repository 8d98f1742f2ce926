//go:build !unix

package main

import "os"

// processorSeconds is not known here.
func processorSeconds() float64 { return 0 }

// peak is not known here.
func peak(*os.ProcessState) int64 { return 0 }
