package plan

import "strconv"

// JSON writes the plan for an executor in another language. Kernel sources are
// not part of it: source looks them up by name and may be nil, else they are
// included as "sources". Params are a list of 32-bit words.
func (p *Plan) JSON(source func(kernel string) string) []byte {
	w := writer{}
	w.object(func() {
		w.number("texts", p.Texts)
		w.number("length", p.Length)
		w.number("ids", p.IDs)
		w.number("mask", p.Mask)
		w.number("output", p.Output)
		w.number("sharedLimit", p.SharedLimit)
		w.list("kernels", len(p.Kernels), func(i int) { w.text(p.Kernels[i]) })
		if source != nil {
			w.list("sources", len(p.Kernels), func(i int) { w.text(source(p.Kernels[i])) })
		}
		w.list("pipelines", len(p.Pipelines), func(i int) { w.pipeline(p.Pipelines[i]) })
		w.list("buffers", len(p.Buffers), func(i int) { w.buffer(p.Buffers[i]) })
		w.list("params", len(p.Params)/4, func(i int) {
			b := p.Params[4*i:]
			w.integer(int(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24))
		})
		w.list("setup", len(p.Setup), func(i int) {
			w.object(func() {
				w.name("key")
				w.text(p.Setup[i].Key)
				w.dispatches(p.Setup[i].Dispatches)
			})
		})
		w.dispatches(p.Dispatches)
	})
	return w.out
}

// writer appends JSON to out.
type writer struct{ out []byte }

func (w *writer) separate() {
	if n := len(w.out); n > 0 && w.out[n-1] != '{' && w.out[n-1] != '[' && w.out[n-1] != ':' {
		w.out = append(w.out, ',')
	}
}

func (w *writer) object(members func()) {
	w.separate()
	w.out = append(w.out, '{')
	members()
	w.out = append(w.out, '}')
}

func (w *writer) name(name string) {
	w.text(name)
	w.out = append(w.out, ':')
}

func (w *writer) list(name string, n int, element func(i int)) {
	w.name(name)
	w.out = append(w.out, '[')
	for i := range n {
		element(i)
	}
	w.out = append(w.out, ']')
}

func (w *writer) number(name string, n int) {
	w.name(name)
	w.integer(n)
}

func (w *writer) integer(n int) {
	w.separate()
	w.out = strconv.AppendInt(w.out, int64(n), 10)
}

func (w *writer) float(f float64) {
	w.separate()
	w.out = strconv.AppendFloat(w.out, f, 'g', -1, 64)
}

// text writes a string; control characters, quotes and backslashes are escaped.
func (w *writer) text(s string) {
	const hex = "0123456789abcdef"
	w.separate()
	w.out = append(w.out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			w.out = append(w.out, '\\', c)
		case c == '\n':
			w.out = append(w.out, '\\', 'n')
		case c < 0x20:
			w.out = append(w.out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			w.out = append(w.out, c)
		}
	}
	w.out = append(w.out, '"')
}

func (w *writer) pipeline(p Pipeline) {
	w.object(func() {
		w.name("kernel")
		w.text(p.Kernel)
		w.name("entry")
		w.text(p.Entry)
		w.name("constants")
		w.object(func() {
			for _, c := range p.Constants {
				w.name(c.Name)
				w.float(c.Value)
			}
		})
	})
}

func (w *writer) buffer(b Buffer) {
	w.object(func() {
		w.name("kind")
		w.text(b.Kind.String())
		w.number("size", b.Size)
		if b.Key != "" {
			w.name("key")
			w.text(b.Key)
		}
	})
}

// dispatches writes each dispatch's bindings as triples slot, buffer, size.
func (w *writer) dispatches(ds []Dispatch) {
	w.list("dispatches", len(ds), func(i int) {
		d := ds[i]
		w.object(func() {
			w.number("pipeline", d.Pipeline)
			w.number("params", d.Params)
			w.list("bindings", 3*len(d.Bindings), func(j int) {
				b := d.Bindings[j/3]
				w.integer([...]int{b.Slot, b.Buffer, b.Size}[j%3])
			})
			w.list("groups", 3, func(j int) { w.integer(d.Groups[j]) })
			w.name("work")
			w.float(d.Work)
			w.name("label")
			w.text(d.Label)
		})
	})
}
