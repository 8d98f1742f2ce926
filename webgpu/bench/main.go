//go:build m2embed_operations

// Command bench measures the GPU kernels and whole forward passes through the
// native executor: time, arithmetic or bytes a second, and the fraction of what
// this GPU reaches at its best here. With -torch it runs torch_reference.py in
// the same session for comparison. Products, convolutions and whole passes are
// checked before they are timed.
//
//	M2EMBED_WEBGPU_LIBRARY=… go run -tags m2embed_operations ./webgpu/bench -json out.json -markdown out.md
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
	Note    string        `json:"note,omitempty"`
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
	Error        float64 `json:"error,omitempty"`   // normalised mean squared error of a sample, where one was checked
}

type modelTime struct {
	Name            string          `json:"name"`
	Texts           int             `json:"texts"`
	Length          int             `json:"length"`
	Half            bool            `json:"half"`
	Milliseconds    float64         `json:"milliseconds"` // median of a forward pass, ids in to vector out
	First           float64         `json:"first_milliseconds"`
	TokensPerSecond float64         `json:"tokens_per_second"`
	WeightMiB       float64         `json:"weight_mib"`
	OtherMiB        float64         `json:"other_mib"` // scratch and kept spectra
	Dispatches      int             `json:"dispatches"`
	Cosine          float64         `json:"cosine,omitempty"` // to the golden float64 vector
	Parts           map[string]part `json:"parts"`
}

// part is what one kind of dispatch takes in a pass, timed by itself.
type part struct {
	Milliseconds float64 `json:"milliseconds"`    // in batches
	Work         float64 `json:"gflop,omitempty"` // of matrix products
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
	kernel   *regexp.Regexp
	report   report
}

func main() {
	jsonPath := flag.String("json", "", "write the results to this file")
	markdown := flag.String("markdown", "", "write a table to this file")
	torch := flag.String("torch", "", "python that has PyTorch; runs torch_reference.py too")
	replaced := flag.String("kernels", "", "folder with .wgsl files that replace the built-in ones")
	only := flag.String("only", "", "regular expression of the parts to run: kernels, tiles, and model names")
	kernel := flag.String("kernel", "", "regular expression of the kernels to run")
	block := flag.Int("block", 0, "aim for the convolution's scratch, MiB")
	spectra := flag.Int("spectra", 0, "budget of the filters' spectra that are kept, MiB")
	mlp := flag.Int("mlp", 0, "aim for the MLP's scratch, MiB")
	lengths := flag.Int("max", 32768, "longest text")
	budget := flag.Duration("budget", 100*time.Millisecond, "time of one batch of a measurement")
	from := flag.String("from", "", "write the table of this earlier run's JSON, and do nothing else")
	torchLines := flag.String("torch-lines", "", "with -from: output of torch_reference.py to include")
	note := flag.String("note", "", "remark for the report")
	flag.Parse()
	if *from != "" {
		again(*from, *torchLines, *note, *jsonPath, *markdown)
		return
	}
	device, err := native.OpenDevice()
	check(err)
	defer device.Close()
	b := &bench{device: device, limits: device.Limits(), quick: *budget, options: plan.Options{BlockBytes: *block << 20, MLPBytes: *mlp << 20, SpectraBytes: *spectra << 20}}
	if *spectra == 0 {
		b.options.SpectraBytes = device.Info.SpectraBytes()
	}
	b.executor = native.NewExecutor(device)
	b.kernel = regexp.MustCompile(*kernel)
	if *replaced != "" {
		b.executor.Source = func(kernel string) string {
			if text, err := os.ReadFile(filepath.Join(*replaced, kernel+".wgsl")); err == nil {
				return string(text)
			}
			return kernels.Source(kernel)
		}
	}
	b.report.Note, b.report.Adapter, b.report.Date = *note, device.Info, time.Now().UTC().Format("2006-01-02")
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
	b.report.write(*jsonPath, *markdown)
}

// warm keeps the GPU busy until its clocks have risen.
func (b *bench) warm() {
	p, err := plan.Product(1, 1024, 256, 1024, 256, 1024, plan.After{}, b.limits, plan.Options{})
	check(err)
	l, err := b.executor.Load(context.Background(), p, pattern{}.of(p))
	check(err)
	for started := time.Now(); time.Since(started) < 5*b.quick; {
		_, err := b.executor.Measure(context.Background(), l, []int{0}, 8)
		check(err)
	}
	b.executor.Unload(l)
	b.executor.Close()
}

// time returns the median seconds of one pass over dispatches. The GPU lowers
// its clocks while the host prepares data, so batches run until two agree to
// 3 % before any counts; each is long enough to hide submission and fence.
func (b *bench) time(l *native.Loaded, dispatches []int) float64 {
	ctx := context.Background()
	batch := func(repeat int) float64 {
		t, err := b.executor.Measure(ctx, l, dispatches, repeat)
		check(err)
		return t.Seconds() / float64(repeat)
	}
	last := batch(1)
	repeat := func() int { return max(1, min(2000, int(b.quick.Seconds()/last))) }
	for started := time.Now(); time.Since(started) < 20*b.quick; {
		now := batch(repeat())
		settled := now > 0.97*last && now < 1.03*last && time.Since(started) > 3*b.quick
		last = now
		if settled {
			break
		}
	}
	var all []float64
	for range 5 {
		all = append(all, batch(repeat()))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func (b *bench) torch(python string) {
	out, err := exec.Command(python, "webgpu/bench/torch_reference.py").CombinedOutput()
	b.report.addTorch(string(out))
	if err != nil {
		fmt.Println("torch_reference.py:", err)
	}
}

// addTorch reads torch_reference.py's output, one JSON object a line.
func (r *report) addTorch(output string) {
	for line := range strings.Lines(output) {
		var t torchResult
		if json.Unmarshal([]byte(line), &t) == nil {
			r.Torch = append(r.Torch, t)
			fmt.Printf("PyTorch %-44s %9.3f ms %9.0f %s\n", t.Name, t.Milliseconds, t.Rate, t.Unit)
		} else {
			fmt.Print(line)
		}
	}
}

// again writes the files of an earlier run.
func again(from, torchLines, note, jsonPath, markdown string) {
	var r report
	data, err := os.ReadFile(from)
	check(err)
	check(json.Unmarshal(data, &r))
	if torchLines != "" {
		data, err := os.ReadFile(torchLines)
		check(err)
		r.Torch = nil
		r.addTorch(string(data))
	}
	r.Note = note
	r.write(jsonPath, markdown)
}

// write writes the JSON and Markdown forms, where there is a path.
func (r *report) write(jsonPath, markdown string) {
	if jsonPath != "" {
		data, err := json.MarshalIndent(r, "", " ")
		check(err)
		check(os.WriteFile(jsonPath, append(data, '\n'), 0o644))
	}
	if markdown != "" {
		check(os.WriteFile(markdown, []byte(r.table()), 0o644))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
