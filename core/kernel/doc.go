// Package kernel holds the arithmetic that every back end fills: matrix
// products over packed weights, the vector operations around the long
// convolution, and the passes of its Fourier transform.
//
// A back end is a [Set] of plain functions over slices. [Go] is the plain twin
// of all of them: short, obvious and slow; it runs everywhere and proves the
// others. [Active] is the fastest set that the machine supports.
//
// # Layouts
//
// Activations are row-major: one row a token, (L, D).
//
// Channels go through the convolution in groups of [GroupWidth]. A group's
// array is (rows, GroupWidth), and the same bytes are read in two ways:
//
//   - in time, element c of a row is channel c of the group;
//   - as a complex row, element c < GroupLanes is the real part and element
//     GroupLanes+c the imaginary part of lane c.
//
// So lane c carries channel c as its real part and channel GroupLanes+c as its
// imaginary part, and two real channels cost one complex transform without
// any element being moved. Channels stand in the vector lanes: no operation
// here shuffles.
//
// A weight matrix is packed in panels of [Set.PanelWidth] output columns; see
// [Matrix].
//
// # Exactness
//
// Every sum runs in a fixed order that depends on neither the number of rows
// in the call nor a row's place in it, so a text's bits never depend on its
// batch. The plain twins never fuse a multiplication with an addition.
//
// On amd64 the sets avx2 and avx512 are assembly made by internal/avogen (build
// tag noasm leaves them out). They fuse, do the same operations for each
// element in the same order, and so give the same bits as each other, though
// not as the plain twins. Products of integers give the same bits in every set.
//
// On arm64 the sets neon and neon-dotprod are assembly made by internal/neongen.
// They do what avx2 does for each element, in the same order, and give its bits.
// neon-dotprod multiplies 8-bit weights by SDOT and needs FEAT_DotProd.
package kernel

// GroupWidth is how many channels go through the convolution together.
const GroupWidth = 32

// GroupLanes is how many complex lanes a group has: half its channels are
// real parts, half imaginary parts.
const GroupLanes = GroupWidth / 2
