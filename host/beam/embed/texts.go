package embed

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"m2embed/host/batch"
)

// Document is a text with the id by which its result is known.
type Document = batch.Document

// Result is a document's vector, and those of its passages if Options ask for
// them.
type Result = batch.Result

// Passage is a piece of a document with a vector of its own.
type Passage = batch.Passage

// Rejected is a document that has no vector: empty, too long under truncation
// "refuse", too large, or no UTF-8.
type Rejected = batch.Rejected

// Options say which model runs and how. The zero value is the model that is built
// in, run its own way.
type Options struct {
	// Model is "" for the model that is built in, a folder or checkpoint file that
	// every worker sees, or a folder on one of Beam's file systems: gs://, s3://
	// and so on. Such a folder is copied to each machine once. Its file system
	// must be linked into the program by importing its package, as for Beam's own
	// transforms.
	Model string
	// Engine is one of host.Engines; empty means this processor.
	Engine string
	// Threads of a forward pass; 0 means one a processor. A runner that starts
	// several worker processes on one machine wants 1.
	Threads int

	// IDField and TextField name the fields of structs other than Document; empty
	// means ID and Text.
	IDField, TextField string

	// Embed says how documents become vectors.
	Embed batch.Options
}

func init() {
	register.DoFn6x1[context.Context, beam.Window, beam.EventTime, Document, func(beam.EventTime, Result), func(beam.EventTime, Rejected), error](&embedFn{})
	register.Emitter2[beam.EventTime, Result]()
	register.Emitter2[beam.EventTime, Rejected]()
	register.Function1x1(ofString)
	register.Function2x1(ofPair)
	register.DoFn1x2[beam.X, Document, error](&fieldsFn{})
	beam.RegisterType(reflect.TypeFor[Document]())
	beam.RegisterType(reflect.TypeFor[Result]())
	beam.RegisterType(reflect.TypeFor[Passage]())
	beam.RegisterType(reflect.TypeFor[Rejected]())
}

// Texts embeds the elements of a collection: [Document]s; strings, whose id is the
// text itself; pairs of strings, id and text; or structs with fields for both. It
// returns a PCollection of [Result] and one of [Rejected]. Every element is in
// exactly one of them, with its window and timestamp.
//
// Elements of the global window are collected across a bundle. Those of other
// windows run one by one, since a bundle's end knows no window.
//
// # Errors
//
// It panics, as Beam's transforms do while a pipeline is built, for collections of
// other types. A model that cannot be opened, a failing engine and damaged weights
// fail the bundle.
func Texts(s beam.Scope, texts beam.PCollection, o Options) (results, rejected beam.PCollection) {
	s = s.Scope("m2embed.Texts")
	return beam.ParDo2(s, &embedFn{Options: o}, documents(s, texts, o))
}

// documents turns a collection into one of Document.
func documents(s beam.Scope, texts beam.PCollection, o Options) beam.PCollection {
	t := texts.Type()
	if typex.IsKV(t) {
		if c := t.Components(); c[0].Type() == reflect.TypeFor[string]() && c[1].Type() == reflect.TypeFor[string]() {
			return beam.ParDo(s, ofPair, texts)
		}
		panic(fmt.Sprintf("embed.Texts: a collection of %v, want KV<string, string>", t))
	}
	switch kind := t.Type(); {
	case kind == reflect.TypeFor[Document]():
		return texts
	case kind == reflect.TypeFor[string]():
		return beam.ParDo(s, ofString, texts)
	case kind.Kind() == reflect.Struct:
		f := &fieldsFn{ID: o.IDField, Text: o.TextField}
		if f.ID == "" {
			f.ID = "ID"
		}
		if f.Text == "" {
			f.Text = "Text"
		}
		for _, name := range []string{f.ID, f.Text} {
			if field, ok := kind.FieldByName(name); !ok || field.Type.Kind() != reflect.String {
				panic(fmt.Sprintf("embed.Texts: %v has no field %s that is a string; name others in Options", kind, name))
			}
		}
		return beam.ParDo(s, f, texts)
	}
	panic(fmt.Sprintf("embed.Texts: a collection of %v, want embed.Document, string, KV<string, string> or structs", t))
}

