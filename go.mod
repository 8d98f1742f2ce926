module m2embed

go 1.27

toolchain go1.27.4

require (
	github.com/tetratelabs/wazero v1.12.0
	golang.org/x/text v0.43.0
)

require (
	go.yaml.in/yaml/v4 v4.0.0
	golang.org/x/sys v0.44.0 // indirect
)
