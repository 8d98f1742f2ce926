// Command write writes the golden 80M weights to a file, for benchmarks of
// loading and conversion:
//
//	go run ./core/checkpoint/goldenweights/write -length 32768 -format torch pytorch_model.bin
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"

	"m2embed/core/checkpoint/goldenweights"
)

func main() {
	length := flag.Int("length", 2048, "positions: 2048, 8192 or 32768 in the published models")
	format := flag.String("format", "safetensors", "safetensors or torch")
	tiny := flag.Bool("tiny", false, "write the small golden model instead")
	flag.Parse()
	if flag.NArg() != 1 || *length < 1 {
		flag.Usage()
		os.Exit(2)
	}
	config := goldenweights.Base80M(*length)
	if *tiny {
		config = goldenweights.Tiny()
	}
	if err := write(flag.Arg(0), *format, goldenweights.New(config)); err != nil {
		fmt.Fprintln(os.Stderr, "write golden weights:", err)
		os.Exit(1)
	}
}

// write writes one file and removes it again if that fails.
func write(path, format string, w *goldenweights.Weights) (err error) {
	formats := map[string]func(io.Writer) error{"safetensors": w.WriteSafetensors, "torch": w.WriteTorch}
	writeTo, ok := formats[format]
	if !ok {
		return fmt.Errorf("format %q, want safetensors or torch", format)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(path)
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err := writeTo(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return f.Close()
}
