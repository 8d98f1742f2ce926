// Package embed makes vectors of texts in Apache Beam pipelines, in Go, on any
// runner:
//
//	beam.Init()
//	p, s := beam.NewPipelineWithRoot()
//	documents := … // a PCollection of embed.Document, string, KV<string, string>, or structs
//	vectors, rejected := embed.Texts(s, documents, embed.Options{})
//
// vectors is a PCollection of [Result]; rejected is one of [Rejected], the
// documents that have no vector, with the reason.
//
// The model is opened once in a worker process, whatever number of bundles and
// transforms use it. Documents are collected across the elements of a bundle until
// there are enough tokens for a forward pass; vectors do not depend on what is
// collected together, so bundles of any size and order, on any number of workers
// and with any retries, give the same bits.
//
// Beam counts, under the namespace "m2embed": texts, tokens, truncated and failed
// (counters), and batch_milliseconds (a distribution).
package embed
