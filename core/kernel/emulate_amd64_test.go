//go:build amd64 && !noasm

package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// emulator runs functions of kernel_amd64.s instruction by instruction, so
// that the AVX-512 kernels are tested on machines that lack the registers. It
// knows the instructions that those kernels use and no others, and reads and
// writes this process's memory. Binary operators have their Go order: sources
// first, destination last.
type emulator struct {
	functions map[string]*program
	constants []byte

	frame   []byte
	general map[string]uint64
	vectors [32][64]byte
	masks   [8]uint64
	// The last comparison, signed and unsigned.
	less, equal, above bool
}

type program struct {
	lines  []instruction
	labels map[string]int
}

type instruction struct {
	op       string
	operands []string
}

func newEmulator(t *testing.T) *emulator {
	t.Helper()
	source, err := os.ReadFile("kernel_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	e := &emulator{functions: map[string]*program{}, general: map[string]uint64{}}
	var p *program
	for line := range strings.Lines(string(source)) {
		line, _, _ = strings.Cut(line, "//")
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "DATA"):
			var at int
			var value uint32
			if _, err := fmt.Sscanf(line, "DATA constants<>+%d(SB)/4, $0x%x", &at, &value); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			e.constants = append(e.constants, make([]byte, max(0, at+4-len(e.constants)))...)
			binary.LittleEndian.PutUint32(e.constants[at:], value)
		case strings.HasPrefix(line, "TEXT"):
			name := strings.TrimPrefix(line[:strings.Index(line, "(SB)")], "TEXT ·")
			p = &program{labels: map[string]int{}}
			e.functions[name] = p
		case line == "" || p == nil || line[0] == '#' || strings.HasPrefix(line, "GLOBL"):
		case strings.HasSuffix(line, ":"):
			p.labels[strings.TrimSuffix(line, ":")] = len(p.lines)
		default:
			op, rest, _ := strings.Cut(line, " ")
			var operands []string
			if rest = strings.TrimSpace(rest); rest != "" {
				operands = strings.Split(rest, ", ")
				for i, o := range operands {
					operands[i] = strings.TrimSpace(o)
				}
			}
			p.lines = append(p.lines, instruction{op, operands})
		}
	}
	return e
}

// call runs a function with arguments of eight bytes (pointers and ints) and a
// trailing float32 if there is one, and returns the byte after them.
func (e *emulator) call(name string, arguments ...any) byte {
	p := e.functions[name]
	if p == nil {
		panic("no function " + name)
	}
	// The frame holds addresses that the garbage collector does not see.
	defer runtime.KeepAlive(arguments)
	e.frame = nil
	for _, a := range arguments {
		switch v := a.(type) {
		case int:
			e.frame = binary.LittleEndian.AppendUint64(e.frame, uint64(v))
		case *float32:
			e.frame = binary.LittleEndian.AppendUint64(e.frame, uint64(uintptr(unsafe.Pointer(v))))
		case *int32:
			e.frame = binary.LittleEndian.AppendUint64(e.frame, uint64(uintptr(unsafe.Pointer(v))))
		case *byte:
			e.frame = binary.LittleEndian.AppendUint64(e.frame, uint64(uintptr(unsafe.Pointer(v))))
		case float32:
			e.frame = binary.LittleEndian.AppendUint32(e.frame, math.Float32bits(v))
		default:
			panic(fmt.Sprintf("argument %T", a))
		}
	}
	result := len(e.frame)
	e.frame = append(e.frame, make([]byte, 8)...)
	for i := 0; i < len(p.lines); i++ {
		in := p.lines[i]
		switch in.op {
		case "RET":
			return e.frame[result]
		case "JL", "JGE", "JNE", "JHI":
			taken := map[string]bool{"JL": e.less, "JGE": !e.less, "JNE": !e.equal, "JHI": e.above}[in.op]
			if taken {
				at, ok := p.labels[in.operands[0]]
				if !ok {
					panic("no label " + in.operands[0])
				}
				i = at - 1
			}
		default:
			e.execute(in.op, in.operands)
		}
	}
	panic(name + " does not return")
}

// address gives the n bytes of a memory operand.
func (e *emulator) address(o string, n int) []byte {
	if rest, found := strings.CutPrefix(o, "constants<>+"); found {
		at, err := strconv.Atoi(strings.TrimSuffix(rest, "(SB)"))
		if err != nil {
			panic(o)
		}
		return e.constants[at : at+n]
	}
	if name, found := strings.CutSuffix(o, "(FP)"); found {
		_, offset, _ := strings.Cut(name, "+")
		at, err := strconv.Atoi(offset)
		if err != nil {
			panic(o)
		}
		return e.frame[at : at+n]
	}
	at := e.effective(o)
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&at))), n)
}

