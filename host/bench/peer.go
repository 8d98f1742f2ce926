package main

import (
	"bufio"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"m2embed/host/bench/bert"
)

//go:embed peer
var peerFiles embed.FS

// peer is a process with onnxruntime: Node with onnxruntime-node, or Python.
type peer struct {
	name    string // what runs it, with versions
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
}

// startPeer writes the models and starts the peer with the program given: node,
// for which onnxruntime-node is installed, or a Python that has onnxruntime.
func startPeer(cache, program string) (*peer, error) {
	program, err := exec.LookPath(program)
	if err != nil {
		return nil, err
	}
	script := "run.mjs"
	if strings.HasPrefix(filepath.Base(program), "python") {
		script = "run.py"
	}
	folder, err := filepath.Abs(filepath.Join(cache, "peer"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{"package.json", "run.mjs", "run.py"} {
		data, err := peerFiles.ReadFile("peer/" + name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "onnxruntime-node")); err != nil && script == "run.mjs" {
		install := exec.Command("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund")
		install.Dir = folder
		if output, err := install.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("npm install: %w\n%s", err, output)
		}
	}
	for dtype, quantized := range map[string]bool{"f32": false, "int8": true} {
		path := filepath.Join(folder, "bert-"+dtype+".onnx")
		if _, err := os.Stat(path); err != nil {
			if err := bert.Write(path, quantized); err != nil {
				return nil, fmt.Errorf("write %s: %w", path, err)
			}
		}
	}
	p := &peer{command: exec.Command(program, script)}
	p.command.Dir, p.command.Stderr = folder, os.Stderr
	if p.input, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.output = bufio.NewReader(output)
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	line, err := p.output.ReadString('\n')
	if err != nil {
		p.close()
		return nil, fmt.Errorf("%s ended: %w", script, err)
	}
	p.name = strings.TrimSpace(line)
	return p, nil
}

// run runs one text of a length.
func (p *peer) run(dtype string, threads, length int) (taken, error) {
	request, _ := json.Marshal(map[string]any{"dtype": dtype, "threads": threads, "length": length})
	if _, err := p.input.Write(append(request, '\n')); err != nil {
		return taken{}, fmt.Errorf("onnxruntime: %w", err)
	}
	line, err := p.output.ReadBytes('\n')
	if err != nil {
		return taken{}, fmt.Errorf("onnxruntime: %w", err)
	}
	var reply struct {
		Seconds, Processor float64
		Error              string
	}
	if err := json.Unmarshal(line, &reply); err != nil {
		return taken{}, fmt.Errorf("onnxruntime: %w", err)
	}
	if reply.Error != "" {
		return taken{}, fmt.Errorf("onnxruntime: %s", reply.Error)
	}
	return taken{reply.Seconds, reply.Processor}, nil
}

func (p *peer) close() {
	p.input.Close()
	p.command.Wait()
}
