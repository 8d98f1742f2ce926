package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

const noPrompts = `{"long_conv_l_max": 8, "hyena_emb_dim": 3}`

func withPrompts(value string) []byte {
	return []byte(strings.Replace(noPrompts, "{", `{"prompts": `+value+`, `, 1))
}

func TestParsePrompts(t *testing.T) {
	long := strings.Repeat("x", mostPrompt)
	for _, c := range []struct {
		value string
		want  map[string]string
	}{
		{`null`, nil}, {`{}`, nil}, {` { } `, nil}, {`{"query": null}`, nil},
		{`{"query": "query: ", "document": ""}`, map[string]string{"query": "query: ", "document": ""}},
		{`{"a\u0062": "\u00e9\n"}`, map[string]string{"ab": "é\n"}},
		{`{"query": "` + long + `"}`, map[string]string{"query": long}},
		{`{"` + long[:mostPromptName] + `": ""}`, map[string]string{long[:mostPromptName]: ""}},
	} {
		got, err := ParseConfig(withPrompts(c.value))
		if err != nil || !maps.Equal(got.Prompts, c.want) {
			t.Errorf("prompts %.80s: %v, %v", c.value, got.Prompts, err)
		}
	}
	many := make([]string, mostPrompts+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"p%d": "x"`, i)
	}
	for value, want := range map[string]string{
		`"query: "`: "not an object of texts", `7`: "not an object of texts", `["query: "]`: "not an object of texts", `[]`: "not an object of texts", `true`: "not an object of texts",
		`{"query": 7}`: `"query" is no text`, `{"query": {"text": "x"}}`: `"query" is no text`, `{"query": ["x"]}`: `"query" is no text`,
		`{"": "x"}`: "1 to 64", `{"` + long + `": "x"}`: "1 to 64", `{"query": "` + long + `x"}`: "4097 bytes", `{` + strings.Join(many, ",") + `}`: "more than 256",
		`{"a": "x", "a": "y"}`: "duplicate", "{\"a\": \"\xff\"}": "UTF-8",
	} {
		_, err := ParseConfig(withPrompts(value))
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("prompts %.80s: %.500v, want %q", value, err, want)
		}
	}
}

func TestPromptOfTask(t *testing.T) {
	for _, c := range []struct {
		prompts, task, want string
		fails               bool
	}{
		{`{}`, "", "", false}, {`{}`, "query", "", false}, {`{}`, "document", "", false}, {`{}`, "passage", "", true},
		{`{"query": "q", "passage": "p", "corpus": "c"}`, "", "p", false},
		{`{"query": "q", "passage": "p", "corpus": "c"}`, "document", "p", false},
		{`{"query": "q", "passage": "p", "corpus": "c"}`, "corpus", "c", false},
		{`{"query": "q", "corpus": "c"}`, "document", "c", false},
		{`{"document": "", "passage": "p"}`, "", "", false},
		{`{"document": "d"}`, "query", "", false},
		{`{"document": "d"}`, "DOCUMENT", "", true},
	} {
		config, err := ParseConfig(withPrompts(c.prompts))
		if err != nil {
			t.Fatal(err)
		}
		got, err := config.Prompt(c.task)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("prompts %s, task %q: %q, %v", c.prompts, c.task, got, err)
		}
	}
	config, _ := ParseConfig(withPrompts(`{"b": "", "query": "", "a": ""}`))
	if got := config.Tasks(); !slices.Equal(got, []string{"query", "document", "a", "b"}) {
		t.Errorf("tasks %q", got)
	}
}

// FuzzPrompts: what is read is within its bounds, and every task of the model has a
// prompt.
func FuzzPrompts(f *testing.F) {
	for _, seed := range []string{`{"query": "query: ", "document": ""}`, `null`, `[1]`, `{"a": {"b": 1}}`, "{\"\xff\": 1}", `{"a":"b"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		prompts, err := ParsePrompts(value)
		whole, inConfig := ParseConfig(withPrompts(string(value)))
		if err == nil && inConfig == nil && !maps.Equal(prompts, whole.Prompts) && len(value) > 0 {
			// Members behind the value may name prompts again, which is refused.
			t.Fatalf("%q alone is %q, in a configuration %q", value, prompts, whole.Prompts)
		}
		if len(prompts) > mostPrompts {
			t.Fatalf("%d prompts", len(prompts))
		}
		c := Config{Prompts: prompts}
		for _, task := range c.Tasks() {
			if prompt, err := c.Prompt(task); err != nil || len(prompt) > mostPrompt {
				t.Fatalf("task %q: %d bytes, %v", task, len(prompt), err)
			}
		}
	})
}