// effective computes displacement(base)(index*scale).
func (e *emulator) effective(o string) uint64 {
	open := strings.IndexByte(o, '(')
	displacement := o[:open]
	parts := strings.Split(strings.TrimSuffix(o[open+1:], ")"), ")(")
	var sum uint64
	if displacement != "" {
		d, err := strconv.Atoi(displacement)
		if err != nil {
			panic(o)
		}
		sum = uint64(d)
	}
	sum += e.general[parts[0]]
	if len(parts) > 1 {
		index, scale, _ := strings.Cut(parts[1], "*")
		s, err := strconv.Atoi(scale)
		if err != nil {
			panic(o)
		}
		sum += e.general[index] * uint64(s)
	}
	return sum
}

func isVector(o string) bool {
	return len(o) > 1 && strings.ContainsRune("XYZ", rune(o[0])) && o[1] <= '9'
}

func width(o string) int { return map[byte]int{'X': 16, 'Y': 32, 'Z': 64}[o[0]] }

func number(o string) int {
	n, err := strconv.Atoi(o[1:])
	if err != nil {
		panic(o)
	}
	return n
}

// bytes gives the n bytes of a vector register or of memory.
func (e *emulator) bytes(o string, n int) []byte {
	if isVector(o) {
		return e.vectors[number(o)][:n]
	}
	return e.address(o, n)
}

func (e *emulator) immediate(o string) uint64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimPrefix(o, "$"), "+"), 0, 64)
	if err != nil {
		panic(o)
	}
	return uint64(n)
}

// integer is a general register, an immediate or memory of n bytes.
func (e *emulator) integer(o string, n int) uint64 {
	switch {
	case o[0] == '$':
		return e.immediate(o)
	case strings.Contains(o, "("):
		var wide [8]byte
		copy(wide[:], e.address(o, n))
		return binary.LittleEndian.Uint64(wide[:])
	}
	return e.general[o]
}

func (e *emulator) setInteger(o string, n int, v uint64) {
	if strings.Contains(o, "(") {
		var wide [8]byte
		binary.LittleEndian.PutUint64(wide[:], v)
		copy(e.address(o, n), wide[:n])
		return
	}
	e.general[o] = v
}

// set writes a vector register and clears what lies above.
func (e *emulator) set(o string, v []byte) {
	if !isVector(o) {
		copy(e.address(o, len(v)), v)
		return
	}
	r := &e.vectors[number(o)]
	n := copy(r[:], v)
	clear(r[n:])
}

// lanes computes a float32 or 32-bit result lane by lane.
func (e *emulator) lanes(o []string, f func(lane int, in []uint32) uint32) {
	destination := o[len(o)-1]
	n := width(destination)
	out := make([]byte, n)
	in := make([]uint32, len(o))
	for lane := range n / 4 {
		for i, source := range o {
			in[i] = binary.LittleEndian.Uint32(e.bytes(source, n)[4*lane:])
		}
		binary.LittleEndian.PutUint32(out[4*lane:], f(lane, in))
	}
	e.set(destination, out)
}

func (e *emulator) floats(o []string, f func(in []float32) float32) {
	values := make([]float32, len(o))
	e.lanes(o, func(_ int, in []uint32) uint32 {
		for i, v := range in {
			values[i] = math.Float32frombits(v)
		}
		return math.Float32bits(f(values))
	})
}

// fused is a·b + c rounded once: in float64 rounded to odd, then to float32.
func fused(a, b, c float32) float32 {
	p, q := float64(a)*float64(b), float64(c)
	s := p + q
	t := s - p
	rest := (p - (s - t)) + (q - t)
	if rest != 0 && math.Float64bits(s)&1 == 0 && !math.IsInf(s, 0) {
		if (rest > 0) == (s > 0) {
			s = math.Float64frombits(math.Float64bits(s) + 1)
		} else {
			s = math.Float64frombits(math.Float64bits(s) - 1)
		}
	}
	return float32(s)
}

