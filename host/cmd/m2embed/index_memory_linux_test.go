package main

import (
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mostIndexing is what indexing may take beside the weights.
const mostIndexing = 300e6

// TestIndexMemory indexes files that claim or hold a lot, each in a process of its own,
// whose memory stays bounded.
func TestIndexMemory(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, parts ...string) {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range parts {
			if _, err := io.WriteString(f, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	// packed are members of a zip file: names, and what they begin with, repeat and end with.
	packed := func(name string, members ...[4]string) {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z := zip.NewWriter(f)
		z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
		for _, m := range members {
			w, err := z.Create(m[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := fillBomb(w, m[1], m[2], m[3]); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	const many = 1 << 20
	for _, c := range []struct {
		name string
		make func(name string)
	}{
		{"sparse.txt", func(name string) { // 10 GB
			write(name, "The ferry leaves at seven.\n")
			if err := os.Truncate(filepath.Join(folder, name), 10e9); err != nil {
				t.Skip(err)
			}
		}},
		{"deep.json", func(name string) { write(name, strings.Repeat("[", 1e6), strings.Repeat("]", 1e6)) }},
		{"bold.html", func(name string) { write(name, strings.Repeat("<b>", 600_000), "text") }},
		{"wide.csv", func(name string) { write(name, strings.Repeat("a,", 3e6), "b\n", strings.Repeat("c,", 3e6), "d\n") }},
		{"line.txt", func(name string) { write(name, strings.Repeat("x", 8*many)) }},
		{"bomb.jsonl.gz", func(name string) {
			f, err := os.Create(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			z := gzip.NewWriter(f)
			if err := errors.Join(fillBomb(z, `{"text":"`, "a", `"}`), z.Close()); err != nil {
				t.Fatal(err)
			}
		}},
		{"bomb.zip", func(name string) {
			packed(name, [4]string{"a.html", "<p>", "<b>a", "</p>"}, [4]string{"b.csv", "id,text\n1,\"", "a,b\n", "\"\n"}, [4]string{"c.json", "[", "[", ""},
				[4]string{"d.eml", "Subject: a\n", "X: y\n", "\n"}, [4]string{"e.txt", "", "\x00", ""}, [4]string{"f.rtf", "{\\rtf1 ", "{\\b a", "}"})
		}},
		{"bomb.docx", func(name string) {
			packed(name, [4]string{"word/document.xml", `<w:document xmlns:w="w"><w:body><w:p><w:r><w:t>`, "a", `</w:t></w:r></w:p></w:body></w:document>`})
		}},
		{"attributes.docx", func(name string) {
			packed(name, [4]string{"word/document.xml", `<w:document xmlns:w="w"><w:p `, `a `, `/></w:document>`})
		}},
		{"bomb.epub", func(name string) {
			packed(name, [4]string{"mimetype", "application/epub+zip"}, [4]string{"META-INF/container.xml", `<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>`},
				[4]string{"b.opf", `<package><manifest><item id="1" href="c.xhtml" media-type="application/xhtml+xml"/></manifest><spine>` + strings.Repeat(`<itemref idref="1"/>`, 1000) + `</spine></package>`},
				[4]string{"c.xhtml", "<html><body><p>", "a", "</p></body></html>"})
		}},
		{"bomb.xlsx", func(name string) { // one text in each of many cells
			packed(name, [4]string{"xl/workbook.xml", `<workbook xmlns:r="r"><sheets><sheet name="A" sheetId="1" r:id="r1"/></sheets></workbook>`},
				[4]string{"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="r1" Target="worksheets/sheet1.xml"/></Relationships>`},
				[4]string{"xl/sharedStrings.xml", `<sst><si><t>` + strings.Repeat("a b ", many/8) + `</t></si></sst>`},
				[4]string{"xl/worksheets/sheet1.xml", `<worksheet><sheetData>` + strings.Repeat("<row>"+strings.Repeat(`<c t="s"><v>0</v></c>`, 1000)+"</row>", 100) + `</sheetData></worksheet>`})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.make(c.name)
			path := filepath.Join(folder, c.name)
			defer os.Remove(path)
			peak, said := indexProcess(t, "index", path, "--largest", "20000", "--into", filepath.Join(t.TempDir(), "x.db"))
			t.Logf("%.0f MB: %s", peak/1e6, excerpt(said, 200))
			if peak > mostIndexing+20e6 { // the program and its weights
				t.Errorf("%.0f MB, want at most %.0f beside the weights: %s", peak/1e6, mostIndexing/1e6, said)
			}
		})
	}
}

// bombBytes is what a bomb unpacks to.
const bombBytes = 200 << 20

// fillBomb writes a beginning, a piece as often as fills bombBytes, and an end.
func fillBomb(w io.Writer, begin, piece, end string) error {
	_, err := io.WriteString(w, begin)
	if piece != "" {
		block := strings.Repeat(piece, 1<<20/len(piece))
		for n := 0; err == nil && n < bombBytes; n += len(block) {
			_, err = io.WriteString(w, block)
		}
	}
	if err == nil {
		_, err = io.WriteString(w, end)
	}
	return err
}

// indexProcess runs the command in a process of its own, this program, and returns the
// most memory that it had, in bytes, and what it said.
func indexProcess(t *testing.T, args ...string) (peak float64, said string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run", "^TestIndexChild$")
	child.Env = append(os.Environ(), "M2EMBED_TEST_INDEX="+strings.Join(args, "\n"))
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, status, _ := strings.Cut(string(out), "VmHWM:")
	kb, err := strconv.ParseFloat(strings.Fields(status + " none")[0], 64)
	if err != nil {
		t.Fatalf("no peak in %s", out)
	}
	return kb * 1024, said
}

// TestIndexChild is the process of indexProcess.
func TestIndexChild(t *testing.T) {
	args := os.Getenv("M2EMBED_TEST_INDEX")
	if args == "" {
		return
	}
	run(t.Context(), strings.Split(args, "\n"), nil, io.Discard, os.Stderr)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	os.Stderr.WriteString("VmHWM:" + rest)
}
