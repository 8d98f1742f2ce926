package model

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"m2embed/core/short"
)

// Config is a model's configuration, under the names of its config.json.
type Config struct {
	VocabSize             int     // vocab_size: rows of the word table
	HiddenSize            int     // hidden_size: D
	NumHiddenLayers       int     // num_hidden_layers
	IntermediateSize      int     // intermediate_size: I
	MaxPositionEmbeddings int     // max_position_embeddings: rows of the position table
	TypeVocabSize         int     // type_vocab_size; only row 0 is used
	LayerNormEps          float64 // layer_norm_eps

	LongConvLMax     int     // long_conv_l_max: taps of a filter in each direction
	HyenaEmbDim      int     // hyena_emb_dim: features of a position, odd, at least 3
	HyenaFilterOrder int     // hyena_filter_order: O, width of the filter network
	HyenaWMod        float64 // hyena_w_mod: constant factor inside the sines

	UsePositionalEncodings bool // use_positional_encodings
	Bidirectional          bool // bidirectional: filters have reverse taps
	ResidualLongConv       bool // residual_long_conv: the second convolution, of the mixer's input
	HyenaTrainingAdditions bool // hyena_training_additions: a LayerNorm before the mixer
	UseGLUMLP              bool // use_glu_mlp
	UseMonarchMLP          bool // use_monarch_mlp: block-diagonal MLP matrices
	MonarchMLPNBlocks      int  // monarch_mlp_nblocks

	// MaxSeqLen (max_seq_len, or evaluation_max_seq_len where that is given) is
	// the length at which texts are cut; 0 stands for the most the tables
	// allow. Without positional encodings it may exceed LongConvLMax, which is
	// then a window: taps past it are zero.
	MaxSeqLen  int
	PadTokenID int // pad_token_id

	Pooling   Pooling // pooling, else from pool_all, gather_sentence_embeddings and use_cls_token
	Normalize bool    // normalize, else from use_normalized_embeddings
	Padding   Padding // padding

	// MatryoshkaDimensions are the lengths to which a vector may be cut because
	// the model was trained for it (matryoshka_dimensions).
	MatryoshkaDimensions []int

	// Prompts are texts put before an input's, by the names of their tasks
	// (prompts, as in sentence-transformers); see [Config.Prompt].
	Prompts map[string]string
}

// defaults are the original code's, for keys that a config.json leaves out.
func defaults() Config {
	return Config{
		VocabSize: 30528, HiddenSize: 768, NumHiddenLayers: 12, IntermediateSize: 3072,
		MaxPositionEmbeddings: 512, TypeVocabSize: 2, LayerNormEps: 1e-12,
		HyenaFilterOrder: 64, HyenaWMod: 1,
		Bidirectional: true, UseGLUMLP: true, MonarchMLPNBlocks: 4,
	}
}

// MaxLength is the longest run of tokens that the model takes.
func (c Config) MaxLength() int {
	limit := c.LongConvLMax
	if c.windowed() {
		return c.MaxSeqLen
	}
	if c.UsePositionalEncodings {
		limit = min(limit, c.MaxPositionEmbeddings)
	}
	if c.MaxSeqLen > 0 {
		limit = min(limit, c.MaxSeqLen)
	}
	return limit
}

// windowed says that texts may be longer than the filters.
func (c Config) windowed() bool {
	return !c.UsePositionalEncodings && c.MaxSeqLen > c.LongConvLMax
}

// CheckDimensions refuses a length to which the model was not trained to cut its
// vectors; 0 and [Config.HiddenSize] leave them whole.
func (c Config) CheckDimensions(n int) error {
	switch {
	case n == 0 || n == c.HiddenSize || slices.Contains(c.MatryoshkaDimensions, n):
		return nil
	case len(c.MatryoshkaDimensions) == 0:
		return fmt.Errorf("%d dimensions: this model was not trained for vectors that are cut (config.json has no matryoshka_dimensions), want %d", n, c.HiddenSize)
	}
	return fmt.Errorf("%d dimensions, want %d or one of the model's matryoshka_dimensions %v", n, c.HiddenSize, c.MatryoshkaDimensions)
}

