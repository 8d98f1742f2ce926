package main

import (
	"fmt"
	"m2embed/host"
	"slices"
	"time"

	"m2embed/core"
	"m2embed/core/model"
)

var benchCommand = &command{
	name:     "bench",
	synopsis: "[flags]",
	summary:  "Measure tokens a second over lengths.",
	details: `
Embeds made-up texts of the given lengths, without padding, in turn: round after
round, so that all lengths see the same weather. "first" includes packing the
weights and making the filters; the median is of the rounds after it.
`,
	define: func(c *call) func() error {
		which := defineModel(c)
		lengths := c.flags.String("length", "", "`numbers` of tokens, such as 16,2048 (default: some up to the maximum)")
		texts := c.flags.Int("texts", 1, "`number` of texts at once")
		rounds := c.flags.Int("rounds", 5, "`number` of rounds")
		asJSON := c.flags.Bool("json", false, "write JSON lines")
		return func() error {
			if err := c.noArguments(); err != nil {
				return err
			}
			ls, err := parseLengths(*lengths)
			if err != nil {
				return err
			}
			if *texts < 1 || *texts > 1<<16 || *rounds < 1 || *rounds > 1<<16 {
				return usagef("--texts %d and --rounds %d, want 1 to 65536", *texts, *rounds)
			}
			return bench(c, which, ls, *texts, *rounds, *asJSON)
		}
	},
}

// benchLine is the result for a length.
type benchLine struct {
	Length  int     `json:"length"`
	Texts   int     `json:"texts"`
	First   float64 `json:"first_seconds"`
	Median  float64 `json:"median_seconds"`
	Fastest float64 `json:"fastest_seconds"`
	Rate    float64 `json:"tokens_per_second"` // at the median
}

func bench(c *call, which *modelFlags, lengths []int, texts, rounds int, asJSON bool) error {
	m, err := which.open()
	if err != nil {
		return err
	}
	defer m.Close()
	if lengths == nil {
		lengths = usualLengths(m.Config().MaxLength())
	}
	times := make([][]float64, len(lengths))
	for round := range rounds + 1 {
		for i, l := range lengths {
			if l > m.Config().MaxLength() {
				return fmt.Errorf("length %d, but the model takes at most %d tokens", l, m.Config().MaxLength())
			}
			inputs := madeUp(m, texts, l, round)
			began := time.Now()
			_, err := m.EmbedInputs(c.ctx, inputs, core.Options{Padding: model.Padding{Mode: model.PadNone}})
			if err != nil {
				return err
			}
			times[i] = append(times[i], time.Since(began).Seconds())
		}
	}
	if !asJSON {
		fmt.Fprintf(c.stdout, "%s, %s, %s at once\n%8s %12s %12s %12s %12s\n", m.Info().Name, m.Info().Engine, counted(texts, "text"), "tokens", "first", "median", "fastest", "tokens/s")
	}
	for i, l := range lengths {
		rest := slices.Sorted(slices.Values(times[i][1:]))
		line := benchLine{Length: l, Texts: texts, First: times[i][0], Median: rest[len(rest)/2], Fastest: rest[0]}
		if len(rest)%2 == 0 {
			line.Median = (rest[len(rest)/2-1] + rest[len(rest)/2]) / 2
		}
		line.Rate = float64(l*texts) / line.Median
		if asJSON {
			err = writeJSON(c.stdout, line)
		} else {
			_, err = fmt.Fprintf(c.stdout, "%8s %12s %12s %12s %12s\n", thousands(int64(l)), seconds(line.First), seconds(line.Median), seconds(line.Fastest), thousands(int64(line.Rate)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func seconds(s float64) string { return fmt.Sprintf("%.2f ms", 1000*s) }

// madeUp makes texts of ids that differ from each other and from round to
// round, which changes nothing for the model.
func madeUp(m *host.Model, texts, length, round int) []core.Input {
	inputs := make([]core.Input, texts)
	for t := range inputs {
		ids := make([]int32, length)
		for i := range ids {
			ids[i] = int32((i*31 + t*17 + round*7) % m.Config().VocabSize)
		}
		inputs[t].IDs = ids
	}
	return inputs
}
