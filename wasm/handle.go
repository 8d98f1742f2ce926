//go:build wasip1

package main

import (
	"errors"
	"fmt"

	"m2embed/core"
)

// failure is an error with its code.
type failure struct {
	code Code
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code Code, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...)}
}

// withCode gives an error of core the code that fits, unless it has one.
func withCode(code Code, err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &failure{code, err}
}

// handles numbers things for hosts. A number is never used twice, so that one
// which was freed is told from a live one.
type handles[T any] struct {
	what string
	live map[int32]T
	last int32
}

func (h *handles[T]) add(v T) int32 {
	if h.live == nil {
		h.live = map[int32]T{}
	}
	h.last++
	h.live[h.last] = v
	return h.last
}

func (h *handles[T]) get(n int32) (T, error) {
	v, ok := h.live[n]
	if !ok {
		return v, fail(BadHandle, "%s %d: no such handle, or freed before", h.what, n)
	}
	return v, nil
}

// message and result are what error_address and result_address speak of.
var message, result []byte

// code is the code of the last failure, blamed the input that is to blame, or -1.
var (
	code   Code
	blamed int32
)

// call runs one exported function: errors and panics become codes.
func call(f func() (int32, error)) (status int32) {
	defer func() {
		if r := recover(); r != nil {
			message = fmt.Appendf(nil, "fault in m2embed: %v", r)
			code, blamed = Internal, -1
			status = int32(code)
		}
	}()
	n, err := f()
	if err == nil {
		return n
	}
	message = []byte(err.Error())
	code, blamed = Internal, -1
	var input *core.InputError
	if errors.As(err, &input) {
		blamed = int32(input.Index)
	}
	var e *failure
	if errors.As(err, &e) {
		code = e.code
	}
	return int32(code)
}

// do is call for functions that only succeed or fail.
func do(f func() error) int32 {
	return call(func() (int32, error) { return 0, f() })
}

// number is call for functions that return an address: 0 means failure.
func number(f func() (uint32, error)) uint32 {
	var n uint32
	if do(func() (err error) { n, err = f(); return err }) != 0 {
		return 0
	}
	return n
}
