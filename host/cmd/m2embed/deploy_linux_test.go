package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnits lets systemd read the units of host/deploy, and judge how much the
// service may do.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd is not here")
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range []string{"m2embed.service", "m2embed.socket"} {
		data, err := os.ReadFile(filepath.Join("../../deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		// The program must exist.
		text := strings.ReplaceAll(string(data), "/usr/local/bin/m2embed", own)
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	service := filepath.Join(folder, "m2embed.service")
	for _, args := range [][]string{
		{"verify", "--man=no", service, filepath.Join(folder, "m2embed.socket")},
		{"security", "--offline=true", "--threshold=20", service}, // 2.0 of 10
	} {
		c := exec.Command(analyze, args...)
		c.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+folder+":")
		if said, err := c.CombinedOutput(); err != nil || args[0] == "verify" && strings.Contains(string(said), folder) {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, said)
		}
	}
}
