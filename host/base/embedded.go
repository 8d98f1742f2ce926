//go:build m2embed_base

package base

import (
	"embed"
	"io/fs"
)

//go:embed config.json tokenizer.json model.safetensors
var folder embed.FS

// Files are config.json, tokenizer.json and model.safetensors.
var Files fs.FS = folder
