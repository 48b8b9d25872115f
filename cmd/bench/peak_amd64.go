package main

import "github.com/troupe-ml/troupe/ml/kernels"

//go:noescape
func peak512(rounds int64)

//go:noescape
func peak256(rounds int64)

const chains = 12 // of multiply-adds that do not wait for each other

// multiplyAdds does about so many floating point operations, in registers alone,
// and returns how many.
func multiplyAdds(about int64) int64 {
	lanes, do := int64(8), peak256
	switch kernels.Active() {
	case kernels.AVX512:
		lanes, do = 16, peak512
	case kernels.Portable:
		return 0
	}
	each := 2 * chains * lanes
	rounds := max(about/each, 1)
	do(rounds)
	return rounds * each
}
