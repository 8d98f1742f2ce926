package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/model"
	"m2embed/host"
	"m2embed/host/bench/checkpoints"
	"m2embed/host/bench/share"
	"m2embed/host/convert"
)

// memoryRow is what one child process used.
type memoryRow struct {
	What        string  `json:"what"`
	Peak        float64 `json:"peak_mb"`    // resident, of the whole process
	File        float64 `json:"weights_mb"` // the weights' file
	Over        float64 `json:"over_mb"`    // peak above all of the weights being resident
	Filters     float64 `json:"filters_mb"` // filter spectra kept for the next text
	Activations float64 `json:"activations_mb"`
	Ready       float64 `json:"ready_ms"` // until a text can start
	Seconds     float64 `json:"seconds"`  // in all
}

// memory measures loading and long texts, each in a process of its own.
func (b *bench) memory() error {
	if err := checkpoints.Make(b.cache); err != nil {
		return err
	}
	b.result.Memory = nil
	torch, f32 := b.path("torch"), b.path("f32")
	type measurement struct{ what, kind, folder, argument string }
	list := []measurement{
		{"first load of the PyTorch checkpoint, 5 tokens", "torch", torch, "5"},
		{"conversion to safetensors", "convert", torch, ""},
		{"conversion to int8", "convert8", torch, ""},
		{"later load, 5 tokens", "embed", f32, "5"},
		{"later load, 2,048 tokens", "embed", f32, "2048"},
		{"later load of int8, 5 tokens", "embed", b.path("int8"), "5"},
		{"later load of int8, 2,048 tokens", "embed", b.path("int8"), "2048"},
	}
	if !b.quick {
		list = append(list, measurement{"later load, 32,768 tokens, no filters kept", "embed", f32, strconv.Itoa(longest)})
	}
	for _, c := range list {
		row, err := child(c.kind, c.folder, c.argument)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		row.What = c.what
		b.result.Memory = append(b.result.Memory, row)
	}
	return nil
}

// child runs this program again to measure one thing.
func child(kind, folder, argument string) (row memoryRow, err error) {
	self, err := os.Executable()
	if err != nil {
		return row, err
	}
	command := exec.Command(self, "-child", kind, folder, argument)
	command.Stderr = os.Stderr
	var out bytes.Buffer
	command.Stdout = &out
	if err := command.Run(); err != nil {
		return row, err
	}
	return row, json.Unmarshal(out.Bytes(), &row)
}

// runChild measures one thing and prints it as JSON.
func runChild(kind string, arguments []string) error {
	folder, argument := arguments[0], arguments[1]
	var row memoryRow
	var err error
	start := time.Now()
	switch kind {
	case "torch":
		row, err = embedFolder(folder, argument, host.Options{NoCache: true})
	case "embed":
		row, err = embedFolder(folder, argument, host.Options{})
	case "convert", "convert8":
		dtype := map[string]string{"convert": "f32", "convert8": "int8"}[kind]
		var out string
		if out, err = os.MkdirTemp(filepath.Dir(folder), "converted-"); err != nil {
			return err
		}
		defer os.RemoveAll(out)
		err = convert.Model(context.Background(), folder, filepath.Join(out, "m"), convert.Options{DType: dtype})
	default:
		err = fmt.Errorf("no child %q", kind)
	}
	if err != nil {
		return err
	}
	row.Seconds = time.Since(start).Seconds()
	row.Peak = statusMB("VmHWM")
	row.File = fileMB(folder)
	return json.NewEncoder(os.Stdout).Encode(row)
}

// embedFolder opens a model and runs a text of that many tokens.
func embedFolder(folder, tokens string, o host.Options) (row memoryRow, err error) {
	length, err := strconv.Atoi(tokens)
	if err != nil {
		return row, err
	}
	start := time.Now()
	files, err := host.OpenFiles(folder, o)
	if err != nil {
		return row, err
	}
	options := core.OpenOptions{Overwrite: files.Writable}
	if length > 2048 {
		options.FilterBudget = -1
	}
	e, err := core.Open(files.ConfigJSON, files.Tokenizer, files.Weights, options)
	if err != nil {
		return row, err
	}
	row.Ready = 1000 * time.Since(start).Seconds()
	r := e.Model().NewRun()
	if length > 5 {
		if err := touch(files.Weights); err != nil {
			return row, err
		}
		before := statusMB("VmRSS")
		pass(r, length, model.PoolMean)
		row.Over = statusMB("VmHWM") - before
	} else {
		r.Start([]model.Sequence{{IDs: share.IDs(length), Length: length}}, model.PoolClass, false)
		if err := r.Finish(); err != nil {
			return memoryRow{}, err
		}
	}
	row.Activations = float64(r.Bytes()) / 1e6
	row.Filters = float64(e.Model().FilterBytes()) / 1e6
	return row, nil
}

// touch reads a byte of every page of the weights, so that all are resident.
func touch(w *checkpoint.File) error {
	var sum byte
	for _, name := range w.Names() {
		t, err := w.Tensor(name)
		if err != nil {
			return err
		}
		for at := 0; at < len(t.Data); at += 4096 {
			sum += t.Data[at]
		}
	}
	runtime.KeepAlive(sum) // so that the reads are not left out
	return nil
}

// statusMB reads a line of /proc/self/status; 0 where there is none.
func statusMB(key string) float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, key+":"); found {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024 / 1e6
		}
	}
	return 0
}

// fileMB is the size of the checkpoint in a folder.
func fileMB(folder string) float64 {
	for _, name := range []string{"pytorch_model.bin", "model.safetensors"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return float64(info.Size()) / 1e6
		}
	}
	return 0
}
