//go:build !m2embed_module

package module

// Bytes is nil: this program was built without the module.
var Bytes []byte
