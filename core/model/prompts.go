package model

import (
	"bytes"
	"cmp"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// The tasks that every model knows.
const (
	TaskQuery    = "query"    // what is searched with
	TaskDocument = "document" // what is searched in, and the default
)

// documentPrompts are the names that sentence-transformers takes for the prompt of
// documents: the first that is there.
var documentPrompts = []string{TaskDocument, "passage", "corpus"}

const promptsKey = "prompts"

// Bounds of prompts: more than any model of sentence-transformers has, and too
// few to be a burden in front of every text.
const (
	mostPrompts    = 256
	mostPromptName = 64   // bytes
	mostPrompt     = 4096 // bytes
)

// Prompt is the text that is put before the text of an input with a task, "" for
// none. The task [TaskQuery] takes the prompt "query", [TaskDocument] and "" the
// first of "document", "passage" and "corpus"; both are known to every model and do
// nothing where it has no such prompt. Other tasks are the names of prompts.
//
// # Errors
//
// A task that the model does not know.
func (c Config) Prompt(task string) (string, error) {
	switch task {
	case TaskQuery:
		return c.Prompts[TaskQuery], nil
	case "", TaskDocument:
		for _, name := range documentPrompts {
			if prompt, ok := c.Prompts[name]; ok {
				return prompt, nil
			}
		}
		return "", nil
	}
	prompt, ok := c.Prompts[task]
	if !ok {
		return "", fmt.Errorf("task %s, want one of %s", few([]string{task}, 1), few(c.Tasks(), 12))
	}
	return prompt, nil
}

// Tasks are the names that [Config.Prompt] takes: query, document, and those of
// other prompts by the alphabet.
func (c Config) Tasks() []string {
	tasks := []string{TaskQuery, TaskDocument}
	for _, name := range slices.Sorted(maps.Keys(c.Prompts)) {
		if !slices.Contains(tasks, name) {
			tasks = append(tasks, name)
		}
	}
	return tasks
}

// ParsePrompts reads the value of the member prompts of a config.json, or of
// sentence-transformers' config_sentence_transformers.json: an object of texts, or
// null.
//
// # Errors
//
// Another value, and more, or longer, names and texts than a model has.
func ParsePrompts(value []byte) (map[string]string, error) {
	d := jsontext.NewDecoder(bytes.NewReader(value))
	if kind := d.PeekKind(); kind != '{' {
		token, err := d.ReadToken()
		if err == nil && token.Kind() != 'n' {
			err = errors.New("prompts is not an object of texts")
		}
		return nil, err
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	prompts := map[string]string{}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		if name == "" || len(name) > mostPromptName {
			return nil, fmt.Errorf("prompts: name %s of %d bytes, want 1 to %d", few([]string{name}, 1), len(name), mostPromptName)
		}
		if len(prompts) == mostPrompts {
			return nil, fmt.Errorf("prompts: more than %d", mostPrompts)
		}
		if d.PeekKind() == 'n' { // as if it were not there
			if _, err := d.ReadToken(); err != nil {
				return nil, err
			}
			continue
		}
		if kind := d.PeekKind(); kind != '"' {
			return nil, cmp.Or(d.SkipValue(), fmt.Errorf("prompts: %q is no text", name))
		}
		if token, err = d.ReadToken(); err != nil {
			return nil, err
		}
		prompt := token.String()
		if len(prompt) > mostPrompt {
			return nil, fmt.Errorf("prompts: %q has %d bytes, want at most %d", name, len(prompt), mostPrompt)
		}
		prompts[name] = prompt
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("prompts: text after the object")
	}
	if len(prompts) == 0 {
		return nil, nil
	}
	return prompts, nil
}

// prompts reads the member prompts.
func (r *settings) prompts(p *map[string]string) {
	v, ok := r.object[promptsKey]
	if !ok || v == nil {
		return
	}
	value, ok := v.(jsontext.Value)
	if !ok {
		r.fail("prompts is not an object of texts")
		return
	}
	prompts, err := ParsePrompts(value)
	if err != nil {
		r.fail(err.Error())
	}
	*p = prompts
}
