package memory

import (
	"math"
	"runtime/debug"
)

const (
	roomy  = 300       // percent
	unsaid = 100       // percent, of a program that nobody has said anything to
	scarce = 512 << 20 // bytes
)

// Limit tells the collector how much memory this process may use in all: near it the
// collector works harder, far below it less. What the person who started the process
// has said (GOMEMLIMIT, GOGC) is left as it is.
func Limit(bytes int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(bytes)
	}
	said := debug.SetGCPercent(unsaid)
	debug.SetGCPercent(garbage(debug.SetMemoryLimit(-1), said))
}

// garbage returns how much there may be before the collector runs, in percent of
// what is in use. Where memory is not scarce it is more: what a run costs does not
// depend on how much garbage it finds.
func garbage(limit int64, said int) int {
	switch {
	case said != unsaid && said != roomy:
		return said
	case limit >= scarce:
		return roomy
	default:
		return unsaid
	}
}
