#!/bin/sh
# Writes core/kernel/kernel_amd64.s and its Go stubs anew; with --check it
# compares instead and fails if the committed files are not what comes out.
set -eu
cd "$(dirname "$0")"
if [ "${1:-}" != --check ]; then
	exec go run . -out ../../kernel_amd64.s -stubs ../../kernel_amd64.go -pkg kernel
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
go run . -out "$made/kernel_amd64.s" -stubs "$made/kernel_amd64.go" -pkg kernel
for name in kernel_amd64.s kernel_amd64.go; do
	# The first line names the command with its paths.
	tail -n +2 "$made/$name" >"$made/new"
	tail -n +2 "../../$name" >"$made/old"
	cmp "$made/new" "$made/old" || {
		echo "core/kernel/$name is not what core/kernel/internal/avogen makes: run its generate.sh" >&2
		exit 1
	}
done
