//go:build unix

// Command wazero embeds token ids in wazero for wasm/bench: each line of input,
// {"length"}, is answered by {"seconds", "cpu", "memory"}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"m2embed/core"
	"m2embed/host/internal/engine"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "wazero:", err)
		os.Exit(1)
	}
}

func run(module, folder, cache string) error {
	ctx := context.Background()
	wasm, err := os.ReadFile(module)
	if err != nil {
		return err
	}
	var m engine.Model
	if m.Config, err = os.ReadFile(filepath.Join(folder, "config.json")); err != nil {
		return err
	}
	if m.Tokenizer, err = os.ReadFile(filepath.Join(folder, "tokenizer.json")); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m.Weights, m.Size = f, info.Size()
	start := time.Now()
	e, err := engine.Open(ctx, wasm, m, engine.Options{CacheDir: cache})
	if err != nil {
		return err
	}
	defer e.Close(ctx)
	reply(map[string]any{"open": time.Since(start).Seconds(), "memory": e.Memory()})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var request struct{ Length int }
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			return err
		}
		ids := make([]int32, request.Length)
		for i := range ids {
			ids[i] = int32(1000 + i*7919%29000)
		}
		start, used := time.Now(), processorTime()
		if _, err := e.Embed(ctx, []core.Input{{IDs: ids}}, core.Options{}); err != nil {
			return err
		}
		reply(map[string]any{"seconds": time.Since(start).Seconds(), "cpu": processorTime() - used, "memory": e.Memory()})
	}
	return lines.Err()
}

// processorTime is what the process has used so far, in seconds.
func processorTime() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func reply(v map[string]any) {
	b, _ := json.Marshal(v)
	fmt.Println(string(b))
}
