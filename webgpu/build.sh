#!/bin/sh
# Steps of the GPU part, called by ../build.sh.
#
#   test    planner, kernels and executors on the software adapter: in the test's
#           own process (native), in Node and in Chromium
#   types   type-check the executor
#   soak    the same with long texts
#   bench   time kernels and forward passes on this machine's GPU; writes
#           ../testdata/bench/webgpu.json and .md. PYTHON names a python that has
#           PyTorch, for the comparison.
set -eu
cd "$(dirname "$0")"
export GOTOOLCHAIN=auto

packages() {
	[ -f node_modules/.package-lock.json ] && [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-fund --no-audit
}

# debian installs a Debian package unless a file of it is there.
debian() {
	[ -e "$2" ] || { apt-get update && apt-get install -y --no-install-recommends "$1"; }
}

# software makes the adapters of Chromium's software driver.
software() {
	packages
	npx --no-install tsc -p .
	debian chromium /usr/bin/chromium
	debian libvulkan1 /usr/lib/x86_64-linux-gnu/libvulkan.so.1
	export VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json
	export M2EMBED_WEBGPU_LIBRARY="$PWD/node_modules/bun-webgpu-linux-x64/libwebgpu_wrapper.so"
	export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}"
}

verb=${1:-test}
case $verb in
test)
	software
	go test ./plan ./kernels
	node --test dist/test/executor.test.js
	for runner in native node chromium; do
		echo "GPU runner $runner" >&2
		M2EMBED_WEBGPU=$runner go test -tags m2embed_operations -count=1 -timeout 20m ./parity ./native
	done
	;;
types)
	packages
	npx --no-install tsc --noEmit -p .
	;;
soak)
	software
	M2EMBED_SOAK=1 M2EMBED_WEBGPU=native go test -tags m2embed_operations -count=1 -timeout 120m ./parity
	;;
bench)
	packages
	export M2EMBED_WEBGPU_LIBRARY="${M2EMBED_WEBGPU_LIBRARY:-$PWD/node_modules/bun-webgpu-linux-x64/libwebgpu_wrapper.so}"
	cd ..
	go run -tags m2embed_operations ./webgpu/bench -torch "${PYTHON:-}" -json testdata/bench/webgpu.json -markdown testdata/bench/webgpu.md
	;;
*)
	echo "webgpu/build.sh: unknown verb $verb: test, types, soak, bench" >&2
	exit 2
	;;
esac
