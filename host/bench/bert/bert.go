// Package bert writes the model that the benchmarks compare with: BERT-base's
// encoder as an ONNX graph of the plain operators that exporters write, with
// random weights. Only its shape matters.
package bert

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"m2embed/host/internal/atomicfile"
)

// The encoder's shape.
const (
	Layers, Hidden, Inner, heads = 12, 768, 3072, 12
	Vocabulary, Positions        = 30522, 2048
)

// message is a protobuf message under construction (ONNX's onnx.proto).
type message []byte

func (m message) varint(field int, v uint64) message {
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3), v)
}

func (m message) bytes(field int, b []byte) message {
	m = binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3|2), uint64(len(b)))
	return append(m, b...)
}

func (m message) text(field int, s string) message { return m.bytes(field, []byte(s)) }

// Tensor types of onnx.proto.
const (
	onnxFloat = 1
	onnxInt8  = 3
	onnxInt64 = 7
)

// graph collects the nodes and initializers of an ONNX graph.
type graph struct {
	nodes        []message
	initializers []tensorData
	names        int
	seed         uint64
	quantized    bool
}

// tensorData is an initializer whose values are written when it is streamed.
type tensorData struct {
	header message
	raw    func(w io.Writer) error
	size   int
}

func (g *graph) fresh(hint string) string {
	g.names++
	return fmt.Sprintf("%s_%d", hint, g.names)
}

type attribute struct {
	name  string
	value any // int, float32 or []int
}

func (g *graph) node(op string, inputs []string, attributes ...attribute) string {
	return g.nodeN(op, 1, inputs, attributes...)[0]
}

func (g *graph) nodeN(op string, outputs int, inputs []string, attributes ...attribute) []string {
	var n message
	for _, in := range inputs {
		n = n.text(1, in)
	}
	var names []string
	for range outputs {
		names = append(names, g.fresh(op))
		n = n.text(2, names[len(names)-1])
	}
	n = n.text(3, g.fresh("node")).text(4, op)
	for _, a := range attributes {
		var m message
		m = m.text(1, a.name)
		switch v := a.value.(type) {
		case int:
			m = m.varint(3, uint64(v)).varint(20, 2)
		case float32:
			m = binary.LittleEndian.AppendUint32(binary.AppendUvarint(m, 2<<3|5), math.Float32bits(v))
			m = m.varint(20, 1)
		case []int:
			for _, x := range v {
				m = m.varint(8, uint64(x))
			}
			m = m.varint(20, 7)
		}
		n = n.bytes(5, m)
	}
	g.nodes = append(g.nodes, n)
	return names
}

func (g *graph) tensor(kind int, dims []int, size int, raw func(w io.Writer) error) string {
	name := g.fresh("w")
	var m message
	for _, d := range dims {
		m = m.varint(1, uint64(d))
	}
	g.initializers = append(g.initializers, tensorData{m.varint(2, uint64(kind)).text(8, name), raw, size})
	return name
}

// random is a tensor of small random values.
func (g *graph) random(scale float32, dims ...int) string {
	n := 1
	for _, d := range dims {
		n *= d
	}
	g.seed++
	state := g.seed*0x9e3779b97f4a7c15 | 1
	next := func() uint64 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state
	}
	if scale == 0 { // 8-bit weights
		return g.tensor(onnxInt8, dims, n, func(w io.Writer) error {
			buffer := make([]byte, n)
			for i := range buffer {
				buffer[i] = byte(int8(int(next()>>33)%255 - 127))
			}
			_, err := w.Write(buffer)
			return err
		})
	}
	return g.tensor(onnxFloat, dims, 4*n, func(w io.Writer) error {
		buffer := make([]byte, 0, 4*n)
		for range n {
			v := (float32(next()>>40)/(1<<23) - 1) * scale
			buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
		}
		_, err := w.Write(buffer)
		return err
	})
}

func (g *graph) scalar(v float32) string { return g.floats(nil, v) }

func (g *graph) floats(dims []int, values ...float32) string {
	return g.tensor(onnxFloat, dims, 4*len(values), func(w io.Writer) error {
		return binary.Write(w, binary.LittleEndian, values)
	})
}

func (g *graph) integers(values ...int64) string {
	return g.tensor(onnxInt64, []int{len(values)}, 8*len(values), func(w io.Writer) error {
		return binary.Write(w, binary.LittleEndian, values)
	})
}

func (g *graph) ones(n int) string {
	values := make([]float32, n)
	for i := range values {
		values[i] = 1
	}
	return g.floats([]int{n}, values...)
}

// operand is an activation, quantised at most once.
type operand struct {
	name      string
	quantized []string // 8-bit values, scale, zero point
}

