// Package host is m2embed for Go programs: it opens models from folders, files
// and the one that is built in, and runs them. Package convert writes checkpoints
// as safetensors, package hub pulls models from a hub. What changes a vector
// lives in package core.
//
//	model, err := host.Open("", host.Options{}) // or a folder, or a checkpoint
//	if err != nil {
//		…
//	}
//	defer model.Close()
//	vectors, err := model.Embed(ctx, "a text", "another")
//
// [Model.EmbedInputs] has all choices and reports. An input that cannot run is a
// [core.InputError], a failing engine or damaged weights a [core.Fault].
package host
