package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"m2embed/core/tolerance"
)

// forEachSet runs a test on every back end of this machine.
func forEachSet(t *testing.T, test func(t *testing.T, set *Set)) {
	for _, set := range Sets() {
		t.Run(set.Name, func(t *testing.T) { test(t, set) })
	}
}

func random(r *rand.Rand, n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(scale * (2*r.Float64() - 1))
	}
	return x
}

// near fails the test unless |got - want| ≤ limit.
func near(t *testing.T, what string, got float32, want, limit float64) {
	t.Helper()
	if d := math.Abs(float64(got) - want); !(d <= limit) {
		t.Fatalf("%s: got %v, want %v: off by %.3g, limit %.3g", what, got, want, d, limit)
	}
}

// guard surrounds n values with marks that no kernel may touch.
type guard struct {
	all  []float32
	body []float32
}

const guardMark = 12345.5

func newGuard(n int) guard {
	all := make([]float32, n+128)
	for i := range all {
		all[i] = guardMark
	}
	return guard{all: all, body: all[64 : 64+n : 64+n]}
}

func (g guard) check(t *testing.T) {
	t.Helper()
	n := len(g.body)
	for i, v := range g.all {
		if (i < 64 || i >= 64+n) && v != guardMark {
			t.Fatalf("value %d of %d was overwritten", i-64, n)
		}
	}
}

// lengths are the edge sizes of vector operations.
var lengths = []int{0, 1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 66, 100, 127, 128, 257, 768}

func TestSetsNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, set := range Sets() {
		if seen[set.Name] || set.Name == "" {
			t.Errorf("set %q is listed twice", set.Name)
		}
		seen[set.Name] = true
	}
	if !seen["go"] || Sets()[0] != &Go {
		t.Error("the plain twins must come first")
	}
	if want := fastestSet(t); want != "" && Active().Name != want {
		t.Errorf("models are loaded with the set %q, want %q on this machine", Active().Name, want)
	}
}

func TestLayerNorm(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(1, 1))
		for _, n := range lengths[1:] {
			for _, withResidual := range []bool{false, true} {
				for _, scale := range []float64{1e-3, 1, 300} {
					x, weight, bias := random(r, n, scale), random(r, n, 2), random(r, n, 1)
					for i := range x {
						x[i] += float32(scale) // a mean far from zero
					}
					var residual []float32
					s := slices.Clone(x)
					if withResidual {
						residual = random(r, n, scale)
						for i := range s {
							s[i] += residual[i]
						}
					}
					eps := 1e-12
					var mean, variance float64
					for _, v := range s {
						mean += float64(v)
					}
					mean /= float64(n)
					for _, v := range s {
						variance += (float64(v) - mean) * (float64(v) - mean)
					}
					variance /= float64(n)
					g := newGuard(n)
					set.LayerNorm(g.body, x, residual, weight, bias, eps)
					g.check(t)
					for i, v := range g.body {
						z := (float64(s[i]) - mean) / math.Sqrt(variance+eps)
						want := z*float64(weight[i]) + float64(bias[i])
						size := math.Abs(z*float64(weight[i])) + math.Abs(float64(bias[i]))
						near(t, "LayerNorm", v, want, tolerance.LayerNorm*(size+math.Abs(z)))
					}
					alias := slices.Clone(x)
					set.LayerNorm(alias, alias, residual, weight, bias, eps)
					if !slices.Equal(alias, g.body) {
						t.Fatalf("n=%d: another result when dst is x", n)
					}
					if withResidual {
						copy(alias, residual)
						set.LayerNorm(alias, x, alias, weight, bias, eps)
						if !slices.Equal(alias, g.body) {
							t.Fatalf("n=%d: another result when dst is residual", n)
						}
					}
				}
			}
		}
	})
}

func gelu(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }

func TestGeluBound(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		const n = 60_001
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i-n/2) * (12.0 / (n / 2))
		}
		x = append(x, 0, float32(math.Copysign(0, -1)), 1e-30, -1e-30, 1e-42, -1e-42, 40, -40, 1e6, -1e6, math.MaxFloat32, -math.MaxFloat32)
		got := make([]float32, len(x))
		set.GeluGate(got, x, nil)
		var worst float64
		for i, v := range got {
			want := gelu(float64(x[i]))
			limit := tolerance.Gelu + math.Abs(want)*0x1p-24
			near(t, "gelu", v, want, limit)
			worst = max(worst, math.Abs(float64(v)-want)-math.Abs(want)*0x1p-24)
		}
		t.Logf("largest error of gelu beside the last rounding: %.3g", worst)
		bad := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}
		out := make([]float32, 3)
		set.GeluGate(out, bad, nil)
		if out[0] == out[0] {
			t.Errorf("gelu(NaN) = %v", out[0])
		}
	})
}

