#!/bin/sh
# One entry for everything. Each verb installs what it needs and no more.
#
#   build         bin/m2embed, with the embedded model, the wasm module and the search of sites in it
#   embed TEXT…   build, then embed the texts with the embedded model
#   test          all tests
#   check         format, vet, staticcheck, cross-builds, types, generated files
#   bench         speed and memory, written to testdata/bench
#   eval          quality of both models; with --retrieval FOLDER, of the search
#   wasm          m2embed.wasm and the npm package
#   parity        the same texts in every runtime, compared bit by bit
#   bundlers      the npm package in every bundler, as a table
#   site          the web page, into site/dist
#   serve [PORT]  the web page and the HTTP API on this machine
#   beam          bin/m2embed-beam, for "m2embed batch --runner"
#   version X     give everything that is published the version X
#   module PATH   give the Go module the path under which it is published
#   tokenizers    the Rust tokenizer library, for the second opinion
#   clients       real clients of OpenAI, TEI, Ollama, Cohere and others against the server
#   soak          the long tests: 32,768 tokens, long fuzzing, the clients, the server with faults
#
# Needs Go 1.21 or later (the right version is fetched by it) and, for all but
# build and embed without a wasm module, Node 20 or later with npm. Debian
# packages (chromium, firefox-esr, qemu-user-static) are installed where a test needs them.
set -eu

cd "$(dirname "$0")"
export GOTOOLCHAIN=auto
STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2

say() { printf '\n== %s\n' "$*" >&2; }

need() {
	command -v "$1" >/dev/null 2>&1 || {
		echo "build.sh: $1 is missing: $2" >&2
		exit 1
	}
}

build() {
	need go "install Go 1.21 or later from go.dev"
	sh wasm/build.sh fresh >&2
	sh site/build.sh element >&2
	go build -trimpath -tags m2embed_module -o bin/m2embed ./host/cmd/m2embed
}

