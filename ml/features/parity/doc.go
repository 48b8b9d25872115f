// Package parity compares what a pipeline computes for batches of rows, as jobs
// do, with what it computes for the same rows one at a time, as a server does:
// the two must have the same bits, for every feature. Rows are taken with all that
// came before them of their entity, since windows look back (Sample); each is then
// computed alone (Online), and every value is held against the batch's (Tally).
package parity
