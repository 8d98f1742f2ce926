// Package module holds m2embed.wasm as the release build embeds it:
//
//	wasm/build.sh module && go build -tags m2embed_module ./host/cmd/m2embed
//
// Without the tag [Bytes] is nil, so that the repository builds before the
// module does.
package module
