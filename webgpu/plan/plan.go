// Package plan describes M2-BERT's forward pass as GPU work, without touching
// a GPU: for a number of texts and a length it lists buffers, pipelines,
// dispatches, the weights to upload and what to read back. An executor
// replays the list; it knows nothing of the model. The package runs natively
// and in the WebAssembly module, so that the page and the command line replay
// the same plan.
//
// Activations are channel-major, (D, columns): one row a channel, the texts'
// tokens one after the other in the columns, rows padded to 64 columns. Long
// convolutions then read contiguous rows, and both operands of every matrix
// product have the summed axis first, which is the order that its kernel
// wants. Columns past the last token hold arbitrary numbers that never meet
// the others.
//
// Letters: B texts, L tokens of each, D hidden size, I inner size, P the power
// of two ≥ max(L, 64), which decides the filters' spectra.
package plan

// Plan is the work of one shape. It is data: the same inputs give the same
// plan, and replaying it needs no decisions.
type Plan struct {
	Texts  int // B
	Length int // L

	Kernels   []string   // files of package kernels that the pipelines name
	Pipelines []Pipeline // what to compile
	Buffers   []Buffer   // what to allocate
	Params    []byte     // content of the uniform buffer, one 256-byte record a dispatch

	// Setup makes what later plans share: each group runs once for each model,
	// unless a plan of the same model has run the group with that key before.
	Setup []Setup
	// Dispatches is the forward pass, to be run in order.
	Dispatches []Dispatch

	// SharedLimit is how many bytes the Shared buffers of all plans of a model may
	// take together on a device: [Options.SpectraBytes].
	SharedLimit int

	IDs    int // index in Buffers of the token ids, uint32 (B, L), or -1 in a single operation
	Mask   int // index of the mask, uint32 (B, L), or -1 where the pooling needs none
	Output int // index of the buffer to read back, float32: vectors (B, D), hidden states (B, L, D), or one behind the other
}

// Pipeline is one compute pipeline: an entry point of a kernel with its
// override constants.
type Pipeline struct {
	Kernel    string
	Entry     string
	Constants []Constant
}

// Constant sets a kernel's override constant; a boolean is 0 or 1.
type Constant struct {
	Name  string
	Value float64
}

// BufferKind says who fills a buffer and how long it lives.
type BufferKind uint8

// The kinds of buffers.
const (
	Scratch BufferKind = iota // belongs to the plan
	Input                     // written by the caller before each run
	Weight                    // packed by [Pack]; shared by all plans of a model under its key
	Shared                    // filled by Setup; shared by all plans of a model under its key
	Uniform                   // Plan.Params
)

// String returns the kind's name in the JSON form.
func (k BufferKind) String() string {
	return [...]string{"scratch", "input", "weight", "shared", "uniform"}[k]
}

// Buffer is one allocation.
type Buffer struct {
	Kind  BufferKind
	Size  int     // bytes, a multiple of 4
	Key   string  // of a Weight or Shared buffer: equal keys are one buffer
	Parts []Piece // of a Weight: what Pack puts into it
}

// Setup is a group of dispatches that fills Shared buffers.
type Setup struct {
	Key        string
	Dispatches []Dispatch
}

// Dispatch is one kernel launch.
type Dispatch struct {
	Pipeline int // index in Plan.Pipelines
	Params   int // offset of its record in Plan.Params, bound at slot 0
	Bindings []Binding
	Groups   [3]int  // workgroups
	Work     float64 // floating-point operations, or bytes where there are more: to cut a pass into submissions
	Label    string  // the operation, such as "layer 3 out_linear"
}

// Binding puts the first Size bytes of a buffer at a slot of group 0.
type Binding struct {
	Slot, Buffer, Size int
}

// Limits are the device limits that the planner heeds, by WebGPU's names.
type Limits struct {
	MaxStorageBufferBindingSize      int
	MaxBufferSize                    int
	MaxComputeWorkgroupsPerDimension int
}

// DefaultLimits are the limits that every WebGPU device grants.
func DefaultLimits() Limits {
	return Limits{MaxStorageBufferBindingSize: 128 << 20, MaxBufferSize: 256 << 20, MaxComputeWorkgroupsPerDimension: 65535}
}

// ScratchBytes is the sum of the plan's own buffers: what a run needs beside
// weights and shared buffers.
func (p *Plan) ScratchBytes() int { return p.sum(Scratch) + p.sum(Input) + p.sum(Uniform) }

// WeightBytes is the sum of the weights that the plan uses.
func (p *Plan) WeightBytes() int { return p.sum(Weight) }

// SharedBytes is the sum of the buffers that Setup fills.
func (p *Plan) SharedBytes() int { return p.sum(Shared) }

func (p *Plan) sum(kind BufferKind) (bytes int) {
	for _, b := range p.Buffers {
		if b.Kind == kind {
			bytes += b.Size
		}
	}
	return bytes
}
