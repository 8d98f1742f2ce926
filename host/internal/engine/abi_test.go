package engine

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// TestProtocol: the module exports what wasm/abi.go lists, with these numbers,
// and so does wasm/js/src/abi.ts. The codes are the same in all three.
func TestProtocol(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{})
	module := map[string]string{}
	for name, f := range e.compiled.ExportedFunctions() {
		if name != "_initialize" {
			module[name] = fmt.Sprintf("%d %v", len(f.ParamTypes()), slices.Contains(f.ResultTypes(), api.ValueTypeF64))
		}
	}
	protocol := string(read(t, filepath.Join("..", "..", "..", "wasm", "abi.go")))
	listed := map[string]string{}
	for _, f := range regexp.MustCompile(`(?m)^//\t([a-z_]+)\((.*?)\) ([uif])\b`).FindAllStringSubmatch(protocol, -1) {
		listed[f[1]] = fmt.Sprintf("%d %v", len(regexp.MustCompile(` [ui]\b`).FindAllString(f[2], -1)), f[3] == "f")
	}
	if !maps.Equal(listed, module) {
		t.Errorf("wasm/abi.go lists %v, the module has %v", listed, module)
	}
	twin := string(read(t, filepath.Join("..", "..", "..", "wasm", "js", "src", "abi.ts")))
	typed := map[string]string{}
	for _, f := range regexp.MustCompile(`(?m)^  ([a-z_]+)\((.*)\): number;`).FindAllStringSubmatch(twin, -1) {
		typed[f[1]] = fmt.Sprintf("%d %v", strings.Count(f[2], ":"), f[1] == "run_progress")
	}
	if !maps.Equal(typed, module) {
		t.Errorf("abi.ts has %v, the module %v", typed, module)
	}

	var names []string
	for i, c := range regexp.MustCompile(`(?m)^\t[A-Z]\w+ +Code = -(\d+) +// (\w+)`).FindAllStringSubmatch(protocol, -1) {
		if c[1] != fmt.Sprint(i+1) {
			t.Errorf("code %s comes as number %d", c[1], i+1)
		}
		names = append(names, c[2])
	}
	_, list, _ := strings.Cut(twin, "const CODES")
	list, _, _ = strings.Cut(list, "];")
	var codes []string
	for _, c := range regexp.MustCompile(`'(\w+)',`).FindAllStringSubmatch(list, -1) {
		codes = append(codes, c[1])
	}
	if len(codes) == 0 || !slices.Equal(codes[1:], names) {
		t.Errorf("abi.ts has the codes %v, wasm/abi.go %v", codes, names)
	}
	if !strings.Contains(protocol, fmt.Sprintf("const Version = %d\n", Version)) || !strings.Contains(twin, fmt.Sprintf("const VERSION = %d;", Version)) {
		t.Errorf("version %d here, another elsewhere", Version)
	}
}
