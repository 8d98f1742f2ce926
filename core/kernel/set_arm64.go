//go:build arm64 && !noasm

package kernel

// neon runs on every arm64 processor.
var neon = neonSet()

func neonSet() Set {
	s := Go
	s.Name = "neon"
	s.PanelWidth = 16
	s.GemmF32 = gemmF32Vector
	s.Multiply = multiplyVector
	s.MultiplyAdd = multiplyAddVector
	return s
}

var sets = []*Set{&Go, &neon}

// Sets lists the back ends that this machine can run, slowest first.
func Sets() []*Set { return sets }
