// Command bench measures the GPU kernels and whole forward passes through the
// native executor: time, arithmetic or bytes a second, and the fraction of what
// this GPU reaches at its best here. With -torch it runs torch_reference.py in
// the same session for comparison. Every result is checked before it is timed.
//
//	M2EMBED_WEBGPU_LIBRARY=… go run ./webgpu/bench -json out.json -markdown out.md
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"m2embed/webgpu/kernels"
	"m2embed/webgpu/native"
	"m2embed/webgpu/plan"
)

// report is the JSON form of a run.
type report struct {
	Adapter native.Info   `json:"adapter"`
	Date    string        `json:"date"`
	Kernels []kernelTime  `json:"kernels"`
	Models  []modelTime   `json:"models"`
	Torch   []torchResult `json:"torch,omitempty"`
}

type kernelTime struct {
	Name         string  `json:"name"`
	Milliseconds float64 `json:"milliseconds"`
	Rate         float64 `json:"rate"` // GFLOP/s or GB/s
	Unit         string  `json:"unit"`
	Ceiling      float64 `json:"ceiling,omitempty"` // fraction of the best rate of that unit measured here
	Error        float64 `json:"error"`             // normalised mean squared error of a sample
}

type modelTime struct {
	Name            string             `json:"name"`
	Texts           int                `json:"texts"`
	Length          int                `json:"length"`
	Half            bool               `json:"half"`
	Milliseconds    float64            `json:"milliseconds"` // median of a forward pass, ids in to vector out
	First           float64            `json:"first_milliseconds"`
	TokensPerSecond float64            `json:"tokens_per_second"`
	WeightMiB       float64            `json:"weight_mib"`
	OtherMiB        float64            `json:"other_mib"` // scratch and kept spectra
	Dispatches      int                `json:"dispatches"`
	Cosine          float64            `json:"cosine,omitempty"` // to the golden float64 vector
	Parts           map[string]float64 `json:"parts_milliseconds"`
}

type torchResult struct {
	Name         string  `json:"name"`
	Milliseconds float64 `json:"milliseconds"`
	Rate         float64 `json:"rate,omitempty"`
	Unit         string  `json:"unit,omitempty"`
}

type bench struct {
	device   *native.Device
	executor *native.Executor
	limits   plan.Limits
	options  plan.Options
	quick    time.Duration // aim for one measurement
	report   report
}

func main() {
	jsonPath := flag.String("json", "", "write the results to this file")
	markdown := flag.String("markdown", "", "write a table to this file")
	torch := flag.String("torch", "", "python that has PyTorch; runs torch_reference.py too")
	replaced := flag.String("kernels", "", "folder with .wgsl files that replace the built-in ones")
	only := flag.String("only", "", "regular expression of the parts to run: kernels, tiles, and model names")
	block := flag.Int("block", 0, "aim for blockwise scratch, MiB")
	lengths := flag.Int("max", 32768, "longest text")
	budget := flag.Duration("budget", 150*time.Millisecond, "time of one measurement")
	flag.Parse()
	device, err := native.OpenDevice()
	check(err)
	defer device.Close()
	b := &bench{device: device, limits: device.Limits(), quick: *budget, options: plan.Options{BlockBytes: *block << 20}}
	b.executor = native.NewExecutor(device)
	if *replaced != "" {
		b.executor.Source = func(kernel string) string {
			if text, err := os.ReadFile(filepath.Join(*replaced, kernel+".wgsl")); err == nil {
				return string(text)
			}
			return kernels.Source(kernel)
		}
	}
	b.report.Adapter, b.report.Date = device.Info, time.Now().UTC().Format("2006-01-02")
	fmt.Printf("adapter: %+v\nlimits: %+v\n", device.Info, b.limits)
	selected := regexp.MustCompile(*only)
	b.warm()
	if selected.MatchString("kernels") {
		b.kernels()
	}
	if selected.MatchString("tiles") {
		b.tiles()
	}
	b.models(selected, *lengths)
	if *torch != "" {
		b.torch(*torch)
	}
	b.ceilings()
	if *jsonPath != "" {
		data, err := json.MarshalIndent(b.report, "", " ")
		check(err)
		check(os.WriteFile(*jsonPath, append(data, '\n'), 0o644))
	}
	if *markdown != "" {
		check(os.WriteFile(*markdown, []byte(b.table()), 0o644))
	}
}

// warm keeps the GPU busy until its clocks have risen.
func (b *bench) warm() {
	p, err := plan.Product(1, 1024, 256, 1024, 256, 1024, b.limits, plan.Options{})
	check(err)
	l, err := b.executor.Load(context.Background(), p, pattern{})
	check(err)
	for started := time.Now(); time.Since(started) < 5*b.quick; {
		_, err := b.executor.Measure(context.Background(), l, []int{0}, 8)
		check(err)
	}
	b.executor.Unload(l)
	b.executor.Close()
}

// time returns the median seconds of one pass over dispatches, each batch long
// enough to hide submission and fence.
func (b *bench) time(l *native.Loaded, dispatches []int) float64 {
	ctx := context.Background()
	once, err := b.executor.Measure(ctx, l, dispatches, 1)
	check(err)
	repeat := max(1, min(200, int(b.quick/5/max(once, time.Microsecond))))
	var all []float64
	for range 5 {
		t, err := b.executor.Measure(ctx, l, dispatches, repeat)
		check(err)
		all = append(all, t.Seconds()/float64(repeat))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func (b *bench) torch(python string) {
	// The other program takes the GPU for itself.
	out, err := exec.Command(python, "webgpu/bench/torch_reference.py").CombinedOutput()
	for line := range strings.Lines(string(out)) {
		var r torchResult
		if json.Unmarshal([]byte(line), &r) == nil {
			b.report.Torch = append(b.report.Torch, r)
			fmt.Printf("PyTorch %-44s %9.3f ms %9.0f %s\n", r.Name, r.Milliseconds, r.Rate, r.Unit)
		} else {
			fmt.Print(line)
		}
	}
	if err != nil {
		fmt.Println("torch_reference.py:", err)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
