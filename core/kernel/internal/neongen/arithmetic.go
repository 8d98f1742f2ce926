package main

import "fmt"

// Operations of four float32 values; each takes the register of its result.

func (f *function) add(a, b vector) vector {
	d := f.vec()
	f.s4("VFADD", b, a, d)
	return d
}

// subtract is a - b.
func (f *function) subtract(a, b vector) vector {
	d := f.vec()
	f.s4("VFSUB", b, a, d)
	return d
}

func (f *function) multiply(a, b vector) vector {
	d := f.vec()
	f.s4("VFMUL", b, a, d)
	return d
}

func (f *function) negated(a vector) vector {
	d := f.vec()
	f.s4("VFNEG", a, d)
	return d
}

// productError is a·b - p without an intermediate rounding.
func (f *function) productError(a, b, p vector) vector {
	d := f.negated(p)
	f.s4("VFMLA", a, b, d)
	return d
}

// polynomial evaluates names[0] + x(names[1] + …).
func (f *function) polynomial(x vector, names ...string) vector {
	last := len(names) - 1
	p := f.constant(names[last])
	for i := last - 1; i >= 0; i-- {
		next := f.constant(names[i])
		f.s4("VFMLA", p, x, next)
		p = next
	}
	return p
}

// split returns the float32 nearest to x and the float32 nearest to the rest.
func split(x float64) (high, low float32) {
	high = float32(x)
	return high, float32(x - float64(high))
}

// constantTable takes a register with the address of the constants.
func (f *function) constantTable() {
	f.table = f.gen()
	f.op("MOVD", "$constants<>(SB)", f.table)
}

// constant takes a register with a constant in all lanes.
func (f *function) constant(name string) vector {
	i, ok := constantPlaces[name]
	if !ok {
		panic("no constant " + name)
	}
	return f.loadVector(4, f.table, 16*i)
}

// broadcast takes a register with a float64 parameter in both lanes.
func (f *function) broadcast(name string) vector {
	v := f.vec()
	f.op("FMOVD", f.param(name), v)
	f.op("VDUP", fmt.Sprintf("V%d.D[0]", v), arranged(v, "D2"))
	return v
}
