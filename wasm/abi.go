//go:build wasip1

// Command wasm is m2embed as a WebAssembly reactor: core behind a small set of
// exported functions that any host can call. This file is the protocol; twins
// of it are wasm/js/src/abi.ts and host/internal/engine/abi.go. [Version] changes with
// every change that a host written before could notice.
//
// # Start
//
// The module imports wasi_snapshot_preview1 alone (args_get, args_sizes_get,
// environ_get, environ_sizes_get, clock_time_get, fd_write, poll_oneoff,
// proc_exit, random_get, sched_yield and some file calls that may answer
// "bad file descriptor"). A host calls _initialize once, checks abi_version,
// and may then call memory_limit and prefer_unrolled, before it opens a model.
// An instance runs one call at a time.
//
// # Exports
//
// "u" is an unsigned, "i" a signed 32-bit number, "f" a 64-bit float. Where a
// call is said to return 0, a handle (above 0) or a count, it returns a negative
// [Code] when it fails: one of those in the last column, or Internal.
//
//	abi_version() u                                         [Version]
//	memory_limit(bytes u) i                                 0                OutOfMemory
//	prefer_unrolled(on u) i                                 0
//	alloc(bytes u) u                                        address or 0     OutOfMemory
//	free(address u) i                                       0                BadArgument
//	error_code() i                                          code
//	error_input() i                                         input or -1
//	error_address() u                                       address
//	error_length() u                                        bytes
//	result_address() u                                      address
//	result_length() u                                       bytes
//	model_create(config u, length u, tokenizer u, length u) i
//	                                                        model            BadArgument, BadConfig, BadTokenizer
//	model_reserve(model i, bytes u) u                       address or 0     BadHandle, NotReady, OutOfMemory
//	model_received(model i, bytes u) i                      0                BadHandle, NotReady, BadArgument, BadWeights,
//	                                                                         OutOfMemory
//	model_open(model i, filters i) i                        0                BadHandle, NotReady, BadWeights, OutOfMemory
//	model_info(model i) i                                   0, the result    BadHandle, NotReady
//	model_free(model i) i                                   0                BadHandle
//	tokenize(model i, text u, length u) i                   run              BadHandle, NotReady, BadArgument, OutOfMemory
//	passages(model i, text u, length u, options u) i        run              BadHandle, NotReady, BadArgument, OutOfMemory
//	decode(model i, ids u, length u, special u) i           0, the result    BadHandle, NotReady, BadArgument, OutOfMemory
//	run_start(model i, inputs u, length u, options u) i     run              BadHandle, NotReady, BadArgument, OutOfMemory
//	run_task(run i, name u, length u) i                     0                BadHandle, NotReady, BadArgument, OutOfMemory
//	run_prepare(run i) i                                    1 done, 0 not    BadHandle, BadArgument, TooLong, OutOfMemory
//	run_step(run i) i                                       1 done, 0 not    BadHandle, NotReady, BadWeights
//	run_progress(run i) f                                   0 to 1           none: 0
//	run_positions(run i) u                                  positions        none: 0
//	run_finish(run i) i                                     0, the result    BadHandle, NotReady, OutOfMemory
//	run_free(run i) i                                       0                BadHandle
//	embed(model i, inputs u, length u, options u) i         0, the result    those of run_start, run_prepare, run_step, run_finish
//	run_pass(run i, most u) i                               texts, the result
//	                                                                         BadHandle, NotReady, OutOfMemory
//	run_vectors(run i, vectors u, length u) i               0                BadHandle, BadArgument, BadWeights, OutOfMemory
//	plan_create(run i, limits u, half u) i                  plan, the result BadHandle, NotReady, BadArgument, TooLarge
//	plan_weight(plan i, buffer u) i                         0, the result    BadHandle, NotReady, BadArgument, BadWeights,
//	                                                                         OutOfMemory
//	plan_free(plan i) i                                     0                BadHandle
//
// config, tokenizer, text, ids, inputs, options, name, vectors and limits are
// addresses.
//
// memory_limit bounds linear memory, weights and the runtime's own included. A
// call that would pass it fails with OutOfMemory before it takes the memory.
// Without it the limit is 4 GiB.
//
// prefer_unrolled(1) makes models that are opened after it use matrix products
// in an unrolled form, with which wazero is quicker; optimising engines are
// quicker with the other, which is the default. The bits are the same.
//
// # Memory
//
// Lengths are in bytes. The host gets memory with alloc, which holds anything at
// first, writes into it, hands its address over and gives it back with free.
// Every address in a call must lie, with its length, inside memory that alloc or
// model_reserve has handed out and free has not taken back; the module checks
// that. What model_reserve hands out is the model's and goes with it. The host
// reads its view of memory anew after every call, since memory may have grown.
//
// Calls that answer with bytes leave them in the result: result_address and
// result_length, valid until the next of these calls, also one that fails, or
// of plan_free, which clears it.
//
// # Errors
//
// After a call that failed error_code gives its code, error_input the number of
// the input that is to blame, from 0, or -1, error_address and
// error_length a message in UTF-8, valid until the next failing call. A failed
// call changes nothing but the result, and the instance stays usable. When a
// call traps, or the module ends itself, the instance is lost with all its
// models: the host drops it. That happens only when memory runs out beyond what
// memory_limit could foresee.
//
// # A model
//
//	model  = model_create(config.json, tokenizer.json or vocab.txt; or 0 0 for
//	         a model that takes token ids only)
//	at     = model_reserve(model, size of the weights file)
//	         write bytes at `at`, in order; every now and then
//	         model_received(model, number of bytes so far)
//	         model_open(model, bytes of filters to keep, 0: 96 MiB, -1: none)
//	         …
//	         model_free(model)
//
// The weights are a safetensors file or a PyTorch checkpoint. They are used
// where they lie: matrices are reordered in place, nothing is held twice but
// matrices in 16-bit floats, which are widened. model_received looks at a safetensors header as soon as it is complete, so
// that a wrong file fails before it has been fetched. Filters get at most a
// quarter of what memory_limit has left at that time. model_free frees the model's runs
// and plans, too. Several models may be open at once.
//
// # Embedding
//
//	run = run_start(model, inputs, options)
//	      run_task(run, task), if the task is another than document
//	      run_prepare(run) until it returns 1: texts are tokenized
//	      run_step(run) until it returns 1; run_progress(run) in between
//	      run_finish(run): the results
//	      run_free(run)
//
// embed does the same in one call, for documents. A task is the name of one of
// the model's prompts in UTF-8; core's Options say what becomes of it. run_prepare and run_step do some milliseconds
// of work at a time. A run is cancelled by run_free. Several runs may be under
// way. run_progress is the part that is done of run_positions, the positions to
// run, pads included; both are 0 before the run is prepared. The inputs may be
// freed once run_start has returned, but must not be written to before.
//
// tokenize and passages make runs that are over once they are prepared:
//
//	run = tokenize(model, text)
//	      run_prepare(run) until it returns 1
//	      run_finish(run): the tokens
//	      run_free(run)
//
// # On a GPU
//
// The module cannot talk to a GPU, so it tells the host what to do there:
//
//	run  = run_start(model, inputs, options)
//	       run_prepare(run) until it returns 1
//	       until run_pass(run, most positions) returns 0:
//	plan =     plan_create(run, limits, half): the plan of that pass
//	           plan_weight(plan, buffer) for each buffer of weights
//	           plan_free(plan)
//	           the host runs the plan on the pass's ids
//	           run_vectors(run, what the plan's output holds)
//	       run_finish(run): the results
//
// run_pass returns the number of texts in the next pass, all of one length, and
// leaves the pass in the result: one text, and more as long as they have at most
// that many positions. Called again, it hands out the same texts, or fewer. One
// plan serves all passes that agree in B, L, pooling, normalize and states, and one
// upload of a buffer all plans that have a buffer of its key. Where the GPU
// fails, run_step goes on with the same run on the CPU. That reorders the
// weights, and from then on there are no plans for the model.
//
// plan_create leaves the plan as JSON in the result; the type Plan of
// webgpu/executor.ts describes it. Kernels are given by their name, that of a
// file in webgpu/kernels. plan_weight leaves a buffer's bytes in the result,
// never longer than the buffer, valid until the next call of the module. half
// is 1 for matrices in 16-bit floats, else 0.
//
// All numbers in the following records are little-endian.
//
// Inputs: uint32 B, then for each text uint32 kind (0: UTF-8, 1: int32 token
// ids, special tokens included), uint32 length in bytes, uint32 S, the bytes,
// zeros up to a multiple of 4, and S spans, which are uint32 start and uint32 end:
// bytes of a text, positions of ids. See core's Input for what becomes of them.
//
// Options, [OptionsSize] bytes: int32 normalize (-1: as the model, 0, 1),
// int32 padding (-1: as the model, 0: none, -2: longest, -3: max_length, n: to
// n positions), int32 max_length (0: the model's), int32 truncation (0: keep
// [SEP], 1: drop [SEP], 2: refuse), int32 pooling (-1: as the model, 0: cls,
// 1: mean, 2: cls_hidden, 3: mean_hidden, 4: none), int32 dimensions (0: D).
//
// Results: uint32 B, uint32 N (values of a vector), then for each text uint32
// tokens (of the text, before it was cut), uint32 length (positions run, pads
// included), uint32 truncated (0, 1), uint32 R (rows: 1, or with pooling none the
// tokens that were run), uint32 S; then for each span of each text uint32 tokens;
// then for each text R·N float32 and S·N float32, zeros for a span of no tokens.
//
// Limits, [LimitsSize] bytes: uint32 maxStorageBufferBindingSize, uint32
// maxBufferSize, uint32 maxComputeWorkgroupsPerDimension of the GPU, larger ones
// as 2³² - 1.
//
// Pass: uint32 B, uint32 L, uint32 pooling (0 to 4, as in the options), uint32
// normalize (0, 1), uint32 states (0, 1), uint32 positions of the whole run, pads
// included; B·L uint32 ids; B·L uint32 mask, 1 for a token and 0 for a pad.
// Vectors: B·D float32, none with pooling none; where states is 1, B·L·D float32,
// the last hidden states.
//
// Tokens (the result of tokenize): uint32 L, L int32 ids, 2L uint32 offsets
// (start and end byte in the text), then for each token uint32 length and its
// bytes. Ids of decode: int32 each; special is 1 to keep special tokens; the
// result is UTF-8.
//
// Passage options, [PassageOptionsSize] bytes: uint32 target, uint32 max, uint32
// overlap (tokens; 0 is the default, see core/passage), uint32 format (0: text, 1:
// Markdown). Passages: uint32 P, then for each uint32 start, uint32 end (bytes of
// the text), uint32 tokens, uint32 headings, uint32 how many of them stand above
// it, and for each heading uint32 length and its bytes.
//
// model_info leaves a JSON object: hiddenSize, layers, maxLength,
// vocabularySize, padding, pooling, normalize, dimensions (lengths to which
// vectors may be cut), prompts (an object of texts by task), weightBytes,
// kernels, space, version.
package main

// Version is what abi_version returns.
const Version = 3

// OptionsSize is the size of the options record in bytes.
const OptionsSize = 24

// PassageOptionsSize is the size of the passage options record in bytes.
const PassageOptionsSize = 16

// LimitsSize is the size of the limits record in bytes.
const LimitsSize = 12

// Code is the kind of an error.
type Code int32

// The codes. Hosts give them the names in the comments.
const (
	OK           Code = 0
	BadArgument  Code = -1  // bad_argument: a wrong length, address, option or token id
	BadConfig    Code = -2  // bad_config
	BadTokenizer Code = -3  // bad_tokenizer
	BadWeights   Code = -4  // bad_weights: not a checkpoint, cut, not this model's, or so damaged that a vector is not finite
	TooLong      Code = -5  // too_long: more tokens than the limit, and truncation 2
	OutOfMemory  Code = -6  // out_of_memory: memory_limit would be passed
	BadHandle    Code = -7  // bad_handle: no such model, run or plan (any more)
	NotReady     Code = -8  // not_ready: the call comes too early or too late
	Internal     Code = -9  // internal: a fault in m2embed itself
	TooLarge     Code = -10 // gpu_out_of_memory: a pass that the GPU's limits do not hold; fewer texts may fit
)
