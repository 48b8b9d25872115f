package kernels

import (
	"strings"
	"sync/atomic"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Variant names one of the twins. They differ in speed only.
type Variant uint8

// The variants, from the slowest to the fastest.
const (
	Portable Variant = 1 + iota // Go alone, on any machine
	AVX2                        // amd64 with AVX2 and FMA3
	AVX512                      // amd64 with AVX-512 F, BW, DQ and VL
)

// String returns the name that [Use] takes.
func (v Variant) String() string {
	switch v {
	case Portable:
		return "portable"
	case AVX2:
		return "avx2"
	case AVX512:
		return "avx512"
	default:
		return "unknown"
	}
}

var (
	best   = detect()    // the fastest variant of this machine
	forced atomic.Uint32 // what Use has chosen, 0 for the best
)

// Active returns the variant in use: the fastest one that this machine can run,
// unless [Use] has chosen another.
func Active() Variant {
	if v := Variant(forced.Load()); v != 0 {
		return v
	}
	return best
}

// Use makes every later call in the process take the named variant: portable,
// avx2, avx512, or auto (or nothing) for the fastest one. It is meant for the
// start of a program and for finding faults: results do not depend on it.
//
// An unknown name, or a variant that this machine cannot run, is fault.Invalid.
func Use(name string) error {
	if name == "" || name == "auto" {
		forced.Store(0)
		return nil
	}
	for v := Portable; v <= AVX512; v++ {
		if v.String() != strings.ToLower(name) {
			continue
		}
		if v > best {
			return fault.New(fault.Invalid, "kernels: this machine cannot run the variant %q, its best is %q", name, best)
		}
		forced.Store(uint32(v))
		return nil
	}
	return fault.New(fault.Invalid, "kernels: unknown variant %q: expected auto, portable, avx2 or avx512", name)
}

// check panics when a caller's shapes do not fit together: that is a bug. The
// numbers go into the message.
func check(ok bool, format string, numbers ...int) {
	if !ok {
		fail(format, numbers...)
	}
}

// fail is apart so that check is inlined, and copies the numbers so that
// nothing is allocated unless it is called.
func fail(format string, numbers ...int) {
	args := make([]any, len(numbers))
	for i, n := range numbers {
		args[i] = n
	}
	panic(fault.New(fault.Internal, "kernels: "+format, args...))
}
