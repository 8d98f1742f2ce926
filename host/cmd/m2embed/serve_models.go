package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"m2embed/core/model"
	"m2embed/host/server"
	"m2embed/host/small"
)

// served is a model of --model.
type served struct {
	name    string
	aliases []string
	path    string // empty: the embedded model
}

// what says where a model is.
func (m *served) what() string {
	if m.path == "" {
		return "the embedded model"
	}
	return m.path
}

// findModels reads --model, --name and --alias.
func (s *serving) findModels() error {
	if err := s.which.check(); err != nil {
		return err
	}
	if len(s.models) == 0 {
		s.sources = []served{{name: small.Name}}
	}
	for i, given := range s.models {
		m, named, err := readModel(given)
		if err != nil {
			return err
		}
		if i == 0 && named && s.name != "" {
			return usagef("--model %s and --name %s name the first model twice", given, s.name)
		}
		s.sources = append(s.sources, m)
	}
	if s.name != "" {
		s.sources[0].name = s.name
	}
	if o := s.which.options; len(s.sources) > 1 && (o.Config != "" || o.Tokenizer != "" || o.Cache != "") {
		return usagef("--config, --tokenizer and --cache are of one model, but --model names %d", len(s.sources))
	}
	for _, given := range s.aliases {
		alias, name, found := strings.Cut(given, "=")
		m := &s.sources[0]
		if found {
			i := slices.IndexFunc(s.sources, func(m served) bool { return m.name == name })
			if i < 0 {
				return usagef("--alias %s, but no --model is called %q", given, name)
			}
			m = &s.sources[i]
		}
		if alias == "" {
			return usagef("--alias %q, want name or name=model", given)
		}
		m.aliases = append(m.aliases, alias)
	}
	seen := map[string]bool{}
	for _, m := range s.sources {
		for _, name := range append([]string{m.name}, m.aliases...) {
			if seen[name] {
				return usagef("two models, or aliases, are called %q: tell them apart by --model name=folder", name)
			}
			seen[name] = true
		}
	}
	return nil
}

// readModel reads a value of --model, and says whether it holds a name.
func readModel(given string) (m served, named bool, err error) {
	name, path, named := strings.Cut(given, "=")
	if _, err := os.Stat(given); err == nil || !named || strings.ContainsAny(name, `/\`) {
		name, path, named = "", given, false // a path that may hold the sign itself
	}
	switch {
	case given == "":
		return m, false, usagef("--model is empty")
	case named && name == "":
		return m, false, usagef("--model %s, want a name before the sign =", given)
	case named:
		return served{name: name, path: path}, true, nil
	}
	absolute, err := filepath.Abs(path)
	return served{name: filepath.Base(absolute), path: path}, false, err
}

// openLater are the models for the server. They are there, but not open yet.
func (s *serving) openLater() ([]server.Source, error) {
	for _, m := range s.sources {
		if m.path == "" {
			continue
		}
		if _, err := os.Stat(m.path); err != nil {
			return nil, fmt.Errorf("open model %s: %w", m.name, err)
		}
	}
	if err := s.which.readModule(); err != nil {
		return nil, err
	}
	s.which.options.Filters = model.NewFilterPool(s.which.options.FilterBudget)
	var sources []server.Source
	for _, m := range s.sources {
		sources = append(sources, server.Source{Name: m.name, Aliases: m.aliases, Open: func() (server.Model, error) {
			opened, err := s.which.openAt(m.path)
			if err != nil {
				return nil, err // and not a nil *host.Model
			}
			return opened, nil
		}})
	}
	return sources, nil
}
