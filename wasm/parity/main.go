// Command parity embeds the same texts and token ids natively, in wazero and in
// every JavaScript runtime of this machine, and compares the vectors: all
// WebAssembly runtimes must agree to the bit, and all must be near the float64
// run of the original.
//
//	go run ./wasm/parity [-short] [-runtimes Node,Deno,…] [-out testdata/bench/parity.md]
//
// It is started by wasm/build.sh parity, which builds what it needs.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	short := flag.Bool("short", false, "leave out the 80M shape")
	runtimes := flag.String("runtimes", "", "JavaScript runtimes, separated by commas; all if empty")
	root := flag.String("root", ".", "root of the repository")
	out := flag.String("out", "", "`file` to write the table to, too")
	flag.Parse()
	if err := run(*root, *short, *runtimes, *out); err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
}

func run(root string, short bool, runtimes, tableFile string) error {
	build := filepath.Join(root, "wasm", "build", "parity")
	if err := os.MkdirAll(build, 0o755); err != nil {
		return err
	}
	cases, err := makeCases(root, build, short)
	if err != nil {
		return err
	}
	b, err := json.Marshal(cases)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(build, "cases.json"), b, 0o644); err != nil {
		return err
	}
	ctx := context.Background()
	native, err := runNative(ctx, root, cases)
	if err != nil {
		return err
	}
	wazero, err := runWazero(ctx, root, cases)
	if err != nil {
		return err
	}
	results := []result{native, wazero}
	out := filepath.Join(build, "runtimes.json")
	arguments := []string{filepath.Join(root, "wasm", "js", "parity", "runtimes.mjs"), out}
	if runtimes != "" {
		arguments = append(arguments, strings.Split(runtimes, ",")...)
	}
	node := exec.Command("node", arguments...)
	node.Stderr = os.Stderr
	if err := node.Run(); err != nil {
		return fmt.Errorf("run the JavaScript runtimes: %w", err)
	}
	if b, err = os.ReadFile(out); err != nil {
		return err
	}
	var others []result
	if err := json.Unmarshal(b, &others); err != nil {
		return err
	}
	table, err := compare(cases, append(results, others...))
	fmt.Print(table)
	if err != nil || tableFile == "" {
		return err
	}
	return os.WriteFile(tableFile, []byte(table), 0o644)
}
