package kernel

// gemmF32 is the plain matrix product over one panel; see Set.GemmF32.
// Two rows share each load of the panel.
func gemmF32(c []float32, ldc int, a []float32, lda, m, n, k int, panel, bias []float32) {
	if n == 4 {
		gemmF32Width4(c, ldc, a, lda, m, k, panel, bias)
		return
	}
	for i := range m {
		row := a[i*lda : i*lda+k]
		for j := range n {
			var sum float32
			if bias != nil {
				sum = bias[j]
			}
			for p, v := range row {
				sum += float32(v * panel[p*n+j])
			}
			c[i*ldc+j] = sum
		}
	}
}

func gemmF32Width4(c []float32, ldc int, a []float32, lda, m, k int, panel, bias []float32) {
	var b0, b1, b2, b3 float32
	if bias != nil {
		b0, b1, b2, b3 = bias[0], bias[1], bias[2], bias[3]
	}
	panel = panel[:4*k]
	i := 0
	for ; i+2 <= m; i += 2 {
		r, s := a[i*lda:][:k], a[(i+1)*lda:][:k]
		c0, c1, c2, c3 := b0, b1, b2, b3
		d0, d1, d2, d3 := b0, b1, b2, b3
		for p, x := range r {
			y := s[p]
			w := panel[4*p : 4*p+4 : 4*p+4]
			w0, w1, w2, w3 := w[0], w[1], w[2], w[3]
			c0 += float32(x * w0)
			c1 += float32(x * w1)
			c2 += float32(x * w2)
			c3 += float32(x * w3)
			d0 += float32(y * w0)
			d1 += float32(y * w1)
			d2 += float32(y * w2)
			d3 += float32(y * w3)
		}
		o := c[i*ldc:][:4]
		o[0], o[1], o[2], o[3] = c0, c1, c2, c3
		o = c[(i+1)*ldc:][:4]
		o[0], o[1], o[2], o[3] = d0, d1, d2, d3
	}
	if i < m {
		c0, c1, c2, c3 := b0, b1, b2, b3
		for p, x := range a[i*lda:][:k] {
			w := panel[4*p : 4*p+4 : 4*p+4]
			c0 += float32(x * w[0])
			c1 += float32(x * w[1])
			c2 += float32(x * w[2])
			c3 += float32(x * w[3])
		}
		o := c[i*ldc:][:4]
		o[0], o[1], o[2], o[3] = c0, c1, c2, c3
	}
}
