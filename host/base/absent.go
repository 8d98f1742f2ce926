//go:build !m2embed_base

package base

import "io/fs"

// Files is nil: this program was built without the model.
var Files fs.FS
