package server

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// request is what POST /v1/embeddings asks for.
type request struct {
	inputs     []core.Input
	options    core.Options
	model      string
	modelGiven bool
	modelAside bool // the API has no member of this name
	base64     bool
	taskMember string // that names the task
	cutLeft    bool
	comparison bool // of the first text with the others
}

// requestReader reads a request member by member, so that no more is held of
// it than what it means.
type requestReader struct {
	json  *jsontext.Decoder
	most  int // texts
	input bool
	form  form
	request
}

// form is what an API calls the members of a request.
type form struct {
	input string // the member with the texts
	// member reads a member by name.
	member func(r *requestReader, name string) error
}

// openAIForm is that of POST /v1/embeddings.
var openAIForm = form{"input", (*requestReader).member}

// readRequest reads the body of a request with at most the given number of
// texts.
//
// # Errors
//
// An *apiError for a request that is not as openapi.yaml has it; the reader's
// own errors.
func readRequest(body io.Reader, most int) (*request, error) {
	return readAs(body, most, openAIForm)
}

// readAs reads a request with members of another API.
func readAs(body io.Reader, most int, f form) (*request, error) {
	r := &requestReader{json: jsontext.NewDecoder(body), most: most, form: f}
	if err := r.read(); err != nil {
		return nil, unread(err)
	}
	return &r.request, nil
}

// readValue reads the body of a small request, a JSON object, as a whole. It is
// as strict as readRequest: names' letters, UTF-8 and doubled members count.
func readValue(body io.Reader, into any) error {
	d := jsontext.NewDecoder(body)
	if kind := d.PeekKind(); kind != '{' && kind != 0 {
		return invalid("", "the request is %s, want a JSON object", nameOf(kind))
	}
	err := json.UnmarshalDecode(d, into)
	if err == nil {
		err = atEnd(d)
	}
	return unread(err)
}

// atEnd refuses what comes after the request.
func atEnd(d *jsontext.Decoder) error {
	if d.PeekKind() != 0 {
		return invalid("", "more than one JSON value in the request")
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return err
	}
	return nil
}

// unread says in the API's words why a request could not be read.
func unread(err error) error {
	var known *apiError
	var syntax *jsontext.SyntacticError
	var kind *json.SemanticError
	var large *http.MaxBytesError
	switch {
	case err == nil, errors.As(err, &known), errors.As(err, &large):
		return err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("", "the request is empty or ends too early")
	case errors.As(err, &syntax):
		return invalid("", "the request is not JSON: %s", strings.TrimPrefix(syntax.Error(), "jsontext: "))
	case errors.As(err, &kind):
		name := clip(strings.ReplaceAll(strings.TrimPrefix(string(kind.JSONPointer), "/"), "/", "."))
		why := ""
		if kind.Err != nil {
			why = ": " + clip(kind.Err.Error())
		}
		return invalid(name, "%s is %s, want %s%s", name, nameOf(kind.JSONKind), kindOf(kind.GoType), why)
	}
	return fmt.Errorf("the body cannot be read: %w", bare(err))
}

// bare is a reader's own error without what the decoder says of it.
func bare(err error) error {
	for strings.HasPrefix(err.Error(), "jsontext: ") && errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

// kindOf says what JSON a member of a Go type is.
func kindOf(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "a time, 2006-01-02T15:04:05Z"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice:
		return "a list"
	case t.Kind() == reflect.Int:
		return "a whole number"
	}
	return "an object"
}

func (r *requestReader) read() error {
	if kind := r.json.PeekKind(); kind != '{' {
		if kind == 0 {
			_, err := r.json.ReadToken()
			return err
		}
		return invalid("", "the request is %s, want a JSON object", nameOf(kind))
	}
	if _, err := r.json.ReadToken(); err != nil {
		return err
	}
	for r.json.PeekKind() == '"' {
		name, err := r.json.ReadToken()
		if err != nil {
			return err
		}
		if err := r.form.member(r, name.String()); err != nil {
			return err
		}
	}
	if _, err := r.json.ReadToken(); err != nil { // the closing brace
		return err
	}
	if err := atEnd(r.json); err != nil {
		return err
	}
	if name := r.form.input; !r.input {
		return invalid(name, "%s is missing: a text, a list of texts, a list of token ids or a list of such lists", name)
	}
	return nil
}

