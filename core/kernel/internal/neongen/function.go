package main

import (
	"fmt"
	"strings"
)

// vector is a NEON register, general an integer one.
type (
	vector  int
	general int
)

func (v vector) String() string  { return fmt.Sprintf("F%d", int(v)) }
func (g general) String() string { return fmt.Sprintf("R%d", int(g)) }

// generalRegisters leaves out those with a meaning of their own: R18 (the
// platform's), R26 to R30 (the linker's, the assembler's, g, the frame, the link).
var generalRegisters = []general{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25}

// function is one assembler function. Registers are taken in order; scope gives
// back those that were taken inside it.
type function struct {
	name, signature, doc string
	parameters           map[string]parameter
	frame                int
	body                 strings.Builder
	vectors, generals    int // taken
	labels               int
	table                general // where the constants are; see constantTable
}

type parameter struct {
	offset int
	kind   string
}

// text starts a function with a Go signature, whose results, if any, are named.
func (g *generator) text(name, signature, doc string) *function {
	f := &function{name: name, signature: signature, doc: doc, parameters: map[string]parameter{}}
	arguments, results, _ := strings.Cut(strings.TrimPrefix(signature, "func("), ") ")
	for i, list := range []string{strings.TrimSuffix(arguments, ")"), strings.Trim(results, "()")} {
		if i == 1 && list != "" {
			f.frame = (f.frame + 7) &^ 7
		}
		for _, p := range strings.Split(list, ", ") {
			if p == "" {
				continue
			}
			name, kind, _ := strings.Cut(p, " ")
			size := 8
			switch kind {
			case "float32", "int32":
				size = 4
			case "bool":
				size = 1
			}
			f.frame = (f.frame + size - 1) &^ (size - 1)
			f.parameters[name] = parameter{f.frame, kind}
			f.frame += size
		}
	}
	g.functions = append(g.functions, f)
	return f
}

// op emits an instruction; operands are printed as they are.
func (f *function) op(name string, operands ...any) {
	texts := make([]string, len(operands))
	for i, o := range operands {
		texts[i] = fmt.Sprint(o)
	}
	fmt.Fprintf(&f.body, "\t%s\n", strings.TrimSpace(name+" "+strings.Join(texts, ", ")))
}

// same emits a vector instruction whose operands all have one arrangement, such
// as "S4". As everywhere in Go's assembler the result comes last.
func (f *function) same(name, arrangement string, registers ...vector) {
	operands := make([]any, len(registers))
	for i, r := range registers {
		operands[i] = arranged(r, arrangement)
	}
	f.op(name, operands...)
}

func (f *function) s4(name string, registers ...vector) { f.same(name, "S4", registers...) }
func (f *function) d2(name string, registers ...vector) { f.same(name, "D2", registers...) }

func arranged(r vector, arrangement string) string {
	return fmt.Sprintf("V%d.%s", int(r), arrangement)
}

// copy moves a whole register.
func (f *function) copy(from, to vector) { f.same("VMOV", "B16", from, to) }

func (f *function) zero(v vector) { f.same("VEOR", "B16", v, v, v) }

// vec takes a vector register.
func (f *function) vec() vector {
	if f.vectors == 32 {
		panic(f.name + ": no vector register is left")
	}
	f.vectors++
	return vector(f.vectors - 1)
}

func (f *function) vecs(n int) []vector {
	v := make([]vector, n)
	for i := range v {
		v[i] = f.vec()
	}
	return v
}

// gen takes an integer register.
func (f *function) gen() general {
	if f.generals == len(generalRegisters) {
		panic(f.name + ": no integer register is left")
	}
	f.generals++
	return generalRegisters[f.generals-1]
}

// scope runs body and gives back the registers that it took.
func (f *function) scope(body func()) {
	vectors, generals := f.vectors, f.generals
	body()
	f.vectors, f.generals = vectors, generals
}

// param is the memory of a parameter or result.
func (f *function) param(name string) string {
	p, ok := f.parameters[name]
	if !ok {
		panic(f.name + " has no " + name)
	}
	return fmt.Sprintf("%s+%d(FP)", name, p.offset)
}

// load takes a register with a pointer or an integer that was passed.
func (f *function) load(name string) general {
	r := f.gen()
	f.op("MOVD", f.param(name), r)
	return r
}

func (f *function) loads(names ...string) []general {
	var r []general
	for _, name := range names {
		r = append(r, f.load(name))
	}
	return r
}

// number is an immediate operand.
func number(n int) string { return fmt.Sprintf("$%d", n) }

// at is the memory at base + disp.
func at(base general, disp int) string {
	if disp == 0 {
		return fmt.Sprintf("(%v)", base)
	}
	return fmt.Sprintf("%d(%v)", disp, base)
}

func (f *function) label(name string) { fmt.Fprintf(&f.body, "\n%s:\n", name) }

// countDown emits a loop that runs body while at least step are left in n.
func (f *function) countDown(n general, step int, body func()) {
	f.labels++
	start, done := fmt.Sprintf("loop%d", f.labels), fmt.Sprintf("done%d", f.labels)
	f.op("CMP", number(step), n)
	f.op("BLT", done)
	f.op("PCALIGN", "$16")
	f.label(start)
	f.scope(body)
	f.op("SUB", number(step), n)
	f.op("CMP", number(step), n)
	f.op("BGE", start)
	f.label(done)
}

// width is how many float32 values an access takes: 4 or 1. Instructions
// run over the whole register either way: a value's bits don't depend on
// its place.
type width int

func (w width) name() string {
	if w == 1 {
		return "FMOVS"
	}
	return "FMOVQ"
}

// loadVector takes a register with w values from memory.
func (f *function) loadVector(w width, base general, disp int) vector {
	v := f.vec()
	f.op(w.name(), at(base, disp), v)
	return v
}

func (f *function) store(w width, v vector, base general, disp int) {
	f.op(w.name(), v, at(base, disp))
}

// advance adds bytes to registers.
func (f *function) advance(bytes int, registers ...general) {
	for _, r := range registers {
		f.op("ADD", number(bytes), r)
	}
}

// eachValue emits loops over n values: fours, then one at a time. The
// pointers step by the bytes that body took.
func (f *function) eachValue(n general, pointers []general, body func(w width)) {
	for _, w := range []width{4, 1} {
		f.countDown(n, int(w), func() {
			body(w)
			f.advance(4*int(w), pointers...)
		})
	}
}
