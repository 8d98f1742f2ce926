// Package share tells what part of a forward pass is the long convolution: a
// few layers of the 80M shape run on kernels that keep time. It imports only
// core, so that the same code measures natively and in WebAssembly.
package share

import (
	"fmt"
	"strings"
	"time"

	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/kernel"
	"m2embed/core/model"
)

// layers are as many as show the shares: every layer is alike, and the last is
// whole because the pooling takes the mean.
const layers = 2

// ConfigJSON is the configuration of the published 80M shape for texts of up to
// the longest, with a number of layers (12 in the published models).
func ConfigJSON(layers, longest int) []byte {
	return fmt.Appendf(nil, `{"model_type": "m2_bert", "vocab_size": 30528, "hidden_size": 768, "num_hidden_layers": %d,
"intermediate_size": 3072, "max_position_embeddings": %d, "long_conv_l_max": %[2]d, "hyena_emb_dim": 5, "hyena_filter_order": 128,
"hyena_w": 10, "use_positional_encodings": true, "residual_long_conv": true, "use_monarch_mlp": true, "padding": "none"}`, layers, longest)
}

// IDs is the text of a length that is measured.
func IDs(length int) []int32 {
	return goldenweights.InputIDs(fmt.Sprintf("big.%d", length), length, 1000, 29000)
}

// Row is the shares of one length, of the pass's whole time.
type Row struct {
	Length int `json:"length"`
	// Convolve is the text's transforms and products of spectra.
	Convolve float64 `json:"convolve"`
	// Filters is making the filters: their networks and their transforms; 0
	// where they are kept.
	Filters float64 `json:"filters"`
	// Products are the matrix products without the filters'.
	Products float64 `json:"products"`
	Seconds  float64 `json:"seconds"`
}

// Measure runs a text of each length on one thread: with filters kept, and with
// filters made anew in every pass, which is what lengths cost whose filters the
// budget does not hold.
func Measure(lengths []int) (kept, anew []Row, err error) {
	longest := lengths[len(lengths)-1]
	config, err := model.ParseConfig(ConfigJSON(layers, longest))
	if err != nil {
		return nil, nil, err
	}
	shape := goldenweights.Base80M(longest)
	shape.NumHiddenLayers = layers
	weights := goldenweights.New(shape)
	for _, budget := range []int{1 << 30, -1} {
		var c counter
		set := kernel.Timed(kernel.Active(), now, c.count)
		m, err := model.Load(config, weights, model.LoadOptions{Kernels: set, Threads: 1, FilterBudget: budget})
		if err != nil {
			return nil, nil, err
		}
		r := m.NewRun()
		for _, length := range lengths {
			pass(r, length) // packs the weights and makes the filters
			c = counter{order: shape.HyenaFilterOrder, embedding: shape.HyenaEmbDim}
			start := now()
			pass(r, length)
			total := float64(now() - start)
			row := Row{Length: length, Products: c.products / total, Seconds: total / 1e9}
			if budget > 0 {
				row.Convolve = c.transforms / total
				kept = append(kept, row)
				continue
			}
			// A filter's spectrum costs one transform where a text's costs two
			// and a product; the text's share is what it takes with filters kept.
			row.Convolve = kept[len(anew)].Convolve * kept[len(anew)].Seconds / row.Seconds
			row.Filters = (c.transforms+c.filters)/total - row.Convolve
			anew = append(anew, row)
		}
		m.Close()
	}
	return kept, anew, nil
}

// Markdown prints both.
func Markdown(kept, anew []Row) string {
	percent := func(share float64) string { return fmt.Sprintf(" %.1f %% |", 100*share) }
	lines := []string{
		"| tokens | convolving, filters kept | convolving, filters made anew | making the filters |",
		"| ---: | ---: | ---: | ---: |",
	}
	for i, k := range kept {
		lines = append(lines, fmt.Sprintf("| %d |", k.Length)+percent(k.Convolve)+percent(anew[i].Convolve)+percent(anew[i].Filters))
	}
	return strings.Join(lines, "\n")
}

func pass(r *model.Run, length int) {
	r.Start([]model.Sequence{{IDs: IDs(length), Length: length}}, model.PoolMean, false)
	if err := r.Finish(); err != nil {
		panic(err) // the benchmark's own model
	}
}

func now() int64 { return time.Now().UnixNano() }

// counter sums nanoseconds.
type counter struct {
	order, embedding              int // K of the filter networks' products
	products, filters, transforms float64
}

func (c *counter) count(o kernel.Operation, inputs int, took int64) {
	switch t := float64(took); o {
	case kernel.Product:
		if inputs == c.order || inputs == c.embedding {
			c.filters += t
		} else {
			c.products += t
		}
	case kernel.Wave:
		c.filters += t
	case kernel.Transform:
		c.transforms += t
	}
}
