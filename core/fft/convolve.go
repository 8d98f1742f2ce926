package fft

import "m2embed/core/kernel"

const width = kernel.GroupWidth

// Spectrum turns the taps of a group's filters into the form that Convolve
// multiplies with, in place. k (N, GroupWidth) holds the taps for lag j ≥ 0 in
// row j and for lag -j in row N-j. The scale 1/N and the factors 1/2 of both
// splits into real channels, the filters' and the signals', are folded in.
func (p *Plan) Spectrum(k []float32) {
	p.Forward(k)
	scale := 1 / float32(p.N)
	// Frequencies 0 and N/2 are real for each channel: no split.
	for i := range k[:2*width] {
		k[i] *= scale
	}
	for m := 2; m < p.N; m *= 2 {
		p.set.SpectrumSplit(k[m*width:], k[(m+m/2)*width:], m/2, scale/4)
	}
}

// multiply multiplies the spectrum x with the filter's over the mirrored
// ranges of the positions first ≤ p < last.
func (p *Plan) multiply(x, spectrum []float32, first, last int) {
	for m := first; m < last; m *= 2 {
		a, b := m*width, (m+m/2)*width
		p.set.SpectrumProduct(x[a:], x[b:], spectrum[a:], spectrum[b:], m/2)
	}
}

// Convolve replaces x (N, GroupWidth) by its circular convolution with the
// filters whose spectrum (N, GroupWidth) is given: unified up to UnifiedRows,
// streamed above. Both give the same bits.
func (p *Plan) Convolve(x, spectrum []float32) {
	if p.N <= UnifiedRows {
		p.unified(x, spectrum)
		return
	}
	p.streamed(x, spectrum)
}

// unified runs level by level over the whole array.
func (p *Plan) unified(x, spectrum []float32) {
	x = x[:p.N*width]
	p.Forward(x)
	p.set.Multiply(x[:2*width], x[:2*width], spectrum[:2*width])
	p.multiply(x, spectrum, 2, p.N)
	p.Inverse(x)
}

// streamed does the long levels over the whole array (column transforms), then
// takes parts that fit the near cache through their remaining levels, the
// product and the way back (row transforms), and ends with the long levels of
// the inverse. A part's mirror image is another part, so two are in work at a
// time.
func (p *Plan) streamed(x, spectrum []float32) {
	x = x[:p.N*width]
	columns, rows := 0, p.N // levels done over the whole array, rows of a part
	for rows > streamedRows && columns < len(p.twiddles) {
		columns, rows = columns+1, rows/4
	}
	levels := len(p.twiddles)
	p.forward(x, 0, columns)
	part := func(s []float32, i int) []float32 { return s[i*rows*width : (i+1)*rows*width] }

	head := part(x, 0)
	p.forward(head, columns, levels)
	p.set.Multiply(head[:2*width], head[:2*width], spectrum[:2*width])
	p.multiply(head, spectrum, 2, rows)
	p.inverse(head, columns, levels)

	for m := 1; m < p.N/rows; m *= 2 {
		for i := m; i < 2*m; i++ {
			mirror := 3*m - 1 - i
			if mirror < i {
				break
			}
			a, b := part(x, i), part(x, mirror)
			p.forward(a, columns, levels)
			if mirror == i {
				half := rows / 2 * width
				k := part(spectrum, i)
				p.set.SpectrumProduct(a, a[half:], k, k[half:], rows/2)
				p.inverse(a, columns, levels)
				continue
			}
			p.forward(b, columns, levels)
			p.set.SpectrumProduct(a, b, part(spectrum, i), part(spectrum, mirror), rows)
			p.inverse(a, columns, levels)
			p.inverse(b, columns, levels)
		}
	}
	p.inverse(x, 0, columns)
}
