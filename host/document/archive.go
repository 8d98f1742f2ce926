package document

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"
)

// errBomb ends the reading of the whole file.
var errBomb = fmt.Errorf("%w: it unpacks to more than %d times its size", ErrTooLarge, maxRatio)

func tooDeep() error {
	return fmt.Errorf("%w: archives lie in each other more than %d deep", ErrTooLarge, maxDepth)
}

// unpacked counts what comes out of compressed parts, and bounds it.
type unpacked struct {
	r   io.Reader
	job *job
}

func (u *unpacked) Read(p []byte) (int, error) {
	if err := u.job.ctx.Err(); err != nil {
		return 0, err
	}
	if *u.job.unpacked > u.job.mayUnpack {
		return 0, errBomb
	}
	n, err := u.r.Read(p)
	*u.job.unpacked += int64(n)
	return n, err
}

// readGzip reads the file in a gzip file, whose part is the whole.
func (j *job) readGzip(s source) error {
	if j.depth >= maxDepth {
		return tooDeep()
	}
	z, err := gzip.NewReader(s)
	if err != nil {
		return named("gzip: ", err)
	}
	name := s.name
	if e := path.Ext(name); strings.EqualFold(e, ".gz") || strings.EqualFold(e, ".gzip") {
		name = strings.TrimSuffix(name, e)
	} else if z.Name != "" {
		name = path.Base(z.Name)
	}
	err = j.inner("").read(source{Reader: &unpacked{z, j}, name: name, size: -1})
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) {
		return fmt.Errorf("gzip: damaged: %w", err)
	}
	return err
}

// named puts the name of a format before an error that does not begin with it.
func named(format string, err error) error {
	if strings.HasPrefix(err.Error(), format) {
		return err
	}
	return fmt.Errorf("%s%w", format, err)
}

// readZip reads DOCX, XLSX, PPTX, ODT and EPUB, which are zip files, or the members of
// one.
func (j *job) readZip(s source) error {
	if j.depth >= maxDepth {
		return tooDeep()
	}
	at, size, err := j.whole(s)
	if err != nil {
		return err
	}
	z, err := zip.NewReader(at, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return named("zip: ", err)
	}
	if len(z.File) > maxMembers {
		return fmt.Errorf("%w: a zip file of %d members, at most %d are read", ErrTooLarge, len(z.File), maxMembers)
	}
	a := &archive{job: j, files: map[string]*zip.File{}}
	for _, f := range z.File {
		if _, ok := a.files[f.Name]; !ok {
			a.files[f.Name] = f
		}
	}
	switch kind := a.format(); kind {
	case "docx":
		return a.readDOCX(s.name)
	case "xlsx":
		return a.readXLSX(s.name)
	case "pptx":
		return a.readPPTX(s.name)
	case "odt":
		return a.readODT(s.name)
	case "epub":
		return a.readEPUB(s.name)
	case "":
	default: // drawings, programs
		return ErrNoText
	}
	return a.readMembers(z.File)
}

// archive is an open zip file.
type archive struct {
	job   *job
	files map[string]*zip.File
}

// format tells what the zip file is: docx, xlsx, pptx, odt (and its kin), epub,
// "other" or "", a plain one.
func (a *archive) format() string {
	if kind, err := a.member("mimetype", maxMember); err == nil {
		switch strings.TrimSpace(string(kind[:min(len(kind), 100)])) {
		case "application/epub+zip":
			return "epub"
		case "application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text-template",
			"application/vnd.oasis.opendocument.presentation", "application/vnd.oasis.opendocument.spreadsheet":
			return "odt"
		}
		if strings.HasPrefix(string(kind), "application/vnd.oasis.") {
			return "other"
		}
	}
	has := func(name string) bool { return a.files[name] != nil }
	switch {
	case has("word/document.xml"):
		return "docx"
	case has("xl/workbook.xml"):
		return "xlsx"
	case has("ppt/presentation.xml"):
		return "pptx"
	case has("META-INF/container.xml"):
		return "epub"
	case has("[Content_Types].xml"), has("META-INF/MANIFEST.MF"), has("AndroidManifest.xml"):
		return "other"
	}
	return ""
}

// open opens a member; its bytes count.
func (a *archive) open(name string) (io.ReadCloser, error) {
	f := a.files[name]
	if f == nil {
		return nil, fmt.Errorf("%q is missing in it", clip(name, 100))
	}
	if f.Flags&1 != 0 {
		return nil, ErrEncrypted
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%q in it: %w", clip(name, 100), err)
	}
	return struct {
		io.Reader
		io.Closer
	}{&unpacked{r, a.job}, r}, nil
}

// member reads a member as a whole, of up to most bytes.
func (a *archive) member(name string, most int) ([]byte, error) {
	r, err := a.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(r, most)
}

// readMembers reads each file in a plain archive.
func (a *archive) readMembers(files []*zip.File) error {
	for _, f := range files {
		name := f.Name
		if f.NonUTF8 || !utf8.ValidString(name) {
			name = decodeAll([]byte(name))
		}
		if strings.HasSuffix(name, "/") || f.Mode().IsDir() || hiddenName(name) {
			continue
		}
		name = strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, "\\", "/")), "/")
		part := "/" + name
		if f.Flags&1 != 0 {
			if err := a.job.skipped(a.job.part+part, ErrEncrypted); err != nil {
				return err
			}
			continue
		}
		r, err := f.Open()
		if err != nil {
			if err := a.job.skipped(a.job.part+part, named("zip: ", err)); err != nil {
				return err
			}
			continue
		}
		err = a.job.readPart(part, source{Reader: &unpacked{r, a.job}, name: path.Base(name), size: int64(min(f.UncompressedSize64, 1<<62))})
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// readTar reads each file in a tar file.
func (j *job) readTar(s source) error {
	if j.depth >= maxDepth {
		return tooDeep()
	}
	files := tar.NewReader(s)
	for n := 0; ; n++ {
		f, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return named("tar: ", plainError(err))
		}
		if n >= maxMembers {
			return fmt.Errorf("%w: a tar file of more than %d members", ErrTooLarge, maxMembers)
		}
		name := f.Name
		if !utf8.ValidString(name) {
			name = decodeAll([]byte(name))
		}
		name = strings.TrimPrefix(path.Clean("/"+name), "/")
		if f.Typeflag != tar.TypeReg || hiddenName(name) {
			continue
		}
		if err := j.readPart("/"+name, source{Reader: &unpacked{files, j}, name: path.Base(name), size: f.Size}); err != nil {
			return err
		}
	}
}

// hiddenName reports whether a name, or a folder in it, begins with a dot, or is
// what a Mac adds.
func hiddenName(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != "." && part != ".." || part == "__MACOSX" {
			return true
		}
	}
	return false
}
