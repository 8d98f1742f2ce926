#!/bin/sh
# Builds and tests the WebAssembly module and the npm package. Called by the
# build.sh above; needs Go, Node and npm, and fetches the rest.
#
#   module        m2embed.wasm: the Go module with the SIMD kernels merged in
#   fresh         the same, unless it is there and no source is newer
#   js            the npm package, into wasm/js/dist, and those beside it into wasm/build/packages,
#                 unless they are there and nothing that they are made of is newer
#   pack          the same as tarballs, into wasm/build/tarballs
#   test          kernels as wasm, npm package, examples
#   test-gpu      the npm package on a software adapter, in Node and Chromium
#   parity [short] the same texts in every runtime, compared bit by bit; the whole
#                 run writes testdata/bench/parity.md
#   bundlers [NAME…] a project with every bundler, from the packed tarballs
#   sizes         raw, gzip and brotli sizes of the module
#   bench         tokens/s and memory, beside onnxruntime-web
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
wasm=$root/wasm
out=$wasm/build
bin=$wasm/js/node_modules/.bin
small=$root/host/small # the model of the package m2embed-small
base=$root/host/base   # that of m2embed-base
export GOTOOLCHAIN=${GOTOOLCHAIN:-auto}

# dependencies installs the pinned npm packages once, and gathers the sources
# that the package takes from elsewhere.
dependencies() {
	if ! cmp -s "$wasm/js/package-lock.json" "$wasm/js/node_modules/.installed-lock"; then
		(cd "$wasm/js" && npm ci --no-audit --no-fund --loglevel=error)
		cp "$wasm/js/package-lock.json" "$wasm/js/node_modules/.installed-lock"
	fi
	node "$wasm/js/gather.mjs"
}

# kernels compiles the SIMD kernels.
kernels() {
	dependencies
	mkdir -p "$out"
	"$bin/asc" "$wasm/kernels/index.ts" -o "$out/kernels.wasm" -O3 --runtime stub \
		--importMemory --noExportMemory --noAssert --enable simd --enable nontrapping-f2i --disableWarning 112
}

# merge puts the kernels into a Go module: merge GO.WASM OUT.WASM [ship].
merge() {
	node "$wasm/merge.mjs" "$1" "$out/kernels.wasm" "$2" "${3:-}"
}

# Without inlining in the standard library, and in our packages but for those named
# here, the module is an eighth smaller; what takes time is in these and the kernels.
module() {
	kernels
	path=$(cd "$root" && go list -m)
	(cd "$root" && GOOS=wasip1 GOARCH=wasm go build -tags m2embed_kernels -buildmode=c-shared \
		-trimpath -ldflags='-s -w' \
		-gcflags=all=-l -gcflags="$path/core/fft=" -gcflags="$path/core/kernel=" -gcflags="$path/core/tokenizer=" -o "$out/go.wasm" ./wasm)
	merge "$out/go.wasm" "$out/m2embed.wasm" ship
	rm -rf "$out/compiled" # what wazero made of the module before
	mv "$out/m2embed.wasm" "$wasm/module/m2embed.wasm" # at once, for those who read it
}

