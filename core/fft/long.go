package fft

// Long is a bidirectional long convolution over sequences of any length L with
// filters of at most Window taps in each direction:
//
//	y[t] = Σ_{j=0..t} k[j]·u[t-j] + Σ_{i=0..L-2-t} r[i]·u[t+1+i]
//
// k are the forward taps, r the reverse taps, which begin one step ahead.
// Taps from Window on are zero. Where the window is much shorter than the
// sequence, the sequence is taken in overlapping pieces (overlap-save), so that
// the cost stays linear in L.
type Long struct {
	Plan   *Plan
	Taps   int  // taps in each direction that matter for this length
	pieces bool // overlap-save
}

// pieceRows is how many times the window's bucket one overlap-save transform
// spans: 8 windows of rows give 6 windows of results.
const pieceRows = 8

// LongRows is the transform length for a sequence of length L under a window.
// All lengths with equal LongRows share their filters' spectra.
func LongRows(length, window int) int {
	n := Bucket(length)
	if piece := pieceRows / 2 * Bucket(window); piece < n {
		return piece
	}
	return n
}

// NewLong prepares convolutions of length L under a window with a plan of
// LongRows(length, window) rows.
func NewLong(plan *Plan, length, window int) Long {
	return Long{Plan: plan, Taps: min(window, plan.N/2), pieces: plan.N < Bucket(length)}
}

// Scratch is the number of floats of scratch that Apply and Filter need.
func (l Long) Scratch() int {
	if l.pieces {
		return (l.Plan.N + l.Taps) * width
	}
	return l.Plan.N * width
}

// Filter turns taps into a spectrum: on entry spectrum (N, GroupWidth) holds
// the forward taps in its first Taps rows and reverse (Taps, GroupWidth) the
// reverse taps (nil for a causal filter); on return spectrum is what Apply
// takes.
func (l Long) Filter(spectrum, reverse []float32) {
	n := l.Plan.N
	clear(spectrum[l.Taps*width : n*width])
	if reverse != nil {
		for i := range l.Taps {
			copy(spectrum[(n-1-i)*width:(n-i)*width], reverse[i*width:(i+1)*width])
		}
	}
	l.Plan.Spectrum(spectrum[:n*width])
}

// Apply convolves u (L, GroupWidth) in place. scratch holds Scratch() floats.
func (l Long) Apply(u, spectrum, scratch []float32) {
	n := l.Plan.N
	x := scratch[:n*width]
	if !l.pieces {
		copy(x, u)
		clear(x[len(u):])
		l.Plan.Convolve(x, spectrum)
		copy(u, x)
		return
	}
	// A piece starts Taps rows before its first result and ends Taps rows after
	// its last; the rows before it are overwritten by then, so they are kept.
	margin := l.Taps * width
	step := n*width - 2*margin
	before := scratch[n*width:][:margin]
	clear(before)
	for at := 0; at < len(u); at += step {
		copy(x, before)
		m := copy(x[margin:], u[at:])
		clear(x[margin+m:])
		copy(before, x[step:step+margin])
		l.Plan.Convolve(x, spectrum)
		copy(u[at:min(at+step, len(u))], x[margin:])
	}
}