embed() {
	build
	[ $# -gt 0 ] || set -- "The quick brown fox jumps over the lazy dog."
	bin/m2embed embed "$@"
}

test_go() {
	say "Go tests"
	go test -timeout 40m ./...
	say "Go tests without assembly"
	# The packages that look at the numbers that kernels make. The others cannot
	# change: they do not multiply, or with m2embed.wasm, or ask those for vectors.
	# All but the 80M shape in 8 bits at 2,048 tokens, which takes the plain kernels
	# minutes. In 32 bits the test itself stops at 5 tokens with them, 128 in the soak.
	go test -timeout 40m -tags noasm -skip '^TestInt8Golden80M$' \
		./core ./core/fft ./core/kernel ./core/model ./host ./host/convert ./host/oracle
}

# test_race looks for data races where goroutines meet: the spinning threads, the
# shared filters, the pool of runs, the server's queue, the module's instances. The suites of whole models
# would take it many minutes and meet in the same places.
test_race() {
	command -v "$(go env CC)" >/dev/null 2>&1 || { echo "no C compiler: the race detector is left out" >&2; return 0; }
	say "Go tests under the race detector"
	CGO_ENABLED=1 go test -race -short -timeout 20m \
		-run 'Panic|Worker|Wake|Spectra|Stopped|Concurrent|Cancel|Filter|Close|Backend|Progress|Pass|Job|FuzzEmbed' \
		./core ./core/model ./host/server
	CGO_ENABLED=1 go test -race -short -timeout 20m -run 'Close|Steps|PoolKeepBits' ./host/internal/engine
}

# in_beam COMMAND… runs a command in the module for Apache Beam, which stands by
# itself so that nothing else waits for its 500 packages. Versions follow those of the
# main module, in a copy of go.mod that keeps the work tree as it is.
in_beam() {
	mkdir -p build/beam
	cp host/beam/go.mod host/beam/go.sum build/beam
	(
		export GOFLAGS="-mod=mod -modfile=$PWD/build/beam/go.mod"
		cd host/beam
		"$@"
	)
}

test_beam() {
	say "Apache Beam"
	in_beam go vet ./...
	in_beam go test -timeout 20m ./...
}

# test_arm64 runs cross-compiled tests in an emulated processor, the kernels also
# in one without SDOT. The slow ones are left out; they run natively on amd64.
test_arm64() {
	if ! command -v qemu-aarch64-static >/dev/null || ! command -v aarch64-linux-gnu-as >/dev/null; then
		{ apt-get update && apt-get install -y --no-install-recommends qemu-user-static binutils-aarch64-linux-gnu; } >/dev/null 2>&1 || {
			[ -z "${M2EMBED_ARM64:-}" ] || { echo "build.sh: qemu-user-static or binutils-aarch64-linux-gnu is missing" >&2; exit 1; }
			say "arm64 NOT tested: install qemu-user-static and binutils-aarch64-linux-gnu"
			return 0
		}
	fi
	say "arm64 under qemu"
	M2EMBED_ARM64=1 go test ./core/kernel/internal/neongen
	arm64_package core/kernel .
	arm64_package core/kernel 'IntegerMatrix|AssemblyBits|Sets|NoAllocation' cortex-a53
	arm64_package core/model 'GoldenTiny|GoldenStages|GoldenHalf|Int8Tiny|MixedTypes'
	arm64_package core/checkpoint .
	arm64_package core/tokenizer .
	arm64_package core 'Truncation|IDs|Normalize|OpenErrors|ParsedTokenizer'
}

# arm64_package FOLDER TESTS [PROCESSOR]
arm64_package() {
	mkdir -p build/arm64
	GOARCH=arm64 CGO_ENABLED=0 go test -c -o build/arm64/package.test "./$1"
	echo "$1 $2" >&2
	(cd "$1" && qemu-aarch64-static -cpu "${3:-max}" "$OLDPWD/build/arm64/package.test" -test.short -test.timeout 10m -test.run "$2")
}

run_tests() {
	need go "install Go 1.21 or later from go.dev"
	need npm "install Node 20 or later"
	sh site/build.sh element # the module and the npm packages, too: what runs beside reads them
	# Browsers and emulators leave a core idle that Go's tests fill, and the other
	# way round.
	trap 'trap - INT; kill 0' INT # what runs beside would not hear it
	beside go test_go test_race test_beam test_page
	beside js test_js
	beside gpu test_arm64 test_gpu
	joined go js gpu
	say "all tests passed"
}

# beside NAME FUNCTION… runs functions one after the other in the background, with
# the name before each line of what they print.
beside() {
	name=$1
	shift
	mkdir -p build/passed
	rm -f "build/passed/$name"
	{
		for step in "$@"; do $step; done
		touch "build/passed/$name"
	} 2>&1 | sed -u "s/^/$name: /" >&2 &
}

# joined NAME… waits for what runs beside, and fails if one of them has failed.
joined() {
	wait
	for name in "$@"; do
		[ -e "build/passed/$name" ] || {
			echo "build.sh: tests failed: see the lines that begin with \"$name: \"" >&2
			exit 1
		}
	done
}

test_js() {
	say "wasm: kernels, module, host engine, npm package"
	sh wasm/build.sh test
	say "parity of the runtimes, short"
	sh wasm/build.sh parity short
}

test_page() {
	say "the page"
	sh site/build.sh test
}

# test_gpu takes what the others leave: pages are asked how soon they answer.
test_gpu() {
	say "WebGPU"
	nice -n 10 sh webgpu/build.sh test
	say "WebGPU, npm package"
	nice -n 10 sh wasm/build.sh test-gpu
}

# types checks the TypeScript of a folder.
types() {
	cmp -s "$1/package-lock.json" "$1/node_modules/.installed-lock" || {
		(cd "$1" && npm ci --no-audit --no-fund --loglevel=error)
		cp "$1/package-lock.json" "$1/node_modules/.installed-lock"
	}
	(cd "$1" && node_modules/.bin/tsc --noEmit -p .)
}

check() {
	need go "install Go 1.21 or later from go.dev"
	need npm "install Node 20 or later"
	say "format"
	unformatted=$(git ls-files '*.go' | xargs gofmt -l)
	[ -z "$unformatted" ] || { echo "not formatted: $unformatted" >&2; exit 1; }
	sh wasm/build.sh module
	say "vet"
	go vet -tags m2embed_module ./...
	go vet -tags noasm ./core/... ./host/...
	go vet -tags daulet ./host/...
	go vet -tags m2embed_operations ./webgpu/...
	GOOS=wasip1 GOARCH=wasm go vet -unsafeptr=false -tags m2embed_kernels ./core/... ./wasm
	say "staticcheck"
	go run $STATICCHECK ./...
	go run $STATICCHECK -tags m2embed_operations ./webgpu/...
	say "cross-builds"
	for target in linux/arm64 darwin/arm64 windows/amd64 wasip1/wasm; do
		case $target in
		wasip1/*) packages=./core/... ;;
		*) packages=./... ;;
		esac
		GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0 go build $packages
	done
	say "generated files"
	sh core/kernel/internal/avogen/generate.sh --check
	say "modules"
	go mod tidy -diff
	other_module
	say "types"
	for folder in wasm/js webgpu site; do types $folder; done
	say "work tree"
	status=$(git status --porcelain)
	[ -z "$status" ] || { echo "$status" >&2; echo "build.sh: the work tree is not clean" >&2; exit 1; }
}

# set_module PATH gives the Go module another path: in go.mod, in those of the
# modules within, and in every import.
set_module() {
	[ $# -eq 1 ] || { echo "usage: build.sh module PATH" >&2; exit 2; }
	old=$(go list -m)
	git ls-files '*go.mod' | xargs sed -i -E "s#^(module |replace |\t)$old([ /]|\$)#\1$1\2#"
	git ls-files '*.go' | xargs sed -i -E "s#([\"[])$old/#\1$1/#g"
	git ls-files '*.go' | xargs gofmt -w
}

# other_module builds a copy of the tree under another path.
other_module() {
	say "another module path"
	copy=$(mktemp -d)
	trap 'rm -rf "$copy"' EXIT
	git ls-files -z | xargs -0 cp --parents -t "$copy"
	(
		cd "$copy"
		git init -q
		git add -A
		./build.sh module example.org/someone/m2embed
		if git grep -nE '"m2embed/|^module m2embed|(^|[[:space:]])m2embed (v0|=>)' -- '*.go' '*go.mod'; then
			echo "build.sh: module leaves the path where it stands above" >&2
			exit 1
		fi
		go build ./...
		go vet ./host ./core
		GOOS=wasip1 GOARCH=wasm go build -tags m2embed_kernels -buildmode=c-shared -o module.wasm ./wasm
	)
	rm -rf "$copy"
	trap - EXIT
}

# set_version X gives everything that is published the version X.
set_version() {
	[ $# -eq 1 ] || { echo "usage: build.sh version X.Y.Z" >&2; exit 2; }
	sed -i "s/^const Version = .*/const Version = \"$1\"/" core/version.go
	for folder in wasm/js site; do
		(cd "$folder" && npm version "$1" --no-git-tag-version --allow-same-version >/dev/null)
	done
	sed -i "s/\"m2embed-inline\": \"[^\"]*\"/\"m2embed-inline\": \"$1\"/" wasm/js/package.json wasm/js/package-lock.json
	go test -run TestVersion ./host
}

soak() {
	say "long Go tests"
	M2EMBED_SOAK=1 go test -timeout 120m ./core/... ./host/...
	M2EMBED_SOAK=1 go test -timeout 60m -tags noasm -run '^TestGolden80M$' ./core/model
	go test -timeout 60m ./host/internal/tokenizertest -args -strings 5000000 -seed 7
	say "fuzzing"
	for place in $(grep -roE '^func Fuzz[A-Za-z0-9]+' --include='*_test.go' core host | sed 's/func //' | sort); do
		target=${place#*:} package=$(dirname "${place%%:*}")
		# Opening and embedding as a whole have longer; and no minute is spent on
		# making one interesting input smaller.
		time=60s
		case $target in FuzzOpen | FuzzEmbed) time=10m ;; esac
		go test -run '^$' -fuzz "^$target\$" -fuzztime $time -fuzzminimizetime 10x -timeout 20m "./$package"
	done
	sh wasm/build.sh parity
	sh wasm/build.sh bundlers
	sh webgpu/build.sh soak
	sh host/clients/build.sh test
	sh host/clients/build.sh schema
	say "the server with every fault"
	go run ./host/soak
}

verb=${1:-}
[ $# -eq 0 ] || shift
case $verb in
build) build ;;
embed) embed "$@" ;;
test) run_tests ;;
check) check ;;
bench)
	build
	if sh host/internal/tokenizertest/build-rust.sh; then
		CGO_ENABLED=1 CGO_LDFLAGS="-L$PWD/build/tokenizers" go run -tags daulet ./host/bench "$@"
	else
		go run ./host/bench "$@"
	fi
	go run ./host/bench/serve
	go run ./host/bench/batch
	sh wasm/build.sh bench
	sh webgpu/build.sh bench
	;;
eval) go run ./host/eval "$@" ;;
wasm) sh wasm/build.sh module && sh wasm/build.sh pack && sh wasm/build.sh sizes ;;
parity) sh wasm/build.sh parity "$@" ;;
bundlers) sh wasm/build.sh bundlers "$@" ;;
site) sh site/build.sh build ;;
serve)
	build
	sh site/build.sh build
	bin/m2embed serve --site site/dist --address "127.0.0.1:${1:-8080}"
	;;
beam) in_beam go build -o "$PWD/bin/m2embed-beam" ./cmd/m2embed-beam ;;
version) set_version "$@" ;;
module) set_module "$@" ;;
tokenizers) sh host/internal/tokenizertest/build-rust.sh test ;;
clients) sh host/clients/build.sh test && sh host/clients/build.sh schema ;;
soak) soak ;;
*)
	sed -n '2,/^set -eu/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
	exit 2
	;;
esac
