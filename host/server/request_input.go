package server

import (
	"m2embed/core"
)

// readInput reads the member with the texts: a string, a list of strings, a list of
// token ids, or a list of lists of token ids.
func (r *requestReader) readInput() error {
	r.input = true
	name := r.form.input
	kind, err := r.kind()
	if err != nil {
		return err
	}
	switch kind {
	case '"':
		return r.readText()
	case '[':
	default:
		return invalid(name, "%s is %s, want a string or a list", name, nameOf(kind))
	}
	if _, err := r.json.ReadToken(); err != nil {
		return err
	}
	first := r.json.PeekKind()
	switch first {
	case '0':
		return r.readIDs() // one list of ids
	case ']':
		return coded(codeEmpty, name, "%s is empty, want at least one text", name)
	case '"', '[':
	default:
		if _, err := r.kind(); err != nil {
			return err
		}
		return invalid(name, "%s holds %s, want strings or token ids", name, nameOf(first))
	}
	for {
		kind := r.json.PeekKind()
		if kind == ']' {
			_, err := r.json.ReadToken()
			return err
		}
		if _, err := r.kind(); err != nil {
			return err
		}
		if kind != first {
			return invalid(r.form.input, "input %d is %s, but the first is %s", len(r.inputs), nameOf(kind), nameOf(first))
		}
		if len(r.inputs) == r.most {
			return coded(codeTooMany, r.form.input, "more than %d inputs", r.most)
		}
		if kind == '"' {
			if err := r.readText(); err != nil {
				return err
			}
			continue
		}
		if _, err := r.json.ReadToken(); err != nil { // the list's beginning
			return err
		}
		if err := r.readIDs(); err != nil {
			return err
		}
	}
}

func (r *requestReader) readText() error {
	token, err := r.json.ReadToken()
	if err != nil {
		return err
	}
	r.inputs = append(r.inputs, core.Input{Text: token.String()})
	return nil
}

// mostIDs bounds the ids of a text: far more than any model takes.
const mostIDs = 1 << 20

// readIDs reads ids up to the end of their list.
func (r *requestReader) readIDs() error {
	ids := make([]int32, 0, 16)
	for {
		kind := r.json.PeekKind()
		if kind != ']' && kind != '0' {
			if _, err := r.kind(); err != nil {
				return err
			}
			return invalid(r.form.input, "input %d, token %d is %s, want a token id", len(r.inputs), len(ids), nameOf(kind))
		}
		token, err := r.json.ReadToken()
		if err != nil {
			return err
		}
		if kind == ']' {
			r.inputs = append(r.inputs, core.Input{IDs: ids})
			return nil
		}
		id, ok := wholeNumber(token.String())
		if !ok {
			return invalid(r.form.input, "input %d, token %d is %s, want a token id", len(r.inputs), len(ids), clip(token.String()))
		}
		if len(ids) == mostIDs {
			return coded(codeTooLong, r.form.input, "input %d has more than %d token ids", len(r.inputs), mostIDs)
		}
		ids = append(ids, int32(id))
	}
}
