//go:build m2embed_module

package module

import _ "embed"

// Bytes is m2embed.wasm.
//
//go:embed m2embed.wasm
var Bytes []byte
