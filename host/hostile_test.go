//go:build unix

package host

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"m2embed/host/internal/hosttest"
	"m2embed/host/internal/locate"
	"m2embed/host/internal/yamlconfig"
)

// hostileParts are parts of the tiny model, by their names, that could take
// time, memory or an error's text without bound.
func hostileParts(t *testing.T) map[string]map[string]string {
	config := string(hosttest.ReadFile(t, filepath.Join(tiny, "config.json")))
	tokenizer := string(hosttest.ReadFile(t, filepath.Join(tiny, "tokenizer.json")))
	repeat := strings.Repeat
	size := locate.MaxConfigSize - 4096
	long := repeat("m", size)
	cases := map[string]map[string]string{}
	// A member at the start of config.json; the tiny model's own of that name is renamed.
	with := func(name, value string) string {
		return strings.Replace(strings.Replace(config, `"`+name+`"`, `"own_`+name+`"`, 1), "{", fmt.Sprintf("{%q: %s,", name, value), 1)
	}
	for _, key := range []string{"vocab_size", "pooling", "padding", "prompts", "layer_norm_eps", "matryoshka_dimensions", "unknown", "pool_all"} {
		cases[key+" is a long text"] = map[string]string{"config.json": with(key, `"`+long+`"`)}
		cases[key+" is a long number"] = map[string]string{"config.json": with(key, repeat("1", size))}
		cases[key+" is a long list"] = map[string]string{"config.json": with(key, "[1"+repeat(",1", size/2)+"]")}
		cases[key+" is deep"] = map[string]string{"config.json": with(key, repeat("[", size))}
		cases[key+" is an object"] = map[string]string{"config.json": with(key, `{"`+long+`":1}`)}
	}
	for _, key := range []string{"vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings", "long_conv_l_max",
		"hyena_emb_dim", "hyena_filter_order", "monarch_mlp_nblocks", "max_seq_len", "evaluation_max_seq_len", "type_vocab_size", "pad_token_id", "padding"} {
		for _, value := range []string{"-1", "0", "2000000", "1048576", "1048575", "16777216", "2147483647", "4294967297", "9223372036854775807", "1e300", "1.5"} {
			cases[key+" is "+value] = map[string]string{"config.json": with(key, value)}
		}
	}
	cases["a long name twice"] = map[string]string{"config.json": `{"` + long[:size/2] + `":1,"` + long[:size/2] + `":1}`}
	cases["a long name, cut"] = map[string]string{"config.json": `{"` + long}
	cases["a long prompt's name"] = map[string]string{"config.json": with("prompts", `{"`+long+`":"x"}`)}
	cases["no JSON"] = map[string]string{"config.json": long}

	cases["YAML, too large"] = map[string]string{"config.json": "", "config.yaml": "a: " + long}
	size = yamlconfig.MaxSize - 256
	long = long[:size]
	yaml := func(text string) map[string]string { return map[string]string{"config.json": "", "config.yaml": text} }
	cases["YAML, deep"] = yaml(repeat("[", size))
	cases["YAML, deep blocks"] = yaml(repeat("- ", size/2))
	cases["YAML, a long name twice"] = yaml(long[:size/2] + ": 1\n" + long[:size/2] + ": 1\n")
	cases["YAML, a reference to a long name"] = yaml("model: {model_config: {x: '${" + long + "}'}}")
	cases["YAML, a long name in a circle"] = yaml("model: {model_config: {x: '${" + long[:size/3] + "}'}}\n? " + long[:size/3] + "\n: ${" + long[:size/3] + "}")
	cases["YAML, a long reference that stays open"] = yaml("model: {model_config: {x: '${" + long + "'}}")
	cases["YAML, a section with a long name in a text"] = yaml("model: {model_config: {x: 'a${" + long[:size/3] + "}'}}\n? " + long[:size/3] + "\n: {}")
	cases["YAML, many references"] = yaml("a: x\nmodel: {model_config: {x: '" + repeat("${a}", size/8) + "'}}")
	cases["YAML, a long unknown alias"] = yaml("model: *" + long)
	cases["YAML, a long text at the top"] = yaml(long)
	cases["YAML, a long number"] = yaml("model: {model_config: {vocab_size: " + repeat("1", size) + "}}")
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'k'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	cases["YAML, aliases of aliases"] = yaml(laughs + "model: {model_config: {x: *k}}")
	cases["YAML, many aliases"] = yaml("a: &a [" + repeat("x,", size/8) + "x]\nmodel: {model_config: [" + repeat("*a,", size/8) + "*a]}")
	cases["YAML, merges"] = yaml("a: &a {" + repeat("x: 1, ", 1) + "y: 1}\nmodel: {model_config: {<<: [" + repeat("*a,", size/8) + "*a]}}")

	tokens := func(old, with string) map[string]string {
		if !strings.Contains(tokenizer, old) {
			t.Fatalf("no %s in tokenizer.json", old)
		}
		return map[string]string{"tokenizer.json": strings.Replace(tokenizer, old, with, 1)}
	}
	const million = 1 << 20
	many := func(n int, entry string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, entry, i)
		}
		return b.String()
	}
	cases["an id of 999999999"] = tokens(`"vocab": {`, `"vocab": {"mmm": 999999999,`)
	cases["an id of 500000"] = tokens(`"vocab": {`, `"vocab": {"mmm": 500000,`)
	cases["a long token"] = tokens(`"vocab": {`, `"vocab": {"`+repeat("m", million)+`": 0,`)
	cases["a long token's id"] = tokens(`"vocab": {`, `"vocab": {"m": `+repeat("1", million)+`,`)
	cases["a token many times"] = tokens(`"vocab": {`, `"vocab": {`+repeat(`"m":1,`, million/6))
	cases["many added tokens"] = tokens(`"added_tokens": [`, `"added_tokens": [`+many(20_000, `{"content":"m%d"},`))
	cases["long added tokens"] = tokens(`"added_tokens": [`, `"added_tokens": [{"content":"`+repeat("m", million)+`"},`)
	cases["an added token many times"] = tokens(`"added_tokens": [`, `"added_tokens": [`+repeat(`{"content":"m"},`, million/16))
	cases["short added tokens"] = tokens(`"added_tokens": [`, `"added_tokens": [`+many(400_000, `{"content":"%d"},`))
	cases["an added token of Hangul"] = tokens(`"added_tokens": [`, `"added_tokens": [{"normalized":true,"content":"`+repeat("\ud55c", million/3)+`"},`)
	cases["added tokens of Hangul"] = tokens(`"added_tokens": [`, `"added_tokens": [`+many(1000, `{"normalized":true,"content":"`+repeat("\ud55c", 330)+`%d"},`))
	cases["a template of long lists"] = tokens(`"post_processor"`, `"post_processor": {"type": "TemplateProcessing", "single": [`+repeat(`{"SpecialToken":{"id":"m"}},`, 10_000)+
		`{"Sequence":{"id":"A"}}], "special_tokens": {"m": {"ids": [1`+repeat(",1", 100_000)+`]}}}, "own_post_processor"`)
	cases["a long list of special tokens"] = tokens(`"post_processor"`, `"post_processor": {"special_tokens": {"m": {"ids": [1`+repeat(",1", 8*million)+`]}}}, "own_post_processor"`)
	cases["many special tokens"] = tokens(`"post_processor"`, `"post_processor": {"special_tokens": {`+many(million, `"%d":{},`)+`"m":{}}}, "own_post_processor"`)
	cases["a template of many tokens"] = tokens(`"post_processor"`, `"post_processor": {"single": [`+repeat(`{"SpecialToken":{}},`, million)+`{}]}, "own_post_processor"`)
	// numbered are entries with ids from 100,000 on.
	numbered := func(n int, name string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"`+name+`":%d,`, i, 100_000+i)
		}
		return b.String()
	}
	cases["a vocabulary with a wide gap"] = tokens(`"vocab": {`, `"vocab": {`+numbered(300_000, "m%d")+`"mmm":4800000,`)
	cases["many tokens, one of them twice"] = tokens(`"vocab": {`, `"vocab": {"mmm":600001,`+numbered(500_000, "m%d")+`"mmm":600002,`)
	cases["many continuations"] = tokens(`"vocab": {`, `"vocab": {`+numbered(500_000, "##%d"))
	cases["a long type"] = tokens(`"BertNormalizer"`, `"`+repeat("m", million)+`"`)
	cases["a deep tokenizer"] = tokens(`"version"`, `"x": `+repeat("[", million))
	cases["a long version"] = tokens(`"version": "1.0"`, `"version": "`+repeat("m", million)+`"`)
	cases["a long name of the unknown token"] = tokens(`"unk_token": "[UNK]"`, `"unk_token": "`+repeat("m", million)+`"`)
	cases["long names"] = map[string]string{"tokenizer.json": `{"` + repeat("m", million) + `": [`}
	cases["lines"] = map[string]string{"tokenizer.json": "", "vocab.txt": repeat("\n", million)}
	cases["short lines"] = map[string]string{"tokenizer.json": "", "vocab.txt": "[UNK]\n" + many(million, "%d\n")}
	cases["short lines twice"] = map[string]string{"tokenizer.json": "", "vocab.txt": "[UNK]\n" + repeat(many(million/2, "%d\n"), 2)}
	cases["a long line"] = map[string]string{"tokenizer.json": "", "vocab.txt": repeat("m", million)}

	long = repeat("m", locate.MaxConfigSize-4096)
	const prompts = locate.PromptsFile
	cases["a long prompt"] = map[string]string{prompts: `{"prompts": {"query": "` + long + `"}}`}
	cases["a long name of a prompt"] = map[string]string{prompts: `{"prompts": {"` + long + `": 1}}`}
	cases["prompts are a long text"] = map[string]string{prompts: `{"prompts": "` + long + `"}`}
	cases["a long text of prompts"] = map[string]string{prompts: long}
	return cases
}

// processorTime is what the process has used of the processors: others may have
// them for most of the time.
func processorTime(t *testing.T) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// TestHostileParts opens models with hostile parts: everything that is made,
// garbage included, stays within 64 MB and four times the files, it takes no
// second of processor time, and an error repeats little of them.
func TestHostileParts(t *testing.T) {
	names := map[string]string{"config.json": "config.json", "tokenizer.json": "tokenizer.json", "model.safetensors": "model.safetensors"}
	for name, parts := range hostileParts(t) {
		t.Run(name, func(t *testing.T) {
			files := mapFS(t, names)
			for part, text := range parts {
				if delete(files, part); text != "" {
					files[part] = &fstest.MapFile{Data: []byte(text)}
				}
			}
			bytes := 0
			for _, f := range files {
				bytes += len(f.Data)
			}
			var err error
			least, made := time.Hour, uint64(0)
			for try := 0; try < 3 && least > time.Second; try++ { // neighbours on a core make it slower
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				started := processorTime(t)
				var m *Model
				if m, err = OpenFS(files, Options{Threads: 1}); err == nil {
					err = m.Close()
				}
				least = min(least, processorTime(t)-started)
				runtime.ReadMemStats(&after)
				made = after.TotalAlloc - before.TotalAlloc
			}
			if limit := uint64(64<<20 + 4*bytes); made > limit {
				t.Errorf("%d bytes were made of files of %d, want %d or less", made, bytes, limit)
			}
			if least > time.Second {
				t.Errorf("files of %d bytes took %v", bytes, least)
			}
			if err != nil && (len(err.Error()) > 1000 || strings.Contains(err.Error(), "\n")) {
				t.Errorf("an error of %d bytes: %.300s", len(err.Error()), err)
			}
			t.Logf("%d bytes: %d made, %v, %.300v", bytes, made, least, err)
		})
	}
}
