#!/bin/sh
# Builds, serves and tests the page. Called by the build.sh above; needs Go,
# Node, npm and, for tests, Chromium.
#
#   build          static files, into site/dist
#   element        the custom element m2embed-search, for the command line and as an npm package
#   serve [port]   serves them as a static host does (default 8080)
#   test           drives the page in Chromium
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
site=$root/site
export GOTOOLCHAIN=${GOTOOLCHAIN:-auto}

# dependencies installs the pinned npm packages once.
dependencies() {
	if ! cmp -s "$site/package-lock.json" "$site/node_modules/.installed-lock"; then
		(cd "$site" && npm ci --no-audit --no-fund --loglevel=error)
		cp "$site/package-lock.json" "$site/node_modules/.installed-lock"
	fi
}

# kernel compiles the loop of the search unless it is newer than its source.
kernel() {
	built=$site/kernel/.built/cosines.wasm
	[ "$built" -nt "$site/kernel/cosines.ts" ] ||
		"$root/wasm/js/node_modules/.bin/asc" "$site/kernel/cosines.ts" -o "$built" -O3 --runtime stub \
			--importMemory --noExportMemory --noAssert --enable simd --disableWarning 112
}

build() {
	dependencies
	"$root/wasm/build.sh" js
	kernel
	(cd "$site" && node_modules/.bin/tsc --noEmit && node library.mjs && node_modules/.bin/vite build)
}

# element builds the custom element unless it is newer than its sources.
element() {
	dependencies
	"$root/wasm/build.sh" js
	script=$root/host/siteindex/scripts/m2embed-search.js
	if [ ! -f "$script" ] || [ ! -f "$root/wasm/build/packages/m2embed-search/package.json" ] ||
		[ -n "$(find "$site/element" "$site/element.mjs" "$site/src/search" "$site/src/dom.ts" "$site/package-lock.json" "$root/wasm/js/dist/worker.js" -newer "$script" -print | head -n 1)" ]; then
		(cd "$site" && node_modules/.bin/tsc --noEmit && node element.mjs)
	fi
}

# browser finds Chromium, and installs Debian's browsers where there are none.
browser() {
	command -v firefox-esr >/dev/null || command -v firefox >/dev/null ||
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y firefox-esr >/dev/null; }
	CHROMIUM=${CHROMIUM:-$(command -v chromium || true)}
	if [ -z "$CHROMIUM" ]; then
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null
		CHROMIUM=$(command -v chromium)
	fi
	export CHROMIUM
}

run_tests() {
	build
	element
	(cd "$root" && go build -trimpath -tags m2embed_module -o "$site/.built/m2embed" ./host/cmd/m2embed)
	(cd "$site" && node bundle.mjs)
	browser
	(cd "$site" && node --test --test-reporter=spec test/page.test.mjs)
}

case "${1:-}" in
build) build ;;
element) element ;;
test) run_tests ;;
serve)
	[ -f "$site/dist/index.html" ] || build
	exec node "$site/serve.mjs" "${2:-8080}"
	;;
*)
	echo "usage: site/build.sh build | element | serve [port] | test" >&2
	exit 2
	;;
esac
