// Package examples is jobs that run as they are: troupe init writes them into
// a new project.
package examples

import "embed"

// Transactions is the four kinds of jobs over generated card transactions, and
// a page that says in which order to run them.
//
//go:embed transactions
var Transactions embed.FS