func ofString(text string) Document { return Document{ID: text, Text: text} }

func ofPair(id, text string) Document { return Document{ID: id, Text: text} }

// fieldsFn takes documents out of structs.
type fieldsFn struct{ ID, Text string }

// ProcessElement turns a struct into a Document.
func (f *fieldsFn) ProcessElement(element beam.X) (Document, error) {
	v := reflect.ValueOf(element)
	if v.Kind() != reflect.Struct {
		return Document{}, fmt.Errorf("an element of type %T, want a struct", element)
	}
	return Document{ID: v.FieldByName(f.ID).String(), Text: v.FieldByName(f.Text).String()}, nil
}

// Metrics, in Beam's way: by worker, summed by the runner.
var (
	countTexts     = beam.NewCounter("m2embed", "texts")
	countTokens    = beam.NewCounter("m2embed", "tokens")
	countTruncated = beam.NewCounter("m2embed", "truncated")
	countFailed    = beam.NewCounter("m2embed", "failed")
	latency        = beam.NewDistribution("m2embed", "batch_milliseconds")
)

// embedFn embeds documents.
type embedFn struct {
	Options Options

	batch *batch.Batch
	times []beam.EventTime // of the documents in the batch
}

// Setup opens the model, or finds it open in this process.
func (f *embedFn) Setup(ctx context.Context) error {
	_, err := Open(ctx, f.Options)
	return err
}

// StartBundle begins a batch.
func (f *embedFn) StartBundle(ctx context.Context, _ func(beam.EventTime, Result), _ func(beam.EventTime, Rejected)) error {
	e, err := Open(ctx, f.Options)
	if err != nil {
		return err
	}
	f.batch, f.times = e.NewBatch(), f.times[:0]
	return nil
}

// ProcessElement adds a document to the batch.
func (f *embedFn) ProcessElement(ctx context.Context, w beam.Window, t beam.EventTime, d Document, results func(beam.EventTime, Result), rejected func(beam.EventTime, Rejected)) error {
	f.times = append(f.times, t)
	began := time.Now()
	yield := f.yield(ctx, results, rejected)
	err := f.batch.Add(ctx, d, yield)
	if _, global := w.(window.GlobalWindow); err == nil && !global {
		err = f.batch.Flush(ctx, yield)
	}
	if len(f.times) == 0 {
		latency.Update(ctx, time.Since(began).Milliseconds())
	}
	return err
}

// FinishBundle embeds what is left.
func (f *embedFn) FinishBundle(ctx context.Context, results func(beam.EventTime, Result), rejected func(beam.EventTime, Rejected)) error {
	if len(f.times) == 0 {
		return nil
	}
	began := time.Now()
	err := f.batch.Flush(ctx, f.yield(ctx, results, rejected))
	latency.Update(ctx, time.Since(began).Milliseconds())
	return err
}

// yield hands outcomes on, which come in the order of f.times.
func (f *embedFn) yield(ctx context.Context, results func(beam.EventTime, Result), rejected func(beam.EventTime, Rejected)) func(batch.Outcome) error {
	return func(o batch.Outcome) error {
		t := f.times[0]
		if f.times = f.times[1:]; len(f.times) == 0 {
			f.times = nil
		}
		countTexts.Inc(ctx, 1)
		if o.Rejected != nil {
			countFailed.Inc(ctx, 1)
			rejected(t, *o.Rejected)
			return nil
		}
		countTokens.Inc(ctx, int64(o.Result.Tokens))
		if o.Result.Truncated {
			countTruncated.Inc(ctx, 1)
		}
		results(t, o.Result)
		return nil
	}
}
