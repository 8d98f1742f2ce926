#!/bin/sh
# Writes the kernels in assembly and their Go stubs anew: kernel_amd64.* by this
# command, kernel_arm64.* by neongen. With --check it compares instead and fails
# if the committed files are not what comes out.
set -eu
cd "$(dirname "$0")"
make() {
	go run . -out "$1/kernel_amd64.s" -stubs "$1/kernel_amd64.go" -pkg kernel
	(cd ../neongen && go run . -out "$1")
}
if [ "${1:-}" != --check ]; then
	make ../..
	exit
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
make "$made"
for name in kernel_amd64.s kernel_amd64.go kernel_arm64.s kernel_arm64.go; do
	# The first line of avogen's names the command with its paths.
	tail -n +2 "$made/$name" >"$made/new"
	tail -n +2 "../../$name" >"$made/old"
	cmp "$made/new" "$made/old" || {
		echo "core/kernel/$name is not what its generator makes: run core/kernel/internal/avogen/generate.sh" >&2
		exit 1
	}
done
