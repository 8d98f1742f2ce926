package document

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	pdfium "github.com/klippa-app/go-pdfium"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"m2embed/host/internal/linear"
)

const (
	pdfMemory = 128 << 20        // bytes that PDFium may have
	pdfTime   = 30 * time.Second // that it may take for a page
	pdfWhole  = 10 * time.Minute // and for all of a file
)

// pdfEngine is PDFium, compiled at the first PDF. It runs as WebAssembly without
// files: what a PDF does to it stays in its memory.
type pdfEngine struct {
	lock  sync.Mutex
	pool  pdfium.Pool
	cache wazero.CompilationCache
	err   error
}

// instance is a fresh PDFium.
func (p *pdfEngine) instance(ctx context.Context, cacheDir string) (pdfium.Pdfium, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.pool == nil && p.err == nil {
		p.pool, p.err = p.start(cacheDir)
	}
	if p.err != nil {
		return nil, p.err
	}
	return p.pool.GetInstanceWithContext(ctx)
}

func (p *pdfEngine) start(cacheDir string) (pdfium.Pool, error) {
	config := wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
		WithMemoryLimitPages(pdfMemory >> 16).
		WithCloseOnContextDone(true) // what takes too long can be stopped
	if cacheDir != "" {
		if cache, err := wazero.NewCompilationCacheWithDir(cacheDir); err == nil { // else it compiles each time
			p.cache = cache
			config = config.WithCompilationCache(cache)
		}
	}
	pool, err := webassembly.Init(webassembly.Config{
		Context: experimental.WithMemoryAllocator(context.Background(), linear.Allocator()), // its memory grows without a copy
		MaxIdle: 1, MaxTotal: 1, RuntimeConfig: config, FSConfig: wazero.NewFSConfig(), Stdout: io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("start PDFium: %w", err)
	}
	return pool, nil
}

func (p *pdfEngine) close() error {
	p.lock.Lock()
	defer p.lock.Unlock()
	var errs []error
	if p.pool != nil {
		errs = append(errs, p.pool.Close())
	}
	if p.cache != nil {
		errs = append(errs, p.cache.Close(context.Background()))
	}
	p.pool, p.cache, p.err = nil, nil, nil
	return errors.Join(errs...)
}

// pdfHyphens joins words that a line's end parts, and makes line ends plain.
var pdfHyphens = strings.NewReplacer("\ufffe\r\n", "", "\x02\r\n", "", "\ufffe", "", "\x02", "", "\x00", "", "\r\n", "\n", "\r", "\n")

// readPDF reads the text of a PDF page by page.
func (j *job) readPDF(s source) error {
	at, size, err := j.whole(s)
	if err != nil {
		return err
	}
	pdf, err := j.reader.pdf.instance(j.ctx, j.reader.CacheDir)
	if err != nil {
		return err
	}
	var once sync.Once
	slow := false
	kill := func() { once.Do(func() { pdf.Kill() }) }
	watch := time.AfterFunc(pdfTime, func() { slow = true; kill() })
	release := context.AfterFunc(j.ctx, kill)
	defer func() {
		watch.Stop()
		release()
		once.Do(func() { pdf.Close() })
	}()
	d, err := j.pages(pdf, io.NewSectionReader(at, 0, size), size, watch)
	switch {
	case j.ctx.Err() != nil:
		return j.ctx.Err()
	case err != nil && !watch.Stop() && slow:
		return fmt.Errorf("%w: PDFium took more than %v for a page", ErrTooLarge, pdfTime)
	case err != nil:
		return err
	}
	d.Title = stem(s.name)
	return j.yield(d)
}

func (j *job) pages(pdf pdfium.Pdfium, r io.ReadSeeker, size int64, watch *time.Timer) (Document, error) {
	var d Document
	if size == 0 {
		return d, ErrNoText
	}
	opened, err := pdf.OpenDocument(&requests.OpenDocument{FileReader: r, FileReaderSize: size})
	if err != nil {
		return d, pdfError(err)
	}
	count, err := pdf.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: opened.Document})
	if err != nil {
		return d, pdfError(err)
	}
	if count.PageCount > maxPages {
		return d, fmt.Errorf("%w: a PDF of %d pages, at most %d are read", ErrTooLarge, count.PageCount, maxPages)
	}
	var b strings.Builder
	var failed error
	began := time.Now()
	for page := range count.PageCount {
		if time.Since(began) > pdfWhole {
			return d, fmt.Errorf("%w: PDFium took more than %v for %d of %d pages", ErrTooLarge, pdfWhole, page, count.PageCount)
		}
		watch.Reset(pdfTime)
		text, err := pdf.GetPageText(&requests.GetPageText{Page: requests.Page{ByIndex: &requests.PageByIndex{Document: opened.Document, Index: page}}})
		if err != nil {
			if !errors.Is(err, pdferrors.ErrPage) && !errors.Is(err, pdferrors.ErrUnknown) {
				return d, fmt.Errorf("page %d: %w", page+1, pdfError(err))
			}
			if failed == nil {
				failed = fmt.Errorf("page %d: %w", page+1, pdfError(err))
			}
			text = nil
		}
		if b.Len() > 0 {
			b.WriteString("\n\n")
		}
		d.Pages = append(d.Pages, b.Len())
		if text != nil {
			b.WriteString(strings.TrimSpace(pdfHyphens.Replace(text.Text)))
		}
		if b.Len() > j.maxText() {
			return d, tooLarge(j.maxText())
		}
	}
	if strings.TrimSpace(b.String()) == "" {
		if failed != nil {
			return d, failed
		}
		return d, errors.New("it holds no text, only pictures: run a text recognition over it first")
	}
	d.Text = b.String()
	return d, nil
}

// pdfError says in words what PDFium's numbers mean.
func pdfError(err error) error {
	switch {
	case errors.Is(err, pdferrors.ErrPassword), errors.Is(err, pdferrors.ErrSecurity):
		return ErrEncrypted
	case errors.Is(err, pdferrors.ErrFormat), errors.Is(err, pdferrors.ErrFile):
		return errors.New("no whole PDF: PDFium cannot read it")
	case strings.Contains(err.Error(), "wasm error"): // it has trapped
		return fmt.Errorf("%w: it takes more than %d MiB of PDFium, or breaks it", ErrTooLarge, pdfMemory>>20)
	}
	return fmt.Errorf("PDFium cannot read it: %s", clip(strings.Join(strings.Fields(err.Error()), " "), 200))
}