func (e *emulator) execute(op string, o []string) {
	switch op {
	case "PCALIGN", "PREFETCHT0", "VZEROUPPER":
	case "MOVQ":
		e.setInteger(o[1], 8, e.integer(o[0], 8))
	case "MOVB":
		e.setInteger(o[1], 1, e.integer(o[0], 1))
	case "LEAQ":
		e.general[o[1]] = e.effective(o[0])
	case "ADDQ":
		e.general[o[1]] += e.integer(o[0], 8)
	case "SUBQ":
		e.general[o[1]] -= e.integer(o[0], 8)
	case "SHLQ":
		e.general[o[1]] <<= e.immediate(o[0])
	case "CMPQ", "CMPL":
		x, y := e.integer(o[0], 8), e.integer(o[1], 8)
		e.less, e.equal, e.above = int64(x) < int64(y), x == y, x > y
	case "VUCOMISS":
		y := math.Float32frombits(binary.LittleEndian.Uint32(e.bytes(o[0], 4)))
		x := math.Float32frombits(binary.LittleEndian.Uint32(e.bytes(o[1], 4)))
		e.less, e.equal, e.above = x < y, x == y || x != x, x > y
	case "VMOVUPS", "VMOVAPS", "VMOVDQU32", "VMOVDQA32":
		register := o[0]
		if !isVector(register) {
			register = o[1]
		}
		e.set(o[1], append([]byte(nil), e.bytes(o[0], width(register))...))
	case "VMOVSS":
		if isVector(o[1]) {
			e.set(o[1], append([]byte(nil), e.bytes(o[0], 4)...))
		} else {
			copy(e.address(o[1], 4), e.bytes(o[0], 4))
		}
	case "VBROADCASTSS", "VPBROADCASTD":
		v := binary.LittleEndian.Uint32(e.bytes(o[0], 4))
		e.lanes(o[1:], func(int, []uint32) uint32 { return v })
	case "VXORPS", "VPXOR", "VPXORD":
		e.lanes(o, func(_ int, in []uint32) uint32 { return in[0] ^ in[1] })
	case "VPAND", "VPANDD":
		e.lanes(o, func(_ int, in []uint32) uint32 { return in[0] & in[1] })
	case "VPADDD":
		e.lanes(o, func(_ int, in []uint32) uint32 { return in[1] + in[0] })
	case "VPSUBD":
		e.lanes(o, func(_ int, in []uint32) uint32 { return in[1] - in[0] })
	case "VPSLLD":
		count := e.immediate(o[0])
		e.lanes(o[1:], func(_ int, in []uint32) uint32 { return in[0] << count })
	case "VADDPS":
		e.floats(o, func(in []float32) float32 { return in[1] + in[0] })
	case "VSUBPS":
		e.floats(o, func(in []float32) float32 { return in[1] - in[0] })
	case "VMULPS":
		e.floats(o, func(in []float32) float32 { return in[1] * in[0] })
	case "VDIVPS":
		e.floats(o, func(in []float32) float32 { return in[1] / in[0] })
	case "VMINPS": // the first source where one is no number
		e.floats(o, func(in []float32) float32 {
			if in[1] < in[0] {
				return in[1]
			}
			return in[0]
		})
	case "VMAXPS":
		e.floats(o, func(in []float32) float32 {
			if in[1] > in[0] {
				return in[1]
			}
			return in[0]
		})
	case "VFMADD231PS":
		e.floats(o, func(in []float32) float32 { return fused(in[1], in[0], in[2]) })
	case "VFMSUB231PS":
		e.floats(o, func(in []float32) float32 { return fused(in[1], in[0], -in[2]) })
	case "VFNMADD231PS":
		e.floats(o, func(in []float32) float32 { return fused(-in[1], in[0], in[2]) })
	case "VFMADD213PS":
		e.floats(o, func(in []float32) float32 { return fused(in[1], in[2], in[0]) })
	case "VCVTDQ2PS":
		e.lanes(o, func(_ int, in []uint32) uint32 { return math.Float32bits(float32(int32(in[0]))) })
	case "VPDPBUSD":
		e.lanes(o, func(_ int, in []uint32) uint32 {
			sum := int32(in[2])
			for i := range 4 {
				sum += int32(int8(in[0]>>(8*i))) * int32(uint8(in[1]>>(8*i)))
			}
			return uint32(sum)
		})
	case "VPDPWSSD":
		e.lanes(o, func(_ int, in []uint32) uint32 {
			sum := int32(in[2])
			for i := range 2 {
				sum += int32(int16(in[0]>>(16*i))) * int32(int16(in[1]>>(16*i)))
			}
			return uint32(sum)
		})
	case "VCMPPS":
		if e.immediate(o[0]) != 0x12 {
			panic("VCMPPS " + o[0])
		}
		n := width(o[2])
		var mask uint64
		for lane := range n / 4 {
			y := math.Float32frombits(binary.LittleEndian.Uint32(e.bytes(o[1], n)[4*lane:]))
			x := math.Float32frombits(binary.LittleEndian.Uint32(e.bytes(o[2], n)[4*lane:]))
			if x <= y {
				mask |= 1 << lane
			}
		}
		e.masks[number(o[3])] = mask
	case "KMOVW":
		e.general[o[1]] = e.masks[number(o[0])]
	default:
		panic("unknown instruction " + op)
	}
}