// linear is x W + b. The dynamic 8-bit form is what onnxruntime's own
// quantiser writes: DynamicQuantizeLinear, MatMulInteger, Cast, Mul.
func (g *graph) linear(x *operand, inputs, outputs int) string {
	bias := g.random(0.01, outputs)
	if !g.quantized {
		return g.node("Add", []string{g.node("MatMul", []string{x.name, g.random(0.03, inputs, outputs)}), bias})
	}
	if x.quantized == nil {
		x.quantized = g.nodeN("DynamicQuantizeLinear", 3, []string{x.name})
	}
	sums := g.node("MatMulInteger", []string{x.quantized[0], g.random(0, inputs, outputs), x.quantized[2]})
	scale := g.node("Mul", []string{x.quantized[1], g.scalar(0.03 / 127)})
	return g.node("Add", []string{g.node("Mul", []string{g.node("Cast", []string{sums}, attribute{"to", onnxFloat}), scale}), bias})
}

func (g *graph) layerNorm(x string) string {
	return g.node("LayerNormalization", []string{x, g.ones(Hidden), g.random(0.01, Hidden)},
		attribute{"axis", -1}, attribute{"epsilon", float32(1e-12)})
}

// layer is one encoder block, post-norm.
func (g *graph) layer(x string) string {
	const width = Hidden / heads
	in := &operand{name: x}
	split := func(order []int) string {
		parts := g.node("Reshape", []string{g.linear(in, Hidden, Hidden), g.integers(0, 0, heads, width)})
		return g.node("Transpose", []string{parts}, attribute{"perm", order})
	}
	q, k, v := split([]int{0, 2, 1, 3}), split([]int{0, 2, 3, 1}), split([]int{0, 2, 1, 3})
	scores := g.node("Div", []string{g.node("MatMul", []string{q, k}), g.scalar(8)})
	mixed := g.node("MatMul", []string{g.node("Softmax", []string{scores}, attribute{"axis", -1}), v})
	joined := g.node("Reshape", []string{g.node("Transpose", []string{mixed}, attribute{"perm", []int{0, 2, 1, 3}}), g.integers(0, 0, Hidden)})
	x = g.layerNorm(g.node("Add", []string{g.linear(&operand{name: joined}, Hidden, Hidden), x}))
	wide := g.linear(&operand{name: x}, Hidden, Inner)
	erf := g.node("Erf", []string{g.node("Div", []string{wide, g.scalar(math.Sqrt2)})})
	gelu := g.node("Mul", []string{g.node("Mul", []string{wide, g.node("Add", []string{erf, g.scalar(1)})}), g.scalar(0.5)})
	return g.layerNorm(g.node("Add", []string{g.linear(&operand{name: gelu}, Inner, Hidden), x}))
}

// Write writes the encoder, with 8-bit weights if they are to be quantized:
// input_ids (B, L) and position_ids (1, L) to hidden (B, L, 768).
func Write(path string, quantized bool) error {
	g := &graph{quantized: quantized}
	words := g.node("Gather", []string{g.random(0.03, Vocabulary, Hidden), "input_ids"})
	positions := g.node("Gather", []string{g.random(0.03, Positions, Hidden), "position_ids"})
	x := g.layerNorm(g.node("Add", []string{words, positions}))
	for range Layers {
		x = g.layer(x)
	}
	value := func(name string, kind int, dims ...message) message {
		var shape message
		for _, d := range dims {
			shape = shape.bytes(1, d)
		}
		tensor := message(nil).varint(1, uint64(kind)).bytes(2, shape)
		return message(nil).text(1, name).bytes(2, message(nil).bytes(1, tensor))
	}
	texts, one, length, hidden := message(nil).text(2, "B"), message(nil).varint(1, 1), message(nil).text(2, "L"), message(nil).varint(1, Hidden)
	var head message // GraphProto, without the initializers
	for _, n := range g.nodes {
		head = head.bytes(1, n)
	}
	head = head.text(2, "bert")
	var tail message
	tail = tail.bytes(11, value("input_ids", onnxInt64, texts, length))
	tail = tail.bytes(11, value("position_ids", onnxInt64, one, length))
	tail = tail.bytes(12, value(x, onnxFloat, texts, length, hidden))

	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	size := len(head) + len(tail)
	prefixes := make([]message, len(g.initializers))
	for i, t := range g.initializers {
		// TensorProto: header, then raw_data (field 9).
		inner := binary.AppendUvarint(binary.AppendUvarint(t.header, 9<<3|2), uint64(t.size))
		prefixes[i] = append(binary.AppendUvarint(binary.AppendUvarint(nil, 5<<3|2), uint64(len(inner)+t.size)), inner...)
		size += len(prefixes[i]) + t.size
	}
	var top message
	top = top.varint(1, 8).bytes(8, message(nil).text(1, "").varint(2, 17)) // ir_version, opset
	top = binary.AppendUvarint(binary.AppendUvarint(top, 7<<3|2), uint64(size))
	w := bufio.NewWriterSize(f, 1<<20)
	w.Write(top)
	w.Write(head)
	for i, t := range g.initializers {
		w.Write(prefixes[i])
		if err := t.raw(w); err != nil {
			return err
		}
	}
	w.Write(tail)
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Publish()
}
