//go:build !noasm

package kernel

import (
	"os"
	"regexp"
	"testing"
)

// fastestSet names the set that the operating system's list of processor
// features calls for, or "" where there is no such list.
func fastestSet(t *testing.T) string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Log("no list of features: ", err)
		return ""
	}
	has := func(features ...string) bool {
		for _, feature := range features {
			if !regexp.MustCompile(`(?m)^flags.*\b` + feature + `\b`).Match(text) {
				return false
			}
		}
		return true
	}
	switch {
	case !has("fma", "avx2"):
		return "go"
	case !has("avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni"):
		return "avx2"
	}
	return "avx512"
}