func TestGeluGate(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(2, 1))
		for _, n := range lengths {
			gate, value := random(r, n, 6), random(r, n, 3)
			g := newGuard(n)
			set.GeluGate(g.body, gate, value)
			g.check(t)
			for i, v := range g.body {
				want := gelu(float64(gate[i])) * float64(value[i])
				near(t, "GeluGate", v, want, 3*tolerance.Gelu+math.Abs(want)*0x1p-23)
			}
			// A value's bits depend on the value alone, not on its place.
			for i := range n {
				one := []float32{gate[i]}
				set.GeluGate(one, one, value[i:i+1])
				if one[0] != g.body[i] {
					t.Fatalf("n=%d: element %d is %v in a row and %v alone", n, i, g.body[i], one[0])
				}
			}
			set.GeluGate(gate, gate, value)
			if !slices.Equal(gate, g.body) {
				t.Fatalf("n=%d: another result when dst is gate", n)
			}
		}
	})
}

func TestShortFilter(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(3, 1))
		for _, rows := range []int{0, 1, 2, 3, 4, 5, 7, 8, 33} {
			x, taps := random(r, rows*GroupWidth, 2), random(r, 4*GroupWidth, 1)
			g := newGuard(len(x))
			copy(g.body, x)
			set.ShortFilter(g.body, rows, taps)
			g.check(t)
			for i, v := range g.body {
				row, c := i/GroupWidth, i%GroupWidth
				sum, size := float64(taps[3*GroupWidth+c]), math.Abs(float64(taps[3*GroupWidth+c]))
				for tap := range 3 {
					if at := row - 2 + tap; at >= 0 {
						p := float64(taps[tap*GroupWidth+c]) * float64(x[at*GroupWidth+c])
						sum += p
						size += math.Abs(p)
					}
				}
				near(t, "ShortFilter", v, sum, tolerance.Elementwise*size)
			}
		}
	})
}

func TestMultiply(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(4, 1))
		for _, n := range lengths {
			a, b, c := random(r, n, 2), random(r, n, 2), random(r, n, 2)
			g := newGuard(n)
			set.Multiply(g.body, a, b)
			g.check(t)
			for i, v := range g.body {
				if v != a[i]*b[i] {
					t.Fatalf("Multiply: got %v, want %v", v, a[i]*b[i])
				}
			}
			set.MultiplyAdd(g.body, a, b, c)
			g.check(t)
			for i, v := range g.body {
				p := float64(a[i]) * float64(b[i])
				near(t, "MultiplyAdd", v, p+float64(c[i]), tolerance.Elementwise*(math.Abs(p)+math.Abs(float64(c[i]))))
				one := []float32{c[i]}
				set.MultiplyAdd(one, a[i:i+1], b[i:i+1], one)
				if one[0] != v {
					t.Fatalf("MultiplyAdd: element %d of %d is %v in a row and %v alone", i, n, v, one[0])
				}
			}
			for _, dst := range [][]float32{a, b, c} {
				x, y, z := slices.Clone(a), slices.Clone(b), slices.Clone(c)
				set.MultiplyAdd(dst, a, b, c)
				if !slices.Equal(dst, g.body) {
					t.Fatalf("MultiplyAdd, n=%d: another result when dst is an operand", n)
				}
				copy(a, x)
				copy(b, y)
				copy(c, z)
			}
		}
	})
}

func TestSine(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(5, 1))
		var worst float64
		for _, n := range []int{1, 3, 8, 15, 32, 33, 128} {
			for _, limit := range []float64{1e-6, 0.5, 4, 60, 1000} {
				rows := 1 + 20_000/n/5
				frequency := random(r, n, 12)
				x := random(r, rows*n, 1)
				for i := range x {
					x[i] = float32(float64(x[i]) * limit / math.Max(0.05, math.Abs(float64(frequency[i%n]))))
					if math.Abs(float64(x[i])*float64(frequency[i%n])) > 1000 {
						x[i] = 0
					}
				}
				g := newGuard(len(x))
				copy(g.body, x)
				set.Sine(g.body, frequency)
				g.check(t)
				for i, v := range g.body {
					want := math.Sin(float64(frequency[i%n]) * float64(x[i]))
					near(t, "Sine", v, want, tolerance.Sine)
					worst = max(worst, math.Abs(float64(v)-want))
				}
			}
		}
		t.Logf("largest error of sine: %.3g", worst)
		set.Sine(nil, nil)
		set.Sine(nil, []float32{1, 2})
	})
}

func TestDecay(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(6, 1))
		for _, rows := range []int{0, 1, 2, 3, 17, 400} {
			times := make([]float32, rows)
			for j := range times {
				times[j] = float32(j) / float32(max(1, rows-1))
			}
			deltas := random(r, GroupWidth, 16)
			deltas[0], deltas[1], deltas[2], deltas[3] = 0, 60, -87.5, 300
			k := random(r, rows*GroupWidth, 2)
			g := newGuard(len(k))
			copy(g.body, k)
			set.Decay(g.body, times, deltas)
			g.check(t)
			for i, v := range g.body {
				want := float64(k[i]) * math.Exp(-float64(times[i/GroupWidth])*math.Abs(float64(deltas[i%GroupWidth])))
				// The argument is a float32 product at worst, so a large one
				// is off by its own rounding.
				argument := math.Abs(float64(times[i/GroupWidth]) * float64(deltas[i%GroupWidth]))
				near(t, "Decay", v, want, (tolerance.Decay+argument*0x1p-24)*math.Abs(want)+1e-36)
			}
		}
	})
}
