package parity

import (
	"os"
	"sync"
	"testing"
)

var runner = sync.OnceValues(func() (Runner, error) { return OpenRunner(os.Getenv("M2EMBED_WEBGPU")) })

func open(t *testing.T) Runner {
	t.Helper()
	if os.Getenv("M2EMBED_WEBGPU") == "" {
		t.Skip("set M2EMBED_WEBGPU to native, node or chromium; build.sh does")
	}
	r, err := runner()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// brief says that the test keeps to one case for each kernel: the software adapter
// takes seconds to compile one and to run a model. Edge sizes are the kernel's, and
// the same in every runner.
func brief() bool {
	return os.Getenv("M2EMBED_WEBGPU") != "native" && os.Getenv("M2EMBED_SOAK") == ""
}

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("M2EMBED_WEBGPU") != "" {
		if r, err := runner(); err == nil {
			r.Close()
		}
	}
	os.Exit(code)
}
