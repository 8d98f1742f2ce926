//go:build ((!amd64 && !arm64) || noasm) && !(wasip1 && m2embed_kernels)

package kernel

// Sets lists the back ends that this machine can run, slowest first.
func Sets() []*Set { return []*Set{&Go} }
