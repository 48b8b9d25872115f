package memory

import (
	"math"
	"runtime/debug"
)

const (
	roomy  = 300       // percent
	unsaid = 100       // percent, of a program that nobody has said anything to
	scarce = 512 << 20 // bytes

	ample = 2 << 30  // bytes; from here on
	idle  = 64 << 20 // bytes are reserved
)

// reserve is memory that is counted as in use and never touched, so that it takes
// none. A heap of some ten MiB is then not searched for garbage ten times a second:
// each of several processes on a machine has its own, with all that a process needs
// beside its tasks, and searches it with cores on which the others work.
var reserve []byte

// Limit tells the collector how much memory this process may use in all: near it the
// collector works harder, far below it less. What the person who started the process
// has said (GOMEMLIMIT, GOGC) is left as it is.
func Limit(bytes int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(bytes)
	}
	said := debug.SetGCPercent(unsaid)
	percent := garbage(debug.SetMemoryLimit(-1), said)
	debug.SetGCPercent(percent)
	if reserve == nil {
		reserve = make([]byte, reserved(debug.SetMemoryLimit(-1), percent))
	}
}

// reserved returns how many bytes count as in use that are not. Who says how much
// garbage there may be means the garbage of what is in use.
func reserved(limit int64, percent int) int64 {
	if limit >= ample && percent == roomy {
		return idle
	}
	return 0
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
