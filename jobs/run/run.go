// Package run is the bodies of tasks: what a worker does with an order. It
// touches files, the store and nothing else; what it computes comes from the
// pure floors below. The same order gives the same bytes whoever carries it out
// and however often.
//
// Local runs a whole job in one process with the same state machine, plan and
// bodies as a cluster: the embedded default, and the oracle of every
// distributed test.
package run