// ParseConfig reads a config.json. Keys that do not matter at inference are
// passed over.
//
// # Errors
//
// Values of the wrong kind, sizes that cannot be, and settings that make
// another model of it (attention instead of Monarch mixing, the fused kernel's
// parameters, attention pooling, planted tokens) are refused by name.
func ParseConfig(data []byte) (Config, error) {
	object, err := parseObject(data)
	if err != nil {
		return Config{}, fmt.Errorf("config.json: %w", short.Error(err))
	}
	c := defaults()
	r := settings{object: object}
	for name, p := range map[string]*int{
		"vocab_size": &c.VocabSize, "hidden_size": &c.HiddenSize, "num_hidden_layers": &c.NumHiddenLayers,
		"intermediate_size": &c.IntermediateSize, "max_position_embeddings": &c.MaxPositionEmbeddings,
		"type_vocab_size": &c.TypeVocabSize, "long_conv_l_max": &c.LongConvLMax,
		"hyena_emb_dim": &c.HyenaEmbDim, "hyena_filter_order": &c.HyenaFilterOrder,
		"monarch_mlp_nblocks": &c.MonarchMLPNBlocks, "max_seq_len": &c.MaxSeqLen, "pad_token_id": &c.PadTokenID,
	} {
		r.integer(name, p)
	}
	r.integer("evaluation_max_seq_len", &c.MaxSeqLen)
	r.integers("matryoshka_dimensions", &c.MatryoshkaDimensions)
	r.number("layer_norm_eps", &c.LayerNormEps)
	r.number("hyena_w_mod", &c.HyenaWMod)
	for name, p := range map[string]*bool{
		"use_positional_encodings": &c.UsePositionalEncodings, "bidirectional": &c.Bidirectional,
		"residual_long_conv": &c.ResidualLongConv, "hyena_training_additions": &c.HyenaTrainingAdditions,
		"use_glu_mlp": &c.UseGLUMLP, "use_monarch_mlp": &c.UseMonarchMLP,
	} {
		r.boolean(name, p)
	}
	r.output(&c)
	r.prompts(&c.Prompts)
	r.foreign()
	if r.err != nil {
		return Config{}, fmt.Errorf("config.json: %w", r.err)
	}
	// Rows beyond the tokenizer's entries exist: tables are padded to eights.
	c.VocabSize = (c.VocabSize + 7) / 8 * 8
	return c, c.check()
}

// output reads how a vector is made: our own keys, else the original's.
func (r *settings) output(c *Config) {
	var poolAll, gather, classToken, normalized bool
	r.boolean("pool_all", &poolAll)
	r.boolean("gather_sentence_embeddings", &gather)
	r.boolean("use_cls_token", &classToken)
	r.boolean("use_normalized_embeddings", &normalized)
	pooling, padding := "", ""
	r.text("pooling", &pooling)
	r.textOrInteger("padding", &padding)
	switch {
	case pooling != "":
		c.Pooling, r.err = parseInto(r.err, ParsePooling, pooling)
	case poolAll:
		c.Pooling = PoolMean
	case gather && classToken:
		c.Pooling = PoolClassHidden
	default:
		c.Pooling = PoolClass
	}
	c.Normalize = gather && normalized
	r.boolean("normalize", &c.Normalize)
	c.Padding, r.err = parseInto(r.err, ParsePadding, padding)
}

func parseInto[T any](before error, parse func(string) (T, error), text string) (T, error) {
	v, err := parse(text)
	if before != nil {
		err = before
	}
	return v, err
}

