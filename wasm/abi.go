//go:build wasip1

// Command wasm is m2embed as a WebAssembly reactor: core behind a small set of
// exported functions that any host can call. This file is the protocol; twins
// of it are wasm/js/src/abi.ts and host/engine/abi.go. [Version] changes with
// every change that a host could notice.
//
// # Start
//
// The module imports wasi_snapshot_preview1 alone (args_get, args_sizes_get,
// environ_get, environ_sizes_get, clock_time_get, fd_write, poll_oneoff,
// proc_exit, random_get, sched_yield and some file calls that may answer
// "bad file descriptor"). A host calls _initialize once, checks abi_version,
// and may then call memory_limit and prefer_lanes. An instance runs one call
// at a time.
//
// # Memory
//
// Addresses and lengths are unsigned 32-bit numbers. The host gets memory with
// alloc, writes into it, hands its address over and gives it back with free.
// Every address in a call must lie, with its length, inside memory that alloc
// or model_reserve has handed out and free has not taken back; the module
// checks that. The host reads its view of memory anew after every call, since
// memory may have grown.
//
// Calls that answer with bytes (model_info, tokenize, run_finish, embed) leave
// them in the result: result_address and result_length, valid until the next
// of these calls.
//
// # Errors
//
// A call returns a negative [Code] when it fails, alloc and model_reserve 0.
// error_code then gives the code again, error_address and error_length a
// message in UTF-8, valid until the next failing call. A failed call changes nothing, and the instance stays
// usable. When a call traps, or the module ends itself, the instance is lost
// with all its models: the host drops it. That happens only when memory runs
// out beyond what memory_limit could foresee.
//
// # A model
//
//	model  = model_create(config.json, tokenizer.json or vocab.txt)
//	at     = model_reserve(model, size of the weights file)
//	         write bytes at `at`, in order; every now and then
//	         model_received(model, number of bytes so far)
//	         model_open(model, filter budget in bytes, 0: 96 MiB, -1: none)
//	         …
//	         model_free(model)
//
// The weights are a safetensors file or a PyTorch checkpoint. They are used
// where they lie: matrices are reordered in place, nothing is held twice.
// model_received looks at a safetensors header as soon as it is complete, so
// that a wrong file fails before it has been fetched. Several models may be
// open at once.
//
// # Embedding
//
//	run = run_start(model, inputs, options)
//	      run_step(run) until it returns 1; run_progress(run) in between
//	      run_finish(run): the results
//	      run_free(run)
//
// embed does the same in one call. A run is cancelled by run_free.
//
// All numbers in the following records are little-endian.
//
// Inputs: uint32 B, then for each text uint32 kind (0: UTF-8, 1: int32 token
// ids, special tokens included), uint32 length in bytes, the bytes, and zeros
// up to a multiple of 4.
//
// Options, [OptionsSize] bytes: int32 normalize (-1: as the model, 0, 1),
// int32 padding (-1: as the model, 0: none, -2: longest, -3: max_length, n: to
// n positions), int32 max_length (0: the model's), int32 truncation (0: keep
// [SEP], 1: drop [SEP], 2: refuse), int32 pooling (-1: as the model, 0: cls,
// 1: mean, 2: cls_hidden, 3: mean_hidden).
//
// Results: uint32 B, uint32 D, then for each text uint32 tokens (of the text,
// before it was cut), uint32 length (positions run, pads included), uint32 truncated (0, 1); then B·D
// float32.
//
// Tokens (the result of tokenize): uint32 L, L int32 ids, 2L uint32 offsets
// (start and end byte in the text), then for each token uint32 length and its
// bytes.
//
// model_info leaves a JSON object: hiddenSize, layers, maxLength,
// vocabularySize, padding, pooling, normalize, weightBytes, kernels, version.
package main

// Version is what abi_version returns.
const Version = 1

// OptionsSize is the size of the options record in bytes.
const OptionsSize = 20

// Code is the kind of an error.
type Code int32

// The codes. Hosts give them the names in the comments.
const (
	OK           Code = 0
	BadArgument  Code = -1 // bad_argument: a wrong length, address, option or token id
	BadConfig    Code = -2 // bad_config
	BadTokenizer Code = -3 // bad_tokenizer
	BadWeights   Code = -4 // bad_weights: not a checkpoint, cut, or not this model's
	TooLong      Code = -5 // too_long: more tokens than the limit, and truncation 2
	OutOfMemory  Code = -6 // out_of_memory: memory_limit would be passed
	BadHandle    Code = -7 // bad_handle: no such model or run (any more)
	NotReady     Code = -8 // not_ready: the call comes too early or too late
	Internal     Code = -9 // internal: a fault in m2embed itself
)
