#!/bin/sh
# Real clients of other servers against m2embed serve, with the embedded model.
# Called by the build.sh at the root; needs Go, curl, Python 3.11 or later with
# venv, and Node 20 or later with npm.
#
#   test           OpenAI's, LangChain's, LlamaIndex's, LiteLLM's, Cohere's, Hugging
#                  Face's and Ollama's clients, and curl
#   schema         Schemathesis: generated requests after openapi.yaml
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
clients=$root/host/clients
cache=$root/.cache/clients
export GOTOOLCHAIN=${GOTOOLCHAIN:-auto}

python() {
	if ! cmp -s "$clients/requirements.txt" "$cache/venv/installed.txt"; then
		python3 -m venv "$cache/venv"
		"$cache/venv/bin/pip" install -q --disable-pip-version-check -r "$clients/requirements.txt"
		cp "$clients/requirements.txt" "$cache/venv/installed.txt"
	fi
}

# serve starts the server on a free port and sets url.
serve() {
	mkdir -p "$cache"
	(cd "$root" && go build -o "$cache/m2embed" ./host/cmd/m2embed)
	"$cache/m2embed" serve --address 127.0.0.1:0 --alias text-embedding-3-small --index "$cache/index-$$.db" "$@" 2>"$cache/log-$$" &
	server=$!
	trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -f "$cache/log-$$" "$cache/index-$$.db"*' EXIT
	url=
	for _ in $(seq 100); do
		url=$(sed -n 's/.* on \(http:.*\)/\1/p' "$cache/log-$$")
		[ -z "$url" ] || break
		sleep 0.1
	done
	[ -n "$url" ] || { cat "$cache/log-$$" >&2; exit 1; }
}

curls() {
	curl -sf "$url/readyz" >/dev/null
	curl -sf "$url/v1/embeddings" --json '{"input": "hello"}' | grep -q '"object":"embedding"'
	curl -sf "$url/documents" --json '{"documents": [{"id": "a", "text": "a parcel can be returned"}]}' | grep -q '"documents":1'
	curl -sf "$url/search" --json '{"query": "return a parcel"}' | grep -q '"id":"a"'
	# Without a type, and with a wrong one, it says what to do.
	curl -s "$url/v1/embeddings" -d '{"input": "hello"}' | grep -q -- '--json'
	echo "ok   curl"
}

case "${1:-}" in
test)
	python
	(cd "$clients/js" && npm ci --no-audit --no-fund --loglevel=error)
	serve
	failed=0
	curls || failed=1
	"$cache/venv/bin/python" "$clients/clients.py" "$url" || failed=1
	node "$clients/js/clients.mjs" "$url" || failed=1
	(cd "$clients/go" && go run . "$url") || failed=1
	[ "$failed" = 0 ]
	;;
schema)
	python
	serve --body-limit 1000000 --timeout 20s
	cd "$cache" # where it leaves its notes
	"$cache/venv/bin/schemathesis" --config-file "$clients/schemathesis.toml" run "$url/openapi.yaml" --url "$url"
	kill -0 "$server"
	;;
*)
	sed -n '2,/^set -eu/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
	exit 2
	;;
esac
