package model

import (
	"bytes"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"m2embed/core/short"
)

// nested is the text of an array or object that no setting can be, as much of it as
// an error repeats.
type nested string

// mostNumbers is more than any array of a configuration has.
const mostNumbers = 4096

// parseObject reads the members of one JSON object. Values are string, float64,
// bool, nil, of an array of nothing but numbers []float64, and other arrays and
// objects nested but for prompts', a jsontext.Value. Some editors put a byte order
// mark in front, which JSON does not know; it is passed over.
func parseObject(data []byte) (map[string]any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	if k := d.PeekKind(); k != '{' {
		if _, err := d.ReadToken(); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, errors.New("want a JSON object")
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	object := map[string]any{}
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := key.String()
		switch d.PeekKind() {
		case '{', '[':
			value, err := d.ReadValue()
			if err != nil {
				return nil, err
			}
			if name == promptsKey {
				object[name] = value.Clone()
				continue
			}
			object[name] = nested(short.Text(string(value[:min(len(value), 2*short.MaxQuoted)])))
			if numbers, ok := parseNumbers(value); ok {
				object[name] = numbers
			}
			continue
		}
		value, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		switch value.Kind() {
		case '"':
			object[name] = value.String()
		case '0':
			v, err := strconv.ParseFloat(value.String(), 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %s is no number that can be held", short.Text(name), short.Text(value.String()))
			}
			object[name] = v
		case 't', 'f':
			object[name] = value.Bool()
		default:
			object[name] = nil
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the JSON object")
	}
	return object, nil
}

// parseNumbers reads a JSON array of nothing but numbers.
func parseNumbers(array jsontext.Value) (numbers []float64, ok bool) {
	if array.Kind() != '[' || bytes.Count(array, []byte(",")) >= mostNumbers {
		return nil, false
	}
	for _, text := range bytes.Split(bytes.Trim(array, "[] \t\r\n"), []byte(",")) {
		v, err := strconv.ParseFloat(string(bytes.TrimSpace(text)), 64)
		if err != nil {
			return nil, false
		}
		numbers = append(numbers, v)
	}
	return numbers, true
}

// settings takes values out of an object; the first failure stays in err.
// A missing or null member leaves its variable alone.
type settings struct {
	object map[string]any
	err    error
}

func (r *settings) fail(reason string) {
	if r.err == nil {
		r.err = errors.New(reason)
	}
}

// read calls set with the named member and complains if it returns false.
func (r *settings) read(name, want string, set func(v any) bool) {
	v, ok := r.object[name]
	if !ok || v == nil {
		return
	}
	if !set(v) {
		r.fail(fmt.Sprintf("%s is %s, want %s", name, short.Text(fmt.Sprint(v)), want))
	}
}

func (r *settings) integer(name string, p *int) {
	r.read(name, "a whole number", func(v any) bool {
		f, ok := v.(float64)
		if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<31-1 {
			return false
		}
		*p = int(f)
		return true
	})
}

func (r *settings) integers(name string, p *[]int) {
	r.read(name, "a list of whole numbers", func(v any) bool {
		list, ok := v.([]float64)
		for _, f := range list {
			if ok = ok && f == math.Trunc(f) && math.Abs(f) <= 1<<31-1; ok {
				*p = append(*p, int(f))
			}
		}
		return ok
	})
}

func (r *settings) number(name string, p *float64) {
	r.read(name, "a number", func(v any) bool {
		f, ok := v.(float64)
		if ok {
			*p = f
		}
		return ok
	})
}

func (r *settings) boolean(name string, p *bool) {
	r.read(name, "true or false", func(v any) bool {
		b, ok := v.(bool)
		if ok {
			*p = b
		}
		return ok
	})
}

func (r *settings) text(name string, p *string) {
	r.read(name, "a string", func(v any) bool {
		s, ok := v.(string)
		if ok {
			*p = s
		}
		return ok
	})
}

func (r *settings) textOrInteger(name string, p *string) {
	r.read(name, "a string or a whole number", func(v any) bool {
		switch v := v.(type) {
		case string:
			*p = v
			return true
		case float64:
			*p = strconv.FormatFloat(v, 'f', -1, 64)
			return true
		}
		return false
	})
}
