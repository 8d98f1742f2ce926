// Package tokenizertest compares core/tokenizer with the library that defines
// what its ids are: Hugging Face tokenizers, as native Rust code in the npm
// package of that name.
//
// It holds the library's driver, a generator of strings meant to find
// differences, and the differential test itself.
package tokenizertest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed package.json package-lock.json oracle.mjs
var oracleFiles embed.FS

// ErrNoNode is returned by StartOracle where node or npm is not installed.
var ErrNoNode = errors.New("node and npm are needed to run the reference tokenizer library")

// Oracle is a running reference library. It serves one caller at a time.
type Oracle struct {
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
}

// StartOracle installs the reference library, once per user, and starts it.
func StartOracle() (*Oracle, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, ErrNoNode
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return nil, ErrNoNode
	}
	folder, err := installOracle(npm)
	if err != nil {
		return nil, fmt.Errorf("install the reference tokenizer library: %w", err)
	}
	o := &Oracle{command: exec.Command(node, filepath.Join(folder, "oracle.mjs"))}
	// One core, as the tokenizer that it is compared with.
	o.command.Env = append(os.Environ(), "TOKENIZERS_PARALLELISM=false")
	o.command.Stderr = os.Stderr
	if o.input, err = o.command.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := o.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	o.output = bufio.NewReaderSize(output, 1<<20)
	return o, o.command.Start()
}

// Close ends the library's process.
func (o *Oracle) Close() error {
	return errors.Join(o.input.Close(), o.command.Wait())
}

// installOracle leaves the library in a folder of the user's cache that is named
// after its files, and appears there only when it is whole.
func installOracle(npm string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	names := []string{"package.json", "package-lock.json", "oracle.mjs"}
	sum := sha256.New()
	for _, name := range names {
		data, err := oracleFiles.ReadFile(name)
		if err != nil {
			return "", err
		}
		sum.Write(data)
	}
	folder := filepath.Join(cache, "m2embed", fmt.Sprintf("tokenizertest-%x", sum.Sum(nil)[:8]))
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(folder), "installing-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	for _, name := range names {
		data, _ := oracleFiles.ReadFile(name)
		if err := os.WriteFile(filepath.Join(temporary, name), data, 0o644); err != nil {
			return "", err
		}
	}
	command := exec.Command(npm, "ci", "--no-audit", "--no-fund")
	command.Dir = temporary
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, bytes.TrimSpace(output))
	}
	if err := os.Rename(temporary, folder); err != nil {
		if _, statErr := os.Stat(folder); statErr == nil {
			return folder, nil // another process was faster
		}
		return "", err
	}
	return folder, nil
}

// ask sends a request and reads the reply into it.
func (o *Oracle) ask(request, reply any) error {
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := o.input.Write(append(line, '\n')); err != nil {
		return err
	}
	answer, err := o.output.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reference tokenizer library: %w", err)
	}
	var failure struct{ Error string }
	if bytes.HasPrefix(answer, []byte(`{"error"`)) {
		if err := json.Unmarshal(answer, &failure); err != nil {
			return err
		}
		return fmt.Errorf("reference tokenizer library: %s", failure.Error)
	}
	return json.Unmarshal(answer, reply)
}

// Load makes the library use a tokenizer.json from now on.
func (o *Oracle) Load(tokenizerJSON []byte) error {
	return o.ask(map[string]any{"load": string(tokenizerJSON)}, &struct{}{})
}

// Encoded is the library's answer: per text its ids, and the start and end of
// each in characters of the text.
type Encoded struct {
	IDs     [][]int32 `json:"ids"`
	Offsets [][]int   `json:"offsets"`
}

// Encode encodes texts, which must be valid UTF-8.
func (o *Oracle) Encode(texts []string, withSpecialTokens bool) (Encoded, error) {
	var reply Encoded
	err := o.ask(map[string]any{"encode": texts, "special": withSpecialTokens}, &reply)
	if err == nil && (len(reply.IDs) != len(texts) || len(reply.Offsets) != len(texts)) {
		err = fmt.Errorf("reference tokenizer library: %d answers to %d texts", len(reply.IDs), len(texts))
	}
	return reply, err
}

// Decode turns rows of ids into texts.
func (o *Oracle) Decode(ids [][]int32, skipSpecial bool) ([]string, error) {
	var reply struct{ Texts []string }
	err := o.ask(map[string]any{"decode": ids, "skip": skipSpecial}, &reply)
	return reply.Texts, err
}

// Time encodes texts one by one, several rounds, and returns the seconds that
// each round took in the library's process.
func (o *Oracle) Time(texts []string, rounds int) ([]float64, error) {
	var reply struct{ Seconds []float64 }
	err := o.ask(map[string]any{"time": texts, "rounds": rounds}, &reply)
	return reply.Seconds, err
}

// GoRoot returns the folder of the Go installation, which holds real text: a
// book, and source code with comments and strings in many scripts.
func GoRoot() (string, error) {
	output, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	return string(bytes.TrimSpace(output)), nil
}
