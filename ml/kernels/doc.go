// Package kernels holds the few hot loops of training and inference: matrix
// products for dense layers, activations, dropout, losses, the optimizer and
// the fixed-point sums of gradients.
//
// # Same bits everywhere
//
// Each kernel exists as AVX-512 and AVX2 assembly and as a portable twin in Go,
// and all give exactly the same bits (of NaN only that it is one). The portable
// twin is the definition. What makes that possible: vector lanes run along the
// columns, so no lane ever meets another one; along the inner dimension of a
// product there is one fused multiply-add after the other, in order; exp, log
// and tanh are polynomials of this package; the sum over the classes of a row
// has one fixed tree (see [CrossEntropy]); columns are padded to whole vectors
// of 16, so that an edge is not another formula; and row m of a result depends
// on row m alone, so that rows may be cut into blocks anywhere.
//
// # Layout
//
// A [Matrix] is row-major float32 with a row stride. What this package writes
// is padded: a row of n columns has [PadCols](n) floats, and those beyond n are
// zero. A stride of [Stride](n) avoids that rows fall on the same cache sets.
// Weights are packed in panels, see [Dense].
//
// # Conduct
//
// No kernel allocates, starts a goroutine, takes a lock or keeps state. A shape
// that does not fit is a bug of the caller and panics. One piece of assembly
// runs for at most about 150 microseconds, since the scheduler cannot interrupt
// it. Kernels may run at the same time as long as they do not write the same
// memory.
package kernels

//go:generate go run ./gen
