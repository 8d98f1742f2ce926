package goldenweights

// Config holds the sizes and switches that decide which tensors there are.
// The names are those of a model's config.json.
type Config struct {
	VocabSize             int // rows of the word table; rounded up to a multiple of 8
	HiddenSize            int // D
	NumHiddenLayers       int
	IntermediateSize      int // I
	MaxPositionEmbeddings int // rows of the position table
	LongConvLMax          int // length of the filters' position features
	TypeVocabSize         int
	HyenaEmbDim           int // features of a position, odd
	HyenaFilterOrder      int // width of the filter network
	MonarchMLPNBlocks     int

	Bidirectional          bool
	ResidualLongConv       bool
	UsePositionalEncodings bool
	HyenaTrainingAdditions bool
	UseGLUMLP              bool
	UseMonarchMLP          bool
	NoPooler               bool // as in a pretraining checkpoint
}

// Tiny is the configuration of the small golden model: D 64, I 256, 2 layers,
// 512 positions.
func Tiny() Config {
	return Config{
		VocabSize: 1000, HiddenSize: 64, NumHiddenLayers: 2, IntermediateSize: 256,
		MaxPositionEmbeddings: 512, LongConvLMax: 512, TypeVocabSize: 2,
		HyenaEmbDim: 5, HyenaFilterOrder: 32, MonarchMLPNBlocks: 4,
		Bidirectional: true, ResidualLongConv: true, UsePositionalEncodings: true,
		UseGLUMLP: true, UseMonarchMLP: true,
	}
}

// Base80M is the shape of the published 80M retrieval models, for a trained
// length of 2048, 8192 or 32768.
func Base80M(length int) Config {
	c := Tiny()
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.IntermediateSize = 30528, 768, 12, 3072
	c.MaxPositionEmbeddings, c.LongConvLMax = length, length
	c.HyenaFilterOrder = 128
	return c
}