// member reads one member of the request.
func (r *requestReader) member(name string) (err error) {
	switch name {
	case "input":
		return r.readInput()
	case "model":
		r.modelGiven = r.json.PeekKind() != 'n'
		r.model, err = r.text(name)
		return err
	case "encoding_format":
		format, err := r.text(name)
		if err == nil && format != "float" && format != "base64" && format != "" {
			err = invalid(name, "encoding_format %q, want float or base64", clip(format))
		}
		r.base64 = format == "base64"
		return err
	case "dimensions":
		r.options.Dimensions, err = r.number(name)
		return err
	case "task", "input_type":
		return r.task(name)
	case "user":
		return r.json.SkipValue()
	case "padding":
		return r.padding()
	case "pooling":
		pooling, err := r.text(name)
		if err != nil || pooling == "model" {
			return err
		}
		if r.options.Pooling, err = model.ParsePooling(pooling); err != nil {
			return invalid(name, "pooling %q, want model, cls, mean, cls_hidden or mean_hidden", clip(pooling))
		}
		return nil
	case "truncation":
		truncation, err := r.text(name)
		if err != nil || truncation == "" {
			return err
		}
		if r.options.Truncation, err = tokenizer.ParseTruncation(truncation); err != nil {
			return invalid(name, "%v", err)
		}
		return nil
	case "max_length":
		n, err := r.number(name)
		if err == nil && n != 0 && n < 2 {
			err = invalid(name, "max_length %d, want at least 2: a text has two special tokens", n)
		}
		r.options.MaxLength = n
		return err
	case "normalize":
		return r.normalize()
	}
	return invalid(clip(name), "unknown member %q", clip(name))
}

// task reads what texts are for; null leaves it.
func (r *requestReader) task(name string) error {
	task, err := r.text(name)
	if err != nil || task == "" {
		return err
	}
	if r.taskMember != "" && task != r.options.Task {
		return invalid(name, "%s is %q, but %s %q: give one of them", name, clip(task), r.taskMember, clip(r.options.Task))
	}
	r.options.Task, r.taskMember = task, name
	return nil
}

// clip shortens foreign text for messages.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func nameOf(kind jsontext.Kind) string {
	switch kind {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return "nothing"
}

// kind is that of the next value; an error at its place is returned.
func (r *requestReader) kind() (jsontext.Kind, error) {
	kind := r.json.PeekKind()
	if kind == 0 || kind == '}' || kind == ']' {
		_, err := r.json.ReadToken()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return kind, err
	}
	return kind, nil
}

// text reads a string; null is the empty one.
func (r *requestReader) text(name string) (string, error) {
	kind, err := r.kind()
	if err != nil {
		return "", err
	}
	if kind != '"' && kind != 'n' {
		return "", invalid(name, "%s is %s, want a string", name, nameOf(kind))
	}
	token, err := r.json.ReadToken()
	if err != nil || kind == 'n' {
		return "", err
	}
	return token.String(), nil
}

// number reads a whole number; null is 0.
func (r *requestReader) number(name string) (int, error) {
	kind, err := r.kind()
	if err != nil {
		return 0, err
	}
	if kind != '0' && kind != 'n' {
		return 0, invalid(name, "%s is %s, want a whole number", name, nameOf(kind))
	}
	token, err := r.json.ReadToken()
	if err != nil || kind == 'n' {
		return 0, err
	}
	n, ok := wholeNumber(token.String())
	if !ok {
		return 0, invalid(name, "%s is %s, want a whole number", name, clip(token.String()))
	}
	return n, nil
}

// wholeNumber reads a number of JSON that is whole and fits into 32 bits.
func wholeNumber(text string) (int, bool) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || x != math.Trunc(x) || math.Abs(x) > math.MaxInt32 {
		return 0, false
	}
	return int(x), true
}

func (r *requestReader) padding() error {
	kind, err := r.kind()
	if err != nil {
		return err
	}
	var text string
	if kind == '0' {
		n, err := r.number("padding")
		if err != nil {
			return err
		}
		text = strconv.Itoa(n)
	} else if text, err = r.text("padding"); err != nil {
		return err
	}
	if r.options.Padding, err = model.ParsePadding(text); err != nil {
		return invalid("padding", "padding %q, want none, longest, max_length or a number of tokens", clip(text))
	}
	return nil
}

// normalize reads a choice; null leaves it to the model.
func (r *requestReader) normalize() error {
	kind, err := r.kind()
	if err != nil {
		return err
	}
	switch kind {
	case 't':
		r.options.Normalize = core.Yes
	case 'f':
		r.options.Normalize = core.No
	case 'n':
	default:
		return invalid("normalize", "normalize is %s, want true or false", nameOf(kind))
	}
	_, err = r.json.ReadToken()
	return err
}
