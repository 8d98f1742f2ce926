package main

// elementwise writes the products of gating.
func elementwise(g *generator) {
	for _, add := range []bool{false, true} {
		name, signature, names := "multiplyNEON", "func(dst *float32, a *float32, b *float32, n int)", []string{"dst", "a", "b"}
		if add {
			name, signature, names = "multiplyAddNEON", "func(dst *float32, a *float32, b *float32, c *float32, n int)", append(names, "c")
		}
		f := g.text(name, signature, "takes n values. A sum is not fused with its product.")
		pointers, n := f.loads(names...), f.load("n")
		body := func(w width, disp int) {
			x, y := f.loadVector(w, pointers[1], disp), f.loadVector(w, pointers[2], disp)
			f.s4("VFMUL", y, x, x)
			if add {
				f.s4("VFADD", f.loadVector(w, pointers[3], disp), x, x)
			}
			f.store(w, x, pointers[0], disp)
		}
		f.countDown(n, 16, func() {
			for u := range 4 {
				body(4, 16*u)
			}
			f.advance(64, pointers...)
		})
		f.eachValue(n, pointers, func(w width) { body(w, 0) })
		f.op("RET")
	}
}
