#!/bin/sh
# Builds libtokenizers.a, which github.com/daulet/tokenizers links to, from the
# version of that module in go.mod and the crates in Cargo.lock beside this file.
#
#   build-rust.sh        build; fails, saying why, where that is not possible
#   build-rust.sh test   build, and run the differential tests with the library;
#                        where it cannot be built, say so and skip the test
#
# The library is left in build/tokenizers. To use it:
#   CGO_LDFLAGS=-L$PWD/build/tokenizers go build -tags daulet ./host/...
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
out=$root/build/tokenizers
library=$out/libtokenizers.a
reason=$out/unavailable.txt

# cannot REASON: notes for the test why it has to be skipped.
cannot() {
	mkdir -p "$out"
	echo "$1" >"$reason"
	if [ "$mode" = test ]; then
		echo "SKIP: the Rust tokenizer library cannot be built: $1"
		exit 0
	fi
	echo "the Rust tokenizer library cannot be built: $1" >&2
	exit 1
}

build() {
	for tool in cargo cc c++; do
		command -v "$tool" >/dev/null || cannot "$tool is not installed"
	done
	module=github.com/daulet/tokenizers
	(cd "$root" && go mod download "$module") || cannot "the Go module $module cannot be downloaded"
	source=$(cd "$root" && go list -m -f '{{.Dir}}' "$module")
	stamp=$(cat "$source/Cargo.toml" "$here/Cargo.lock" "$here/build-rust.sh" | sha256sum | cut -d' ' -f1)
	if [ -f "$library" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
		echo "$library is up to date"
		return
	fi

	# A copy, whose manifest names crates of the registry where the original
	# names a fork by its git address, and that leaves benchmarks out.
	copy=$out/source
	rm -rf "$copy" "$library" "$reason"
	mkdir -p "$copy"
	cp -R "$source/src" "$copy/src"
	chmod -R u+w "$copy"
	sed -e 's/^tiktoken-rs = .*/tiktoken-rs = "0.7"/' \
		-e 's/^tokenizers = .*/tokenizers = "=0.22.2"/' \
		-e '/^\[dev-dependencies\]/,$d' "$source/Cargo.toml" >"$copy/Cargo.toml"
	cp "$here/Cargo.lock" "$copy/Cargo.lock"
	if ! (cd "$copy" && cargo fetch --locked) 2>"$out/fetch.log"; then
		cannot "cargo cannot get its crates: $(grep -m1 '^error' "$out/fetch.log" || tail -n 1 "$out/fetch.log")"
	fi
	if ! (cd "$copy" && CARGO_TARGET_DIR="$out/target" cargo build --locked --offline --release) 2>"$out/build.log"; then
		cannot "cargo fails: $(grep -m1 '^error' "$out/build.log" || tail -n 1 "$out/build.log") (see $out/build.log)"
	fi
	cp "$out/target/release/libtokenizers.a" "$library.new"
	mv "$library.new" "$library"
	echo "$stamp" >"$out/stamp"
	rm -rf "$out/target" "$copy"
	echo "built $library"
}

mode=${1:-build}
case $mode in
build) build ;;
test)
	build
	cd "$root"
	CGO_ENABLED=1 CGO_LDFLAGS="-L$out" go test -count=1 -tags daulet -run '^TestRust' -v ./host/internal/rusttokenizer ./host/cmd/m2embed
	;;
*)
	echo "usage: $0 [build|test]" >&2
	exit 2
	;;
esac
