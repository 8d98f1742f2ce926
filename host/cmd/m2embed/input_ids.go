package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"m2embed/core"
)

// maxIDs is the longest list of token ids that is read: longer than any model
// takes.
const maxIDs = 1 << 22

// idSource reads lists of token ids: [[…], […]], or one list […] a line. Only
// one list is in memory at a time.
func (f *inputFlags) idSource(s *source, r *bufio.Reader, name string) {
	d := &idDecoder{json: json.NewDecoder(r)}
	s.where = func(place int) string { return fmt.Sprintf("%s: list %d", name, place) }
	count := 0
	last := int64(0)
	s.next = func() (item, error) {
		count++
		ids, err := d.next()
		if err == io.EOF {
			return item{}, err
		}
		if err != nil {
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("not JSON: %w", err)
			}
			return item{}, fmt.Errorf("%s: %w", s.where(count), err)
		}
		read := d.json.InputOffset() - last
		last += read
		return item{Input: core.Input{IDs: ids}, place: count, bytes: int(read)}, nil
	}
}

// idDecoder takes lists out of a stream of JSON values.
type idDecoder struct {
	json  *json.Decoder
	outer bool // inside [[…], …]
}

// next returns the next list of ids.
func (d *idDecoder) next() ([]int32, error) {
	token, err := d.token()
	if err != nil {
		return nil, err
	}
	for d.outer && token == json.Delim(']') {
		d.outer = false
		if token, err = d.token(); err != nil {
			return nil, err
		}
	}
	if token != json.Delim('[') {
		return nil, fmt.Errorf("%s, want a list of token ids", describeToken(token))
	}
	ids := make([]int32, 0, 16)
	for {
		token, err := d.token()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case float64:
			if t != math.Trunc(t) || t < math.MinInt32 || t > math.MaxInt32 {
				return nil, fmt.Errorf("token %d is %v, want a token id", len(ids), t)
			}
			if len(ids) == maxIDs {
				return nil, fmt.Errorf("more than %d ids", maxIDs)
			}
			ids = append(ids, int32(t))
		case json.Delim:
			switch {
			case t == ']':
				return ids, nil
			case t == '[' && len(ids) == 0 && !d.outer:
				d.outer = true
				continue
			}
			return nil, fmt.Errorf("%s after %d ids, want a token id", describeToken(token), len(ids))
		default:
			return nil, fmt.Errorf("token %d is %s, want a token id", len(ids), describeToken(token))
		}
	}
}

// token is the next token; at the end of the file inside a list it is
// io.ErrUnexpectedEOF.
func (d *idDecoder) token() (json.Token, error) {
	token, err := d.json.Token()
	if err == io.EOF && d.outer {
		err = io.ErrUnexpectedEOF
	}
	return token, err
}

func describeToken(token json.Token) string {
	switch t := token.(type) {
	case json.Delim:
		return fmt.Sprintf("%q", t.String())
	case string:
		return fmt.Sprintf("the string %q", excerpt(t, 40))
	case nil:
		return "null"
	}
	return fmt.Sprint(token)
}
