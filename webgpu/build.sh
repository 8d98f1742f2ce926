#!/bin/sh
# Steps of the GPU part, called by ../build.sh.
#
#   test    planner, kernels and executors on software adapters: in the test's own
#           process (native) and in Node on Mesa's if it can be had, in Chromium on its own
#   on-mesa COMMAND… runs a command where native tests run, in this folder
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

mesa=$(cd .. && pwd)/build/mesa

# mesa puts Mesa's software driver into ../build/mesa, where Debian has it: it takes a
# third of the processor time of Chromium's, and keeps what it has compiled. Dawn
# wants one of 2023 or later, which a release of that year has among its backports.
mesa() {
	[ ! -f "$mesa/driver.json" ] || return 0
	release=$(. /etc/os-release 2>/dev/null && [ "$ID" = debian ] && [ "$(dpkg --print-architecture)" = amd64 ] && echo "$VERSION_CODENAME") || return 0
	rm -rf "$mesa" && mkdir -p "$mesa/lists/partial" "$mesa/archives/partial"
	printf 'deb http://deb.debian.org/debian %s main\n' "$release" "$release-backports" >"$mesa/sources.list"
	(
		cd "$mesa"
		own() {
			program=$1
			shift
			"$program" -qq -t "$release-backports" -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null \
				-o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD" -o Acquire::http::Timeout=20 -o APT::Sandbox::User=root "$@"
		}
		own apt-get update &&
			own apt-get download mesa-vulkan-drivers $(own apt-cache depends mesa-vulkan-drivers | sed -n 's/^ *Depends: \(libllvm.*\|libdrm.*\)$/\1/p') &&
			for package in *.deb; do dpkg -x "$package" root || exit; done &&
			libraries=$(dirname "$PWD"/root/usr/lib/*/libvulkan_lvp.so) &&
			sed "s#\"library_path\": \".*\"#\"library_path\": \"$libraries/libvulkan_lvp.so\"#" root/usr/share/vulkan/icd.d/lvp_icd*.json >driver.part &&
			ln -sfn "$libraries" libraries && rm -rf ./*.deb ./*.bin lists archives && mv driver.part driver.json
	) || echo "without Mesa's software driver: Chromium's will do" >&2
}

# on_mesa COMMAND… runs a command on Mesa's driver where that has an adapter, with
# vectors of four numbers and without passes of its compiler, which takes longer than
# the kernels run. Elsewhere it runs on Chromium's.
on_mesa() (
	mesa
	if [ -f "$mesa/driver.json" ]; then
		[ -f "$mesa/works" ] || ! in_mesa env M2EMBED_WEBGPU=native go test -tags m2embed_operations -count=1 -run '^TestTranspose$' ./parity >/dev/null 2>&1 || touch "$mesa/works"
		[ ! -f "$mesa/works" ] || {
			in_mesa "$@"
			return
		}
	fi
	"$@"
)

in_mesa() {
	LD_LIBRARY_PATH="$mesa/libraries" VK_ICD_FILENAMES="$mesa/driver.json" \
		MESA_SHADER_CACHE_DIR="$mesa/compiled" LP_NATIVE_VECTOR_WIDTH=128 GALLIVM_PERF=nopt "$@"
}

verb=${1:-test}
case $verb in
test)
	software
	go test ./plan ./kernels
	node --test dist/test/executor.test.js
	for runner in native node; do
		echo "GPU runner $runner" >&2
		on_mesa env M2EMBED_WEBGPU=$runner go test -tags m2embed_operations -count=1 -timeout 20m -p 1 ./parity ./native
	done
	echo "GPU runner chromium" >&2
	M2EMBED_WEBGPU=chromium go test -tags m2embed_operations -count=1 -timeout 20m ./parity ./native
	;;
on-mesa)
	shift
	software
	on_mesa "$@"
	;;
types)
	packages
	npx --no-install tsc --noEmit -p .
	;;
soak)
	software
	on_mesa env M2EMBED_SOAK=1 M2EMBED_WEBGPU=native go test -tags m2embed_operations -count=1 -timeout 120m ./parity
	;;
bench)
	packages
	export M2EMBED_WEBGPU_LIBRARY="${M2EMBED_WEBGPU_LIBRARY:-$PWD/node_modules/bun-webgpu-linux-x64/libwebgpu_wrapper.so}"
	cd ..
	go run -tags m2embed_operations ./webgpu/bench -torch "${PYTHON:-}" -json testdata/bench/webgpu.json -markdown testdata/bench/webgpu.md
	;;
*)
	echo "webgpu/build.sh: unknown verb $verb: test, on-mesa, types, soak, bench" >&2
	exit 2
	;;
esac
