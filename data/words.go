package data

import "unsafe"

// Words32 returns numbers as others of the same width, bit for bit and in the same
// memory: what looks at patterns alone is written once for all of them.
func Words32[W, T int32 | uint32 | float32](vs []T) []W {
	return unsafe.Slice((*W)(unsafe.Pointer(unsafe.SliceData(vs))), len(vs))
}

// Words64 is Words32 for numbers of 64 bits.
func Words64[W, T int64 | uint64 | float64](vs []T) []W {
	return unsafe.Slice((*W)(unsafe.Pointer(unsafe.SliceData(vs))), len(vs))
}
