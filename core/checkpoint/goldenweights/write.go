package goldenweights

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"m2embed/core/checkpoint"
)

// keptName returns the name under which a tensor's data is stored: the six
// sine frequencies of a filter share one.
func keptName(name string) string {
	if filter, _, ok := strings.Cut(name, ".implicit_filter"); ok && strings.HasSuffix(name, ".freq") {
		return filter + ".implicit_filter.1.freq"
	}
	return name
}

// WriteSafetensors writes the weights with the prefix "bert.", shared tensors
// once, the dropped names in the metadata.
func (w *Weights) WriteSafetensors(out io.Writer) error {
	metadata := map[string]string{"format": "pt"}
	var outputs []checkpoint.Output
	for _, name := range w.names {
		if kept := keptName(name); kept != name {
			metadata["bert."+name] = "bert." + kept
			continue
		}
		outputs = append(outputs, checkpoint.Output{
			Name: "bert." + name, DType: w.dtype(name), Shape: w.shapes[name],
			Write: func(out io.Writer) error {
				t, err := w.Tensor(name)
				if err == nil {
					_, err = out.Write(t.Data)
				}
				return err
			},
		})
	}
	return checkpoint.WriteSafetensors(out, metadata, outputs)
}

func (w *Weights) dtype(name string) checkpoint.DType {
	if strings.HasSuffix(name, "position_ids") {
		return checkpoint.I64
	}
	return checkpoint.F32
}

// WriteTorch writes the weights as torch.save would: a zip file of stored,
// aligned entries with a pickle of an ordered dictionary, prefix "bert.",
// shared tensors once.
func (w *Weights) WriteTorch(out io.Writer) error {
	counter := &countingWriter{w: out}
	archive := zip.NewWriter(counter)
	entry := func(name string, data []byte) error {
		const top = "pytorch_model/"
		if err := archive.Flush(); err != nil {
			return err
		}
		header := &zip.FileHeader{Name: top + name, Method: zip.Store}
		if pad := 64 - (counter.n+int64(30+len(header.Name)+4))%64; true {
			// An extra field of the kind that torch.save pads with, so that
			// the data starts at a multiple of 64.
			header.Extra = append([]byte{'F', 'B', byte(pad), 0}, make([]byte, pad)...)
		}
		f, err := archive.CreateHeader(header)
		if err == nil {
			_, err = f.Write(data)
		}
		return err
	}
	storages := map[string]int{}
	var kept []string
	for _, name := range w.names {
		if keptName(name) == name {
			storages[name] = len(kept)
			kept = append(kept, name)
		}
	}
	if err := entry("data.pkl", w.pickle(storages)); err != nil {
		return err
	}
	if err := entry("byteorder", []byte("little")); err != nil {
		return err
	}
	for i, name := range kept {
		t, err := w.Tensor(name)
		if err == nil {
			err = entry(fmt.Sprintf("data/%d", i), t.Data)
		}
		if err != nil {
			return err
		}
	}
	if err := entry("version", []byte("3\n")); err != nil {
		return err
	}
	return archive.Close()
}

// countingWriter knows how much was written.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// pickle returns the protocol 2 pickle of the dictionary of tensors, written
// without a memo.
func (w *Weights) pickle(storages map[string]int) []byte {
	p := []byte("\x80\x02ccollections\nOrderedDict\n)R(")
	text := func(s string) {
		p = append(p, 'X')
		p = binary.LittleEndian.AppendUint32(p, uint32(len(s)))
		p = append(p, s...)
	}
	integer := func(n int) {
		p = append(p, 'J')
		p = binary.LittleEndian.AppendUint32(p, uint32(n))
	}
	for _, name := range w.names {
		shape := w.shapes[name]
		elements := 1
		for _, s := range shape {
			elements *= s
		}
		kind := "FloatStorage"
		if w.dtype(name) == checkpoint.I64 {
			kind = "LongStorage"
		}
		text("bert." + name)
		p = append(p, "ctorch._utils\n_rebuild_tensor_v2\n(("...)
		text("storage")
		p = append(p, "ctorch\n"+kind+"\n"...)
		text(fmt.Sprint(storages[keptName(name)]))
		text("cpu")
		integer(elements)
		p = append(p, "tQ"...)
		integer(0) // offset
		p = append(p, '(')
		for _, s := range shape {
			integer(s)
		}
		p = append(p, "t("...)
		stride := elements
		for _, s := range shape {
			stride /= s
			integer(stride)
		}
		p = append(p, "t\x89ccollections\nOrderedDict\n)RtR"...)
	}
	return append(p, "u."...)
}
