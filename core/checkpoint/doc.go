// Package checkpoint turns the bytes of a checkpoint into named tensors.
//
// It reads safetensors, the zip format of torch.save, and its older format
// of five pickles in a row, and it writes safetensors. A file is described
// when it is opened; the numbers of a tensor are read when the tensor is
// asked for, so a checkpoint larger than memory can be converted piece by
// piece.
//
// Nothing in a checkpoint is executed. The pickle reader knows a closed list
// of opcodes and of global names, and whatever else a file names stays an
// opaque value that cannot become a tensor. No header makes the package
// allocate more than a small multiple of the bytes that are really there.
//
// The package uses no file system, so that it runs in WebAssembly as well.
package checkpoint
