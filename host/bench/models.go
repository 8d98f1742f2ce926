package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/kernel"
	"m2embed/core/model"
	"m2embed/host"
	"m2embed/host/bench/bert"
	"m2embed/host/bench/checkpoints"
	"m2embed/host/bench/share"
)

// speedRow is one engine at one length.
type speedRow struct {
	Engine  string  `json:"engine"`
	Length  int     `json:"length"`
	Threads int     `json:"threads"`
	Rounds  int     `json:"rounds"`
	Median  float64 `json:"tokens_per_second"`
	Best    float64 `json:"best"`
	// Processor is tokens per second of processor time: what the engine costs
	// however many others share the cores.
	Processor float64 `json:"tokens_per_processor_second"`
}

const longest = checkpoints.Longest

// smallModel is the folder of the embedded model.
const smallModel = "host/small"

func (b *bench) path(name string) string { return filepath.Join(b.cache, name) }

// set finds a set of kernels by its name.
func set(name string) (*kernel.Set, error) {
	var names []string
	for _, s := range kernel.Sets() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("kernels %q, want one of %s", name, strings.Join(names, ", "))
}

// load opens a converted model as the command line does.
func load(folder string, kernels *kernel.Set, threads, budget int) (*model.Model, func(), error) {
	files, err := host.OpenFiles(folder, host.Options{})
	if err != nil {
		return nil, nil, err
	}
	c, err := model.ParseConfig(files.ConfigJSON)
	if err != nil {
		return nil, nil, err
	}
	m, err := model.Load(c, files.Weights, model.LoadOptions{Kernels: kernels, Overwrite: files.Writable, Threads: threads, FilterBudget: budget})
	if err != nil {
		return nil, nil, err
	}
	return m, func() { m.Close(); files.Close() }, nil
}

// taken is the time that something took, by the clock and of the processor.
type taken struct{ clock, processor float64 }

// pass runs one text. The pooling is one that takes the mean: the first token
// alone would leave out most of the last layer.
func pass(r *model.Run, length int, pooling model.Pooling) taken {
	input := []model.Sequence{{IDs: share.IDs(length), Length: length}}
	start, before := time.Now(), processorSeconds()
	r.Start(input, pooling, false)
	if err := r.Finish(); err != nil {
		panic(err) // the benchmark's own model
	}
	return taken{time.Since(start).Seconds(), processorSeconds() - before}
}

// contender is something that runs a text of a length.
type contender struct {
	name    string
	threads int
	longest int
	run     func(length int) (taken, error)
}

// settled runs a text for a third of a second and takes the time of the last
// pass: cores that slept through the turns of others are slow until then.
func (c contender) settled(length int) (taken, error) {
	for start := time.Now(); ; {
		t, err := c.run(length)
		if err != nil || time.Since(start) > time.Second/3 {
			return t, err
		}
	}
}

// kernelSet returns the set of kernels that the models run on.
func (b *bench) kernelSet() (*kernel.Set, error) {
	if b.kernels == "" {
		return kernel.Active(), nil
	}
	return set(b.kernels)
}

// models takes turns between our model and the peers over the lengths.
func (b *bench) models() error {
	if err := checkpoints.Make(b.cache); err != nil {
		return err
	}
	kernels, err := b.kernelSet()
	if err != nil {
		return err
	}
	b.result.Machine.Used = kernels.Name
	var contenders []contender
	runs := map[string]*model.Run{}
	for _, m := range []struct {
		name, folder string
		threads      int
		longest      int
		pooling      model.Pooling
	}{
		{"m2embed 80M f32", b.path("f32"), 1, longest, model.PoolMean},
		{"m2embed 80M f32", b.path("f32"), 2, longest, model.PoolMean},
		{"m2embed 80M int8", b.path("int8"), 1, longest, model.PoolMean},
		{"m2embed 80M int8", b.path("int8"), 2, 8192, model.PoolMean},
		{"m2embed small int8", smallModel, 1, longest, model.PoolMeanHidden},
		{"m2embed small int8", smallModel, 2, longest, model.PoolMeanHidden},
	} {
		loaded, done, err := load(m.folder, kernels, m.threads, 0)
		if err != nil {
			return err
		}
		defer done()
		r := loaded.NewRun()
		if m.threads == 1 {
			runs[m.name] = r
		}
		contenders = append(contenders, contender{m.name, m.threads, m.longest, func(length int) (taken, error) {
			return pass(r, length, m.pooling), nil
		}})
	}
	p, err := startPeer(b.cache, b.peer)
	if err != nil {
		b.note("onnxruntime is missing: %v", err)
	} else {
		defer p.close()
		b.result.Machine.Peer = p.name
		for _, dtype := range []string{"f32", "int8"} {
			for _, threads := range []int{1, 2} {
				contenders = append(contenders, contender{"onnxruntime BERT-base " + dtype, threads, bert.Positions, func(length int) (taken, error) {
					return p.run(dtype, threads, length)
				}})
			}
		}
	}
	b.result.Speed, b.result.Int8Cosine = nil, nil
	for _, length := range b.lengths {
		clock, processor := make([][]float64, len(contenders)), make([][]float64, len(contenders))
		begin := time.Now()
		for round := 0; round <= 1 || round <= 9 && time.Since(begin) < b.budget; round++ {
			for i, c := range contenders {
				// The first round warms up, where a text is short.
				if length > c.longest || round == 0 && length > 2048 {
					continue
				}
				t, err := c.settled(length)
				if err != nil {
					return err
				}
				if round > 0 {
					clock[i] = append(clock[i], t.clock)
					processor[i] = append(processor[i], t.processor)
				}
			}
		}
		for i, c := range contenders {
			if t := clock[i]; len(t) > 0 {
				l := float64(length)
				b.result.Speed = append(b.result.Speed, speedRow{c.name, length, c.threads, len(t), l / median(t), l / least(t), l / median(processor[i])})
			}
		}
		// Both one-thread runs still hold the text's vectors.
		b.result.Int8Cosine = append(b.result.Int8Cosine, cosineRow{length, core.Cosine(runs["m2embed 80M f32"].Vector(0), runs["m2embed 80M int8"].Vector(0))})
		fmt.Fprintf(os.Stderr, "   %d tokens (%.0f s)\n", length, time.Since(b.start).Seconds())
		if err := b.save(); err != nil {
			return err
		}
	}
	return nil
}

type cosineRow struct {
	Length int     `json:"length"`
	Cosine float64 `json:"cosine"`
}
