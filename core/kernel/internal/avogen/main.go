// Command avogen writes the amd64 kernels: kernel_amd64.s and the Go stubs in
// kernel_amd64.go, two folders up. build.sh check runs it again and compares.
//
// Each generator function takes a vector: the same code makes the AVX2
// kernels (8 lanes, 16 registers) and the AVX-512 ones (16 lanes, 32
// registers).
package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vector is one instruction set's register width.
type vector struct {
	name  string // suffix of the function names
	lanes int    // float32 lanes
	bytes int
	reg   func() reg.VecVirtual
}

var (
	avx2   = vector{"AVX2", 8, 32, YMM}
	avx512 = vector{"AVX512", 16, 64, ZMM}
	// scalar runs the same instructions over one value, for what is left
	// of a row: a value's bits don't depend on its place.
	scalar = vector{"", 1, 4, XMM}
)

// load reads a vector from memory, without touching what lies behind it.
func (v vector) load(m operand.Mem) reg.VecVirtual {
	r := v.reg()
	if v.lanes == 1 {
		VMOVSS(m, r)
	} else {
		VMOVUPS(m, r)
	}
	return r
}

func (v vector) store(r reg.VecVirtual, m operand.Mem) {
	if v.lanes == 1 {
		VMOVSS(r, m)
	} else {
		VMOVUPS(r, m)
	}
}

// text starts a function.
func text(name, signature, doc string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + " " + doc)
}

// eachValue emits loops over n values: whole vectors, then one at a time. The
// body advances by way of pointers, which step by the bytes that it took.
func eachValue(label string, v vector, n reg.Register, pointers []reg.Register, body func(v vector)) {
	for _, w := range []vector{v, scalar} {
		name := label
		if w.lanes == 1 {
			name += "_rest"
		}
		countDown(name, n, w.lanes, func() {
			body(w)
			for _, p := range pointers {
				ADDQ(operand.I32(w.bytes), p)
			}
		})
	}
}

func main() {
	ConstraintExpr("amd64,!noasm")
	constants()
	for _, v := range []vector{avx2, avx512} {
		rows := map[string]int{"AVX2": 6, "AVX512": 12}[v.name]
		for r := 1; r <= rows; r++ {
			gemmF32(v, r)
		}
		transforms(v)
		elementwise(v)
		functions(v)
	}
	gemmF32Masked(4)
	gemmF32Masked(1)
	prefetch()
	layerNorm()
	quantize()
	for r := 1; r <= 6; r++ {
		gemmPairsAVX2(8, r)
		gemmPairsAVX2(16, r)
	}
	for r := 1; r <= 12; r++ {
		gemmI8VNNI(r)
		gemmI16VNNI(r)
	}
	packing()
	features()
	Generate()
}

// pointer loads a pointer or integer parameter into a new register.
func pointer(name string) reg.GPVirtual {
	r := GP64()
	Load(Param(name), r)
	return r
}

// at is the memory at base + disp.
func at(base reg.Register, disp int) operand.Mem {
	return operand.Mem{Base: base, Disp: disp}
}

// align starts a loop at a multiple of 32 bytes.
func align() {
	Instruction(&ir.Instruction{Opcode: "PCALIGN", Operands: []operand.Op{operand.U8(32)}})
}

// countDown emits a loop that runs body while at least step are left in n.
func countDown(label string, n reg.Register, step int, body func()) {
	CMPQ(n, operand.I32(step))
	JL(operand.LabelRef(label + "_done"))
	align()
	Label(label)
	body()
	SUBQ(operand.I32(step), n)
	CMPQ(n, operand.I32(step))
	JGE(operand.LabelRef(label))
	Label(label + "_done")
}

// features writes the two instructions that tell what the processor can do.
func features() {
	text("cpuid", "func(leaf uint32, subleaf uint32) (eax uint32, ebx uint32, ecx uint32, edx uint32)", "asks the processor for its features.")
	Load(Param("leaf"), reg.EAX)
	Load(Param("subleaf"), reg.ECX)
	CPUID()
	for i, r := range []reg.Register{reg.EAX, reg.EBX, reg.ECX, reg.EDX} {
		Store(r, ReturnIndex(i))
	}
	RET()

	text("xgetbv", "func() uint32", "tells which registers the operating system keeps.")
	XORL(reg.ECX, reg.ECX)
	XGETBV()
	Store(reg.EAX, ReturnIndex(0))
	RET()
}
