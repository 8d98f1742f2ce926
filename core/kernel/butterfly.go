package kernel

// complexRow splits a row of a group into its real and imaginary lanes.
func complexRow(x []float32, row int) (re, im []float32) {
	at := row * GroupWidth
	return x[at : at+GroupLanes : at+GroupLanes], x[at+GroupLanes : at+GroupWidth : at+GroupWidth]
}

func radix4Forward(x []float32, n, blocks int, twiddles []float32) {
	quarter := n / 4
	for block := range blocks {
		for j := range quarter {
			w := twiddles[6*j : 6*j+6]
			first := block*n + j
			are, aim := complexRow(x, first)
			bre, bim := complexRow(x, first+quarter)
			cre, cim := complexRow(x, first+2*quarter)
			dre, dim := complexRow(x, first+3*quarter)
			for l := range GroupLanes {
				s0r, s0i := are[l]+cre[l], aim[l]+cim[l]
				s1r, s1i := are[l]-cre[l], aim[l]-cim[l]
				s2r, s2i := bre[l]+dre[l], bim[l]+dim[l]
				// s3 = -i (b - d)
				s3r, s3i := bim[l]-dim[l], dre[l]-bre[l]
				are[l], aim[l] = s0r+s2r, s0i+s2i
				bre[l], bim[l] = product(s0r-s2r, s0i-s2i, w[2], w[3])
				cre[l], cim[l] = product(s1r+s3r, s1i+s3i, w[0], w[1])
				dre[l], dim[l] = product(s1r-s3r, s1i-s3i, w[4], w[5])
			}
		}
	}
}

func radix4Inverse(x []float32, n, blocks int, twiddles []float32) {
	quarter := n / 4
	for block := range blocks {
		for j := range quarter {
			w := twiddles[6*j : 6*j+6]
			first := block*n + j
			are, aim := complexRow(x, first)
			bre, bim := complexRow(x, first+quarter)
			cre, cim := complexRow(x, first+2*quarter)
			dre, dim := complexRow(x, first+3*quarter)
			for l := range GroupLanes {
				br, bi := product(bre[l], bim[l], w[2], -w[3])
				cr, ci := product(cre[l], cim[l], w[0], -w[1])
				dr, di := product(dre[l], dim[l], w[4], -w[5])
				s0r, s0i := are[l]+br, aim[l]+bi
				s2r, s2i := are[l]-br, aim[l]-bi
				s1r, s1i := cr+dr, ci+di
				// i (c - d)
				s3r, s3i := di-ci, cr-dr
				are[l], aim[l] = s0r+s1r, s0i+s1i
				bre[l], bim[l] = s2r+s3r, s2i+s3i
				cre[l], cim[l] = s0r-s1r, s0i-s1i
				dre[l], dim[l] = s2r-s3r, s2i-s3i
			}
		}
	}
}

// product is the complex product (ar + i ai)(br + i bi), not fused.
func product(ar, ai, br, bi float32) (re, im float32) {
	return float32(ar*br) - float32(ai*bi), float32(ar*bi) + float32(ai*br)
}

func radix2(x []float32, blocks int) {
	for block := range blocks {
		a := x[2*block*GroupWidth : (2*block+1)*GroupWidth]
		b := x[(2*block+1)*GroupWidth : (2*block+2)*GroupWidth]
		for l := range a {
			a[l], b[l] = a[l]+b[l], a[l]-b[l]
		}
	}
}

func spectrumProduct(x, y, kx, ky []float32, pairs int) {
	for i := range pairs {
		xre, xim := complexRow(x, i)
		yre, yim := complexRow(y, pairs-1-i)
		kre, kim := complexRow(kx, i)
		lre, lim := complexRow(ky, pairs-1-i)
		for l := range GroupLanes {
			// The spectra of the two real channels, times two.
			ar, ai := xre[l]+yre[l], xim[l]-yim[l]
			br, bi := xim[l]+yim[l], yre[l]-xre[l]
			pr, pi := product(ar, ai, kre[l], kim[l])
			qr, qi := product(br, bi, lre[l], lim[l])
			xre[l], xim[l] = pr-qi, pi+qr
			yre[l], yim[l] = pr+qi, qr-pi
		}
	}
}

func spectrumSplit(x, y []float32, pairs int, scale float32) {
	for i := range pairs {
		xre, xim := complexRow(x, i)
		yre, yim := complexRow(y, pairs-1-i)
		for l := range GroupLanes {
			ar, ai := xre[l]+yre[l], xim[l]-yim[l]
			br, bi := xim[l]+yim[l], yre[l]-xre[l]
			xre[l], xim[l] = scale*ar, scale*ai
			yre[l], yim[l] = scale*br, scale*bi
		}
	}
}
