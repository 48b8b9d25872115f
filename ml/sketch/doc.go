// Package sketch holds summaries that can be merged: each describes the rows it
// has seen in space independent of their number, and merging the summaries of
// two shards gives the summary of both.
package sketch
