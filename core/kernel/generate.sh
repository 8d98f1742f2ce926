#!/bin/sh
# Writes kernel_amd64.s and its Go stubs anew.
set -eu
cd "$(dirname "$0")/internal/avogen"
go run . -out ../../kernel_amd64.s -stubs ../../kernel_amd64.go -pkg kernel
