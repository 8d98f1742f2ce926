//go:build m2embed_operations

package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/model"
	"m2embed/webgpu/native"
	"m2embed/webgpu/plan"
)

const outputs = "testdata/golden/m2-80m-32k/outputs.safetensors"

// base80M is the published 80M shape with 32,768 positions.
func base80M() (model.Config, *cached) {
	g := goldenweights.Base80M(32768)
	c := model.Config{VocabSize: g.VocabSize, HiddenSize: g.HiddenSize, NumHiddenLayers: g.NumHiddenLayers, IntermediateSize: g.IntermediateSize,
		MaxPositionEmbeddings: g.MaxPositionEmbeddings, TypeVocabSize: g.TypeVocabSize, LayerNormEps: 1e-12,
		LongConvLMax: g.LongConvLMax, HyenaEmbDim: g.HyenaEmbDim, HyenaFilterOrder: g.HyenaFilterOrder, HyenaWMod: 1,
		UsePositionalEncodings: true, Bidirectional: true, ResidualLongConv: true, UseGLUMLP: true, UseMonarchMLP: true, MonarchMLPNBlocks: g.MonarchMLPNBlocks,
		Pooling: model.PoolClass}
	return c, &cached{source: goldenweights.New(g), made: map[string]checkpoint.Tensor{}}
}

// cached keeps generated tensors: several plans pack them.
type cached struct {
	source *goldenweights.Weights
	made   map[string]checkpoint.Tensor
}

func (c *cached) Names() []string { return c.source.Names() }

func (c *cached) Tensor(name string) (checkpoint.Tensor, error) {
	if t, ok := c.made[name]; ok {
		return t, nil
	}
	t, err := c.source.Tensor(name)
	if err == nil {
		c.made[name] = t
	}
	return t, err
}

// models measures whole forward passes.
func (b *bench) models(selected *regexp.Regexp, most int) {
	c, tensors := base80M()
	var want *checkpoint.File
	if data, err := os.ReadFile(outputs); err == nil {
		want, err = checkpoint.OpenBytes(data)
		check(err)
	}
	for _, half := range []bool{false, true} {
		for _, s := range []struct{ texts, length int }{{32, 128}, {1, 128}, {1, 2048}, {1, 8192}, {1, 32768}} {
			name := fmt.Sprintf("80M, %d × %d tokens", s.texts, s.length)
			if half {
				name += ", 16-bit weights"
			}
			if s.length > most || !selected.MatchString(name) {
				continue
			}
			m := modelTime{Name: name, Texts: s.texts, Length: s.length, Half: half}
			o := b.options
			o.Half = half
			b.model(&m, c, tensors, o, want)
			b.report.Models = append(b.report.Models, m)
			fmt.Printf("%-40s %9.2f ms %9.0f tokens/s  first %.0f ms, weights %.0f MiB, other %.0f MiB, %d dispatches, 1-cosine %.1e\n",
				name, m.Milliseconds, m.TokensPerSecond, m.First, m.WeightMiB, m.OtherMiB, m.Dispatches, 1-m.Cosine)
			var parts []string
			for part := range m.Parts {
				parts = append(parts, part)
			}
			slices.SortFunc(parts, func(x, y string) int { return int(math.Copysign(1, m.Parts[y].Milliseconds-m.Parts[x].Milliseconds)) })
			for _, part := range parts {
				if p := m.Parts[part]; p.Milliseconds > 0.005*m.Milliseconds {
					fmt.Printf("    %-36s %9.3f ms %9.0f GFLOP\n", part, p.Milliseconds, p.Work)
				}
			}
		}
		b.executor.Close()
	}
}

func (b *bench) model(m *modelTime, c model.Config, tensors plan.Tensors, o plan.Options, want *checkpoint.File) {
	ctx := context.Background()
	p, err := plan.New(c, plan.Shape{Texts: m.Texts, Length: m.Length}, b.limits, o)
	check(err)
	l, err := b.executor.Load(ctx, p, tensors)
	check(err)
	defer b.executor.Unload(l)
	ids := goldenweights.InputIDs(fmt.Sprintf("big.%d", m.Length), m.Length, 1000, 29000)
	var batch []int32
	for range m.Texts {
		batch = append(batch, ids...)
	}
	var vector []float32
	pass := func() float64 {
		started := time.Now()
		vector, err = b.executor.Run(ctx, l, batch, nil)
		check(err)
		return time.Since(started).Seconds()
	}
	m.First = pass() * 1e3
	for started := time.Now(); time.Since(started) < 5*b.quick; {
		pass()
	}
	var all []float64
	for started := time.Now(); len(all) < 5 || time.Since(started) < 10*b.quick && len(all) < 200; {
		all = append(all, pass())
	}
	slices.Sort(all)
	m.Milliseconds = all[len(all)/2] * 1e3
	m.TokensPerSecond = float64(m.Texts*m.Length) / all[len(all)/2]
	m.WeightMiB, m.OtherMiB = float64(p.WeightBytes())/(1<<20), float64(p.ScratchBytes()+p.SharedBytes())/(1<<20)
	m.Dispatches = len(p.Dispatches)
	if want != nil {
		if t, err := want.Tensor(fmt.Sprintf("L%d/f64/pooled_cls", m.Length)); err == nil {
			truth, err := t.Float32(nil)
			check(err)
			m.Cosine = core.Cosine(vector[:len(truth)], truth)
			limit := 1e-7
			if m.Half {
				limit = 1e-3
			}
			if !(1-m.Cosine < limit) {
				check(fmt.Errorf("%s: cosine %g to the golden vector", m.Name, m.Cosine))
			}
		}
	}
	m.Parts = b.parts(l, p)
}

// parts times each kind of dispatch of a plan by itself.
func (b *bench) parts(l *native.Loaded, p *plan.Plan) map[string]part {
	groups := map[string][]int{}
	layer := regexp.MustCompile(`^layer \d+ `)
	for i, d := range p.Dispatches {
		name := layer.ReplaceAllString(d.Label, "")
		name = strings.ReplaceAll(name, "filter_fn2", "filter_fn")
		groups[name] = append(groups[name], i)
	}
	out := map[string]part{}
	for name, dispatches := range groups {
		q := part{Milliseconds: math.Inf(1)}
		repeat := 1
		for range 4 {
			t, err := b.executor.Measure(context.Background(), l, dispatches, repeat)
			check(err)
			each := t.Seconds() * 1e3 / float64(repeat)
			q.Milliseconds = min(q.Milliseconds, each)
			repeat = max(1, min(100, int(b.quick.Seconds()*1e3/each)))
		}
		for _, i := range dispatches {
			if p.Pipelines[p.Dispatches[i].Pipeline].Kernel == "matmul" || p.Pipelines[p.Dispatches[i].Pipeline].Kernel == "matmul_tall" {
				q.Work += p.Dispatches[i].Work / 1e9
			}
		}
		out[name] = q
	}
	return out
}
