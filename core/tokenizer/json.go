package tokenizer

import (
	"bytes"
	"encoding/json/jsontext"
	"fmt"
	"strconv"
)

// jsonReader walks a JSON text. Its functions take a value of the kind that they
// name, or fail saying what was there instead. A null leaves the zero value.
type jsonReader struct{ *jsontext.Decoder }

func newJSONReader(data []byte) jsonReader {
	// The library that writes these files takes the last of two equal names.
	return jsonReader{jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true))}
}

var jsonKinds = map[jsontext.Kind]string{
	'n': "null", 't': "true", 'f': "false", '"': "a string", '0': "a number", '{': "an object", '[': "an array",
}

func (d jsonReader) unexpected(kind jsontext.Kind, want string) error {
	if kind == 0 {
		// There is no valid token: reading it tells why.
		if _, err := d.ReadToken(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s, want %s", jsonKinds[kind], want)
}

// null takes a null, if there is one.
func (d jsonReader) null() bool {
	if d.PeekKind() != 'n' {
		return false
	}
	_, err := d.ReadToken()
	return err == nil
}

// object calls member for each name of an object; member must take the value.
func (d jsonReader) object(member func(name string) error) error {
	if d.null() {
		return nil
	}
	if kind := d.PeekKind(); kind != '{' {
		return d.unexpected(kind, "an object")
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		if err := member(name); err != nil {
			return fmt.Errorf("%s: %w", shorten(name), err)
		}
	}
	_, err := d.ReadToken()
	return err
}

// array calls element for each element of an array; element must take it.
func (d jsonReader) array(element func(i int) error) error {
	if d.null() {
		return nil
	}
	if kind := d.PeekKind(); kind != '[' {
		return d.unexpected(kind, "an array")
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for i := 0; d.PeekKind() != ']'; i++ {
		if err := element(i); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	_, err := d.ReadToken()
	return err
}

func (d jsonReader) string(dst *string) error {
	if d.null() {
		return nil
	}
	if kind := d.PeekKind(); kind != '"' {
		return d.unexpected(kind, "a string")
	}
	token, err := d.ReadToken()
	if err == nil {
		*dst = token.String()
	}
	return err
}

func (d jsonReader) bool(dst *bool) error {
	if d.null() {
		return nil
	}
	if kind := d.PeekKind(); kind != 't' && kind != 'f' {
		return d.unexpected(kind, "true or false")
	}
	token, err := d.ReadToken()
	if err == nil {
		*dst = token.Bool()
	}
	return err
}

// count takes a whole number from 0 to 2³¹−1.
func (d jsonReader) count(dst *int) error {
	if d.null() {
		return nil
	}
	if kind := d.PeekKind(); kind != '0' {
		return d.unexpected(kind, "a whole number")
	}
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(value), 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("%s, want a whole number from 0 to %d", shorten(string(value)), 1<<31-1)
	}
	*dst = int(n)
	return nil
}

// shorten keeps names from outside from filling an error message.
func shorten(name string) string {
	const most = 60
	quoted := strconv.Quote(name)
	if len(quoted) > most {
		quoted = quoted[:most] + "…"
	}
	return quoted
}
