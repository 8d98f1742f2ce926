package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/model"
	"m2embed/host"
)

var inspectCommand = &command{
	name:     "inspect",
	synopsis: "[flags] [MODEL]",
	summary:  "Show what a checkpoint holds, what of it is used, and what it costs to run.",
	details: `
Prints the configuration, a line for each tensor (used by the model or not,
stored type, shape, bytes, name) and for some lengths the floating-point
operations and memory of one text:

  dense        matrix products with the weights
  filters      making the long convolutions' filters, spared where they are kept
  transforms   the convolutions' Fourier transforms
  activations  hidden states and working memory, over the weights
  kept         the filters' spectra, if all were kept (see --filter-memory)

Nothing is written. With an error in the configuration, what the file holds is
shown all the same.
`,
	define: func(c *call) func() error {
		which := defineModel(c)
		lengths := c.flags.String("length", "", "`numbers` of tokens, such as 128,2048, to count the cost for (default: some up to the maximum)")
		asJSON := c.flags.Bool("json", false, "write JSON")
		return func() error {
			if len(c.args) > 1 || len(c.args) == 1 && which.path != "" {
				return usagef("several models, want one")
			}
			if len(c.args) == 1 {
				which.path = c.args[0]
			}
			ls, err := parseLengths(*lengths)
			if err != nil {
				return err
			}
			if err := which.check(); err != nil {
				return err
			}
			return inspect(c, which, ls, *asJSON)
		}
	},
}

// parseLengths reads a list of numbers of tokens.
func parseLengths(text string) ([]int, error) {
	var lengths []int
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 1<<24 {
			return nil, usagef("length %q, want a number of tokens", part)
		}
		lengths = append(lengths, n)
	}
	return lengths, nil
}

// usualLengths are powers of two up to a maximum, and the maximum.
func usualLengths(most int) []int {
	var lengths []int
	for n := 128; n < most; n *= 4 {
		lengths = append(lengths, n)
	}
	return append(lengths, most)
}

