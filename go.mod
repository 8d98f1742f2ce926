module m2embed

go 1.27

toolchain go1.27.4

require (
	github.com/daulet/tokenizers v1.24.0
	github.com/tetratelabs/wazero v1.12.0
	go.yaml.in/yaml/v4 v4.0.0
	golang.org/x/text v0.43.0
)

require (
	github.com/ebitengine/purego v0.11.3 // indirect
	golang.org/x/sys v0.44.0 // indirect
)
