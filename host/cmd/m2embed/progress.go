package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress is a bar with rate and remaining time on a terminal, and nothing
// elsewhere. Its methods may be called on nil.
type progress struct {
	bar   *progressbar.ProgressBar
	out   io.Writer
	label string
}

// newProgress makes a bar that appears with its first report.
func newProgress(c *call, label string) *progress {
	if !isTerminal(c.stderr) {
		return nil
	}
	return &progress{out: c.stderr, label: label}
}

// set reports a number of bytes done.
func (p *progress) set(done, total int64) {
	if p == nil {
		return
	}
	if p.bar == nil {
		p.start(total, progressbar.OptionShowBytes(true), progressbar.OptionShowCount())
	}
	p.bar.ChangeMax64(max(total, 1))
	p.bar.Set64(done)
}

// relabel changes what stands before the bar.
func (p *progress) relabel(label string) {
	if p == nil {
		return
	}
	p.label = label
	if p.bar != nil {
		p.bar.Describe(label)
	}
}

// setTokens reports what part of the work is done; the rate is that of tokens.
// A negative part is not known.
func (p *progress) setTokens(part float64, texts, tokens int, began time.Time) {
	const patience = 300 * time.Millisecond // short work needs no bar
	if p == nil || p.bar == nil && time.Since(began) < patience {
		return
	}
	const steps = 1000
	if p.bar == nil {
		total := int64(steps)
		if part < 0 {
			total = -1
		}
		p.start(total)
	}
	rate := float64(tokens) / max(time.Since(began).Seconds(), 1e-3)
	p.bar.Describe(p.label + " " + counted(texts, "text") + ", " + thousands(int64(rate)) + " tokens/s")
	if part < 0 {
		p.bar.Add(1)
		return
	}
	p.bar.Set64(int64(part * steps))
}

func (p *progress) start(total int64, more ...progressbar.Option) {
	p.bar = progressbar.NewOptions64(total, append([]progressbar.Option{
		progressbar.OptionSetWriter(p.out),
		progressbar.OptionSetDescription(p.label),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionSetWidth(20),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetRenderBlankState(false),
	}, more...)...)
}

// finish takes the bar away, so that what follows starts on a clean line.
func (p *progress) finish() {
	if p == nil || p.bar == nil {
		return
	}
	p.bar.Clear()
	p.bar = nil
}
