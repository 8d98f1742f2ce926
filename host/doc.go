// Package host is m2embed for Go programs: it opens models from folders, files
// and the one that is embedded, and runs them. Package convert writes checkpoints
// as safetensors, package hub pulls models from a hub. What changes a vector
// lives in package core.
//
//	model, err := host.Open("", host.Options{}) // "" is the embedded model; else a folder, a checkpoint or a hub snapshot
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer model.Close() // waits for calls under way
//	vectors, err := model.Embed(context.Background(), "a text", "another")
//
// [OpenFS] opens the model of an [io/fs.FS]. [Options] choose the engine: this
// processor, m2embed.wasm under wazero, or a GPU. [Model.Info] says what was
// opened; its Space names the vectors' space, and only vectors of one space can
// be compared.
//
// A model that was trained with prompts embeds queries with [Model.For]("query").
// [Model.EmbedInputs] has all choices and reports. An input that cannot run is a
// [core.InputError], a failing engine or damaged weights a [core.Fault].
package host
