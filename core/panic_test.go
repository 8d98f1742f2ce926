package core

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"m2embed/core/kernel"
	"m2embed/core/model"
)

// TestPanicInPass: a kernel that panics fails the call, not the process; the
// run is not kept, and the calls after it make the same bits.
func TestPanicInPass(t *testing.T) {
	for _, threads := range []int{1, 2, 4} {
		var broken atomic.Bool
		set := kernel.Go
		whole := set.LayerNorm
		set.LayerNorm = func(dst, x, residual, weight, bias []float32, eps float64) {
			if broken.Load() {
				panic("kernel of the test")
			}
			whole(dst, x, residual, weight, bias, eps)
		}
		e := openTiny(t, OpenOptions{Threads: threads, Kernels: &set})
		inputs := Texts(text(300, 1), text(40, 2))
		want := embed(t, e, Options{Padding: none}, inputs...)
		<-e.runs
		broken.Store(true)
		for range 3 {
			var fault *model.Fault
			if _, err := e.Embed(t.Context(), inputs, Options{Padding: none}); !errors.As(err, &fault) {
				t.Fatalf("%d threads: error %v, want a fault", threads, err)
			}
		}
		if len(e.runs) != 0 {
			t.Errorf("%d threads: a run that failed is kept", threads)
		}
		broken.Store(false)
		got := embed(t, e, Options{Padding: none}, inputs...)
		for i := range got {
			if !slices.Equal(got[i].Vector, want[i].Vector) {
				t.Errorf("%d threads: vector %d has other bits after the panic", threads, i)
			}
		}
	}
}
