// Package neural fits and applies multi-layer perceptrons.
//
// A network is a gorgonia graph whose nodes are whole layers (package file
// ops.go), differentiated by gorgonia and run by a machine of ours over the
// kernels of ml/kernels. It is the only door to gorgonia.
//
// # Why the model never depends on who computed it
//
// The rows of every global batch are cut into shards of a fixed number of rows
// (shape.go), which depends on the network's shape alone. The gradient of a
// shard is computed in float32, in an order that every kind of processor keeps,
// and added in fixed point to sums of int64 (fixed.go). Ranks and threads take
// shards as they come; integers are added, once over the threads and once over
// the ranks, divided once, and every rank takes the same
// optimizer step. Weights, the order of rows and dropout are keyed by the seed and by what they are for
// (layer, epoch, iteration, row), never drawn from a running stream. So the
// model's bytes are the same for any world size, number of threads, processor
// and history of interruptions.
package neural
