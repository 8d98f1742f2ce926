package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWords has GNU as translate the mnemonic beside every word of the kernels
// and demands that word. M2EMBED_ARM64 says that as must be there.
func TestWords(t *testing.T) {
	const as, objcopy = "aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy"
	if _, err := exec.LookPath(as); err != nil {
		if os.Getenv("M2EMBED_ARM64") != "" {
			t.Fatal(err)
		}
		t.Skip("needs ", as)
	}
	g := &generator{}
	write(g)
	var words []uint32
	var mnemonics []string
	seen := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^\tWORD \$(0x[0-9a-f]{8}) // (.+)$`).FindAllStringSubmatch(g.assembly(), -1) {
		if seen[match[0]] {
			continue
		}
		seen[match[0]] = true
		var w uint32
		if _, err := fmt.Sscanf(match[1], "0x%x", &w); err != nil {
			t.Fatal(err)
		}
		words, mnemonics = append(words, w), append(mnemonics, match[2])
	}
	if total := strings.Count(g.assembly(), "WORD"); len(words) == 0 || total < len(words) {
		t.Fatalf("%d words, %d different", total, len(words))
	}
	source, object, raw := filepath.Join(t.TempDir(), "a.s"), filepath.Join(t.TempDir(), "a.o"), filepath.Join(t.TempDir(), "a.bin")
	if err := os.WriteFile(source, []byte(strings.Join(mnemonics, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{as, "-march=armv8.2-a+dotprod", "-o", object, source}, {objcopy, "-O", "binary", "-j", ".text", object, raw}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command[0], err, out)
		}
	}
	made, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 4*len(words) {
		t.Fatalf("%d bytes for %d words", len(made), len(words))
	}
	for i, w := range words {
		if got := binary.LittleEndian.Uint32(made[4*i:]); got != w {
			t.Errorf("%s is %#08x, not %#08x", mnemonics[i], got, w)
		}
	}
}
