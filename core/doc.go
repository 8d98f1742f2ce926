// Package core embeds text with M2-BERT: text → tokens → ids → hidden states →
// one vector. It is portable Go without cgo, files or network, and runs
// natively and as WebAssembly alike.
//
//	text ──tokenizer──▶ ids ──model──▶ hidden states (L, D) ──pool──▶ vector (D)
//
// Package tokenizer turns text into ids, checkpoint reads weights, model is the
// forward pass, fft its long convolution and kernel the arithmetic below both.
// [Open] and [Embedder.Embed] put them together; everything that changes a
// vector (truncation, padding, pooling, normalisation) is decided here and in
// model, once.
//
// Axis letters in all packages: B texts, T tokens of texts that run together,
// L tokens of one text, D hidden size, I inner size, N rows of a Fourier
// transform, O filter order. Matrices are row-major.
//
// Sources: Fu, Arora, Grogan et al., "Monarch Mixer: A Simple Sub-Quadratic
// GEMM-Based Architecture" (2023); Saad-Falcon, Fu, Arora et al., "Benchmarking
// and Building Long-Context Retrieval Models with LoCo and M2-BERT" (2024); the
// reference code HazyResearch/m2.
//
// Out of scope: training, the language-model head, attention models.
package core
