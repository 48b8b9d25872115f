// Package features computes features: columns of a table made of other columns
// of the same row, with what was learned from many rows. A Pipeline is a list of
// them; an Encoder and a Target turn a table into the matrix and the vector that
// a model is fitted to.
//
// All of them are fitted alike: any number of states observe rows, are merged,
// and fit returns a fitted copy. What is learned is a function of the multiset
// of rows alone, to the last bit: in whatever order and number of shards they
// were seen. It is written as JSON, so that two fits can be compared.
package features