// foreign refuses settings under which the checkpoint is another model.
func (r *settings) foreign() {
	mixing := true
	r.boolean("monarch_mixer_sequence_mixing", &mixing)
	if !mixing {
		r.fail("monarch_mixer_sequence_mixing is false: an attention model, not M2-BERT")
	}
	for name, reason := range map[string]string{
		"use_flash_mm":            "the fused kernel's checkpoints have other parameters",
		"attention_pooling":       "attention pooling is not supported; use cls or mean pooling",
		"sequence_token_planting": "planted tokens are not supported",
	} {
		set := false
		r.boolean(name, &set)
		if set {
			r.fail(name + " is true: " + reason)
		}
	}
	if _, ok := r.object["long_conv_l_max"]; !ok {
		r.fail("long_conv_l_max is missing: not a configuration of M2-BERT")
	}
	if _, ok := r.object["hyena_emb_dim"]; !ok {
		r.fail("hyena_emb_dim is missing: not a configuration of M2-BERT")
	}
}

// sizeLimit bounds every size, so that a mistyped number is caught here: 32 times
// the longest published model.
const sizeLimit = 1 << 20

// check refuses sizes that cannot be.
func (c Config) check() error {
	for _, s := range []struct {
		name       string
		value, low int
	}{
		{"vocab_size", c.VocabSize, 1}, {"hidden_size", c.HiddenSize, 1}, {"num_hidden_layers", c.NumHiddenLayers, 1},
		{"intermediate_size", c.IntermediateSize, 1}, {"max_position_embeddings", c.MaxPositionEmbeddings, 1},
		{"type_vocab_size", c.TypeVocabSize, 1}, {"long_conv_l_max", c.LongConvLMax, 1}, {"hyena_emb_dim", c.HyenaEmbDim, 3},
		{"hyena_filter_order", c.HyenaFilterOrder, 1}, {"monarch_mlp_nblocks", c.MonarchMLPNBlocks, 1}, {"max_seq_len", c.MaxSeqLen, 0},
	} {
		if s.value < s.low || s.value > sizeLimit {
			return fmt.Errorf("config.json: %s is %d, want %d to %d", s.name, s.value, s.low, sizeLimit)
		}
	}
	if err := c.checkProducts(); err != nil {
		return err
	}
	for _, n := range c.MatryoshkaDimensions {
		if n < 1 || n > c.HiddenSize {
			return fmt.Errorf("config.json: matryoshka_dimensions has %d, want 1 to hidden_size %d", n, c.HiddenSize)
		}
	}
	if c.HyenaEmbDim%2 == 0 {
		return fmt.Errorf("config.json: hyena_emb_dim is %d, want an odd number: one time feature and pairs of cosine and sine", c.HyenaEmbDim)
	}
	if !(c.LayerNormEps >= 0 && c.LayerNormEps < 1) {
		return fmt.Errorf("config.json: layer_norm_eps is %g, want 0 to 1", c.LayerNormEps)
	}
	if c.UseMonarchMLP && c.MonarchMLPNBlocks > min(c.HiddenSize, c.IntermediateSize) {
		return fmt.Errorf("config.json: monarch_mlp_nblocks is %d, want at most hidden_size %d", c.MonarchMLPNBlocks, c.HiddenSize)
	}
	return nil
}

