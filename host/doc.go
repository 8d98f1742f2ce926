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
// [OpenFS] opens the model of an [io/fs.FS]. [Options] choose the engine: this
// processor, m2embed.wasm under wazero, or a GPU. [Model.Info] says what was
// opened; its Space names the vectors' space, and only vectors of one space can
// be compared.
//
// [Model.EmbedInputs] has all choices and reports. An input that cannot run is a
// [core.InputError], a failing engine or damaged weights a [core.Fault].
package host