# fresh builds the module unless it is newer than all that it is made of.
fresh() {
	file=$wasm/module/m2embed.wasm
	if [ -f "$file" ]; then
		newer=$(find "$root/go.mod" "$root/go.sum" "$root/core" "$root/webgpu/plan" "$wasm/kernels" "$wasm"/*.go \
			"$wasm"/*.s "$wasm"/*.mjs "$wasm/build.sh" "$wasm/js/package-lock.json" \
			! -name '*_test.go' ! -path '*/testdata/*' -newer "$file" | head -n 1)
		[ -n "$newer" ] || return 0
		echo "$newer is newer than the module" >&2
	fi
	module
}

# js builds the package unless it is there and nothing that it is made of is newer:
# tests that run side by side read it.
js() {
	fresh
	if [ -f "$out/package" ] && [ -f "$wasm/js/dist/m2embed.wasm" ]; then
		newer=$(find "$wasm/js" "$wasm/build.sh" "$wasm/module/m2embed.wasm" "$root/webgpu/executor.ts" "$root/webgpu/kernels" \
			"$root/LICENSE" "$root/NOTICE" "$small" "$base" \
			\( -name node_modules -o -name '*.tgz' -o -path "$wasm/js/dist" -o -path "$wasm/js/test" -o -path "$wasm/js/src/webgpu" \
			-o -path "$wasm/js/LICENSE" -o -path "$wasm/js/NOTICE" \) -prune -o -type f -newer "$out/package" -print | head -n 1)
		[ -n "$newer" ] || return 0
		echo "$newer is newer than the package" >&2
	fi
	dependencies
	rm -rf "$wasm/js/dist"
	"$bin/tsc" -p "$wasm/js/tsconfig.json"
	node "$wasm/js/lean.mjs"
	cp "$wasm/js/m2embed.wasm.d.ts" "$wasm/js/dist"
	cp "$wasm/module/m2embed.wasm" "$wasm/js/dist/m2embed.wasm"
	node "$wasm/js/packages.mjs" m2embed-small "$small" m2embed-base "$base"
	touch "$out/package"
}

# pack makes the tarballs of m2embed and the packages beside it, in wasm/build/tarballs.
pack() {
	js
	rm -rf "$out/tarballs"
	mkdir -p "$out/tarballs"
	(cd "$out/tarballs" && npm pack --loglevel=error "$wasm/js" "$out"/packages/*)
}

# browsers installs Debian's browsers, and the library by which Node finds a GPU
# driver, where they are missing and can be had.
browsers() {
	for name in chromium firefox-esr libvulkan1; do
		command -v "$name" >/dev/null && continue
		[ "$name" = libvulkan1 ] && ls /usr/lib/*/libvulkan.so.1 >/dev/null 2>&1 && continue
		command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || continue
		apt-get install -y --no-install-recommends "$name" >/dev/null 2>&1 ||
			{ apt-get update && apt-get install -y --no-install-recommends "$name"; } >/dev/null 2>&1 ||
			echo "could not install $name" >&2
	done
}

# parity [short]: see wasm/parity. Expects module and package to be built. The
# whole run writes its table down.
parity() {
	flags="-out testdata/bench/parity.md"
	[ "${1:-}" = short ] && flags=-short
	(cd "$root" && go run ./wasm/parity $flags)
}

sizes() {
	fresh
	file=$wasm/module/m2embed.wasm
	node -e '
		const { readFileSync } = require("node:fs"), zlib = require("node:zlib");
		const bytes = readFileSync(process.argv[1]);
		const kb = (n) => (n / 1000).toFixed(0).padStart(6) + " KB";
		console.log("m2embed.wasm  raw " + kb(bytes.length));
		console.log("          gzip -9 " + kb(zlib.gzipSync(bytes, { level: 9 }).length));
		console.log("        brotli 11 " + kb(zlib.brotliCompressSync(bytes).length));
	' "$file"
}

# test_kernels runs the tests of core/kernel as wasm: the plain twins in a module
# by themselves, all sets in a merged one, in Node and in wazero.
test_kernels() {
	kernels
	(cd "$root" &&
		GOOS=wasip1 GOARCH=wasm go test -c -o "$out/kernel-test.wasm" ./core/kernel &&
		GOOS=wasip1 GOARCH=wasm go test -c -tags m2embed_kernels -o "$out/kernel-test-go.wasm" ./core/kernel &&
		go build -o "$out/wazero" github.com/tetratelabs/wazero/cmd/wazero)
	merge "$out/kernel-test-go.wasm" "$out/kernel-test-merged.wasm"
	echo "kernels, plain twins, in Node"
	node --no-warnings "$wasm/js/test/wasi-run.mjs" "$out/kernel-test.wasm" -test.short
	echo "kernels, merged, in Node"
	node --no-warnings "$wasm/js/test/wasi-run.mjs" "$out/kernel-test-merged.wasm" -test.short
	echo "kernels, merged, in wazero"
	(cd "$root/core/kernel" && "$out/wazero" run -cachedir "$out/cache" -mount .:/ "$out/kernel-test-merged.wasm" -test.short)
}

# test_all is what wasm/build.sh test runs.
test_all() {
	test_kernels
	js
	browsers
	(cd "$wasm/js" && node --test --test-concurrency=1 --test-reporter=spec $(ls test/*.test.mjs | grep -v webgpu))
	pack
	node --no-warnings "$wasm/js/bundlers/bundlers.mjs" quick
}

test_gpu() {
	js
	browsers
	sh "$root/webgpu/build.sh" on-mesa node --test --test-reporter=spec "$wasm/js/test/webgpu.test.mjs"
}

# bundlers [NAME…]: see wasm/js/bundlers.
bundlers() {
	pack
	browsers
	node --no-warnings "$wasm/js/bundlers/bundlers.mjs" "$@"
}

# bench [quick]: see wasm/bench/bench.mjs. Weights and the peer's models come
# from host/bench, which keeps them in .cache/bench.
bench() {
	module
	js
	browsers
	(cd "$root" &&
		GOOS=wasip1 GOARCH=wasm go build -tags m2embed_kernels -buildmode=c-shared -o "$out/product-go.wasm" ./wasm/bench/product &&
		go build -o "$out/wazero-bench" ./host/bench/wazero)
	merge "$out/product-go.wasm" "$out/product.wasm"
	[ -f "$root/.cache/bench/peer/bert-int8.onnx" ] || (cd "$root" && go run ./host/bench -quick -only model)
	node --no-warnings "$wasm/bench/bench.mjs" "$@"
}

case "${1:-}" in
module) module ;;
fresh) fresh ;;
js) js ;;
pack) pack ;;
bundlers)
	shift
	bundlers "$@"
	;;
kernels) kernels ;;
parity)
	js
	browsers
	parity "${2:-}"
	;;
test) test_all ;;
test-gpu) test_gpu ;;
sizes) sizes ;;
bench)
	shift
	bench "$@"
	;;
test-kernels) test_kernels ;;
*)
	echo "usage: wasm/build.sh module | fresh | js | pack | test | test-gpu | parity [short] | bundlers [NAME…] | sizes | bench" >&2
	exit 2
	;;
esac