// checkProducts refuses sizes whose tables no memory can hold: with it, no
// product of sizes that the program forms passes an int.
func (c Config) checkProducts() error {
	const most = math.MaxInt / 64 // bytes of a value, and room for small factors
	for _, p := range []struct {
		name string
		a, b int
	}{
		{"vocab_size × hidden_size", c.VocabSize, c.HiddenSize},
		{"max_position_embeddings × hidden_size", c.MaxPositionEmbeddings, c.HiddenSize},
		{"long_conv_l_max × hidden_size", c.LongConvLMax, c.HiddenSize},
		{"max_seq_len × hidden_size", c.MaxSeqLen, c.HiddenSize},
		{"long_conv_l_max × hyena_emb_dim", c.LongConvLMax, c.HyenaEmbDim},
		{"long_conv_l_max × hyena_filter_order", c.LongConvLMax, c.HyenaFilterOrder},
		{"hidden_size × hidden_size", c.HiddenSize, c.HiddenSize},
		{"hidden_size × intermediate_size", c.HiddenSize, c.IntermediateSize},
		{"hidden_size × hyena_filter_order", c.HiddenSize, c.HyenaFilterOrder},
		{"hyena_filter_order × hyena_filter_order", c.HyenaFilterOrder, c.HyenaFilterOrder},
	} {
		if p.a > most/p.b {
			return fmt.Errorf("config.json: %s is %d × %d, more than any memory holds", p.name, p.a, p.b)
		}
	}
	return nil
}

// Pooling says how hidden states become one vector.
type Pooling uint8

// The poolings of the original; the first two go through the pooler's dense
// layer and tanh.
const (
	PoolDefault     Pooling = iota // the model's own
	PoolClass                      // "cls": tanh(W h[0] + b)
	PoolMean                       // "mean": tanh(W mean(h) + b), pads left out of the mean
	PoolClassHidden                // "cls_hidden": h[0]
	PoolMeanHidden                 // "mean_hidden": mean(h), pads left out
	PoolNone                       // "none": all of h but the pads; no model's own
)

var poolingNames = []string{"", "cls", "mean", "cls_hidden", "mean_hidden", "none"}

func (p Pooling) String() string {
	if int(p) < len(poolingNames) {
		return poolingNames[p]
	}
	return strconv.Itoa(int(p))
}

// ParsePooling reads the name of a pooling that makes one vector; the empty name
// is the model's own.
func ParsePooling(name string) (Pooling, error) {
	i := slices.Index(poolingNames[:PoolNone], name)
	if i < 0 {
		return 0, fmt.Errorf("pooling %s, want one of cls, mean, cls_hidden, mean_hidden", short.Quote(name))
	}
	return Pooling(i), nil
}

// dense says that the pooling goes through the pooler's dense layer.
func (p Pooling) dense() bool { return p == PoolClass || p == PoolMean }

// firstToken says that only the first row of the last layer matters.
func (p Pooling) firstToken() bool { return p == PoolClass || p == PoolClassHidden }

// Padding says to what length a text is padded before it runs. Pads are input
// like any token, so the vector depends on it: a model wants the padding that
// it was trained with.
type Padding struct {
	Mode   PaddingMode
	Length int // for PadToLength
}

// PaddingMode is the kind of a Padding.
type PaddingMode uint8

// The paddings. With all but PadLongest a vector never depends on its batch.
const (
	PadDefault  PaddingMode = iota // the model's own
	PadNone                        // "none": a text runs at its own length
	PadLongest                     // "longest": to the longest text of the batch, so batch-mates change the vector
	PadMax                         // "max_length": to the model's maximum, as the published weights expect
	PadToLength                    // a number: shorter texts are padded to it
)

func (p Padding) String() string {
	switch p.Mode {
	case PadNone:
		return "none"
	case PadLongest:
		return "longest"
	case PadMax:
		return "max_length"
	case PadToLength:
		return strconv.Itoa(p.Length)
	}
	return ""
}

// ParsePadding reads none, longest, max_length or a number of tokens; empty is
// the model's own.
func ParsePadding(text string) (Padding, error) {
	switch text {
	case "":
		return Padding{}, nil
	case "none":
		return Padding{Mode: PadNone}, nil
	case "longest":
		return Padding{Mode: PadLongest}, nil
	case "max_length":
		return Padding{Mode: PadMax}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > sizeLimit {
		return Padding{}, fmt.Errorf("padding %s, want none, longest, max_length or a number of tokens", short.Quote(text))
	}
	return Padding{Mode: PadToLength, Length: n}, nil
}
