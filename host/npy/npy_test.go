package npy

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWriter checks every byte, also behind something else in the file.
func TestWriter(t *testing.T) {
	for _, before := range []string{"", "xyz"} {
		for _, shape := range [][2]int{{0, 3}, {1, 1}, {1, 0}, {3, 5}, {1000, 2}} {
			rows, columns := shape[0], shape[1]
			f, err := os.Create(filepath.Join(t.TempDir(), "v.npy"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			io.WriteString(f, before)
			w, err := NewWriter(f, columns)
			if err != nil {
				t.Fatal(err)
			}
			var want []byte
			for r := range rows {
				row := make([]float32, columns)
				for c := range row {
					row[c] = float32(r) + float32(c)/7
					want = binary.LittleEndian.AppendUint32(want, math.Float32bits(row[c]))
				}
				if err := w.WriteRow(row); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil || w.Rows() != rows {
				t.Fatalf("%d rows: %v", w.Rows(), err)
			}
			io.WriteString(f, "after")
			got, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			head := "\x93NUMPY\x01\x00\x76\x00" + fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, columns)
			head += strings.Repeat(" ", 127-len(head)) + "\n"
			if string(got) != before+head+string(want)+"after" {
				t.Errorf("%d × %d: wrong bytes", rows, columns)
			}
		}
	}
}

func TestHeaderHasRoom(t *testing.T) {
	if n := len(header(matrix(math.MaxInt64, math.MaxInt64))); n != headerSize {
		t.Errorf("header of %d bytes, want %d", n, headerSize)
	}
}

func TestWriterErrors(t *testing.T) {
	w, err := NewWriter(&limited{room: 1 << 10}, 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteRow(make([]float32, 3)); err == nil {
		t.Error("a short row was accepted")
	}
	if _, err := NewWriter(&limited{room: 1 << 10}, -1); err == nil {
		t.Error("-1 columns were accepted")
	}
	if _, err := NewWriter(&limited{room: 5}, 4); !errors.Is(err, errFull) {
		t.Errorf("full disk: %v", err)
	}
	if w, err = NewWriter(&limited{room: headerSize + 8}, 4); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteRow(make([]float32, 4)); !errors.Is(err, errFull) {
		t.Errorf("full disk: %v", err)
	}
}

var errFull = errors.New("full")

// limited is a disk with little room.
type limited struct{ room int }

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		return 0, errFull
	}
	l.room -= len(p)
	return len(p), nil
}

func (l *limited) Seek(int64, int) (int64, error) { return 0, nil }

func TestWriteArchive(t *testing.T) {
	var b bytes.Buffer
	if err := WriteArchive(&b, "embedding", strings.NewReader("content"), Text{"space", "0aé"}, Text{"empty", ""}); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.File) != 3 || r.File[0].Name != "embedding.npy" || r.File[0].Method != zip.Store {
		t.Fatalf("%+v", r.File[0])
	}
	f, err := r.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
	for name, want := range map[string]string{
		"space": "{'descr': '<U3', 'fortran_order': False, 'shape': (), }|0\x00\x00\x00a\x00\x00\x00\xe9\x00\x00\x00",
		"empty": "{'descr': '<U1', 'fortran_order': False, 'shape': (), }|\x00\x00\x00\x00",
	} {
		f, err := r.Open(name + ".npy")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || len(got) < headerSize {
			t.Fatalf("%s: %q, %v", name, got, err)
		}
		if text := strings.TrimSpace(string(got[10:headerSize])) + "|" + string(got[headerSize:]); text != want {
			t.Errorf("%s: %q, want %q", name, text, want)
		}
	}
	if err := WriteArchive(&limited{room: 3}, "embedding", strings.NewReader("content")); !errors.Is(err, errFull) {
		t.Errorf("full disk: %v", err)
	}
}