// tensorLine is what inspect says about a tensor.
type tensorLine struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`
	Alias string `json:"alias,omitempty"` // the tensor whose data it shares
	Used  bool   `json:"used"`
}

// inspection is the whole of inspect's answer.
type inspection struct {
	Source  string            `json:"source"`
	Format  string            `json:"format"`
	Meta    map[string]string `json:"metadata,omitempty"`
	Config  *model.Config     `json:"config,omitempty"`
	Padding string            `json:"padding,omitempty"`
	Pooling string            `json:"pooling,omitempty"`
	Space   string            `json:"space,omitempty"` // of the vectors
	Tensors []tensorLine      `json:"tensors"`
	Bytes   int64             `json:"bytes"`      // of all tensors, shared data once
	Used    int64             `json:"used_bytes"` // of those that the model uses
	Costs   []cost            `json:"costs,omitempty"`
}

func inspect(c *call, which *modelFlags, lengths []int, asJSON bool) error {
	o := which.options
	o.NoCache = true
	files, err := host.OpenFiles(which.path, o)
	if err != nil {
		return err
	}
	defer files.Close()
	result := inspection{Source: files.Describe, Format: files.Weights.Format(), Meta: files.Weights.Metadata()}
	used, fault := result.addModel(files, o, lengths)
	result.addTensors(files.Weights, used)
	if asJSON {
		err = writeJSON(c.stdout, result)
	} else {
		err = result.print(c.stdout)
	}
	return errors.Join(err, fault)
}

// addModel loads the model to see which tensors it takes. A model that cannot
// be loaded is a fault; what it took so far is told all the same.
func (r *inspection) addModel(files *host.Files, o host.Options, lengths []int) (map[string]bool, error) {
	used := map[string]bool{}
	if files.ConfigJSON == nil {
		return used, errors.New("no configuration beside the checkpoint, so the model is not known; name one with --config")
	}
	config, err := model.ParseConfig(files.ConfigJSON)
	if err != nil {
		return used, err
	}
	if o.ConfigFromWeights {
		if config, err = model.ConfigFromWeights(config, files.Weights); err != nil {
			return used, err
		}
	}
	r.Config, r.Padding, r.Pooling = &config, config.Padding.String(), config.Pooling.String()
	if r.Padding == "" {
		r.Padding = "max_length"
	}
	m, err := model.Load(config, &recorder{files.Weights, used}, model.LoadOptions{Overwrite: files.Writable, Threads: o.Threads, FilterBudget: -1})
	if err != nil {
		return used, err
	}
	defer m.Close()
	if lengths == nil {
		lengths = usualLengths(config.MaxLength())
	}
	for _, l := range lengths {
		if l > config.MaxLength() {
			return used, fmt.Errorf("length %d, but the model takes at most %d tokens", l, config.MaxLength())
		}
		r.Costs = append(r.Costs, costOf(m, l))
	}
	e, err := core.Open(files.ConfigJSON, files.Tokenizer, files.Weights, core.OpenOptions{ConfigFromWeights: o.ConfigFromWeights, AnyTokenizer: o.AnyTokenizer, Threads: 1, FilterBudget: -1})
	if err != nil {
		return used, err
	}
	defer e.Close()
	r.Space = e.Space()
	return used, nil
}

// recorder notes which tensors are asked for.
type recorder struct {
	*checkpoint.File
	used map[string]bool
}

func (r *recorder) Tensor(name string) (checkpoint.Tensor, error) {
	t, err := r.File.Tensor(name)
	if err == nil {
		r.used[name] = true
	}
	return t, err
}

func (r *inspection) addTensors(f *checkpoint.File, used map[string]bool) {
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		r.Tensors = append(r.Tensors, tensorLine{
			Name: name, DType: info.DType.String(), Shape: slices.Clone(info.Shape),
			Bytes: info.Bytes, Alias: info.Alias, Used: used[name],
		})
		if info.Alias != "" {
			continue
		}
		r.Bytes += info.Bytes
		if used[name] {
			r.Used += info.Bytes
		}
	}
}

func (r *inspection) print(out io.Writer) error {
	w := new(strings.Builder)
	fmt.Fprintln(w, r.Source)
	for _, key := range slices.Sorted(maps.Keys(r.Meta)) {
		fmt.Fprintf(w, "metadata %s: %s\n", excerpt(key, 60), excerpt(r.Meta[key], 100))
	}
	if c := r.Config; c != nil {
		fmt.Fprintf(w, "M2-BERT: %d layers, D %d, I %d, at most %s tokens, vocabulary %s, pooling %s, padding %s\n",
			c.NumHiddenLayers, c.HiddenSize, c.IntermediateSize, thousands(int64(c.MaxLength())), thousands(int64(c.VocabSize)), r.Pooling, r.Padding)
	}
	if r.Config != nil {
		for _, task := range slices.Sorted(maps.Keys(r.Config.Prompts)) {
			fmt.Fprintf(w, "task %s: prompt %q\n", excerpt(task, 60), excerpt(r.Config.Prompts[task], 100))
		}
	}
	if r.Space != "" {
		fmt.Fprintf(w, "space %s\n", r.Space)
	}
	fmt.Fprintf(w, "\nused  %-5s %15s  shape, name\n", "dtype", "bytes")
	for _, t := range r.Tensors {
		mark, alias := "-", ""
		if t.Used {
			mark = "yes"
		}
		if t.Alias != "" {
			alias = " = " + t.Alias
		}
		fmt.Fprintf(w, "%-5s %-5s %15s  %v %s%s\n", mark, t.DType, thousands(t.Bytes), t.Shape, excerpt(t.Name, 120), excerpt(alias, 120))
	}
	fmt.Fprintf(w, "%s, %s bytes, %s of them used\n", counted(len(r.Tensors), "tensor"), thousands(r.Bytes), thousands(r.Used))
	if len(r.Costs) > 0 {
		fmt.Fprintf(w, "\n%8s %12s %12s %12s %12s %12s\n", "tokens", "dense", "filters", "transforms", "activations", "kept")
		for _, k := range r.Costs {
			fmt.Fprintf(w, "%8s %12s %12s %12s %12s %12s\n", thousands(int64(k.Length)),
				amount(k.Dense, "FLOP"), amount(k.Filters, "FLOP"), amount(k.Transforms, "FLOP"), amount(float64(k.Activations), "B"), amount(float64(k.Kept), "B"))
		}
	}
	_, err := io.WriteString(out, w.String())
	return err
}
