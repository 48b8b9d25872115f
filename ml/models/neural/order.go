package neural

import (
	"fmt"
	"math/bits"

	"github.com/troupe-ml/troupe/internal/rng"
)

// shuffle writes to order the sequence in which an epoch (from 1) visits the
// training rows 0..len(order)-1: a permutation that depends on the seed, the
// epoch and the number of rows alone.
//
// Source: Durstenfeld, Algorithm 235, CACM 7(7), 1964; the draws by Lemire's
// multiplication without rejection, which is biased by less than 2^-32.
func shuffle(order []uint32, seed uint64, epoch int) {
	r := rng.New(seed, fmt.Sprintf("neural order of epoch %d", epoch))
	for i := range order {
		j, _ := bits.Mul64(r.Uint64(), uint64(i+1))
		order[i] = order[j]
		order[j] = uint32(i)
	}
}

// uniform fills w with draws from -bound..bound, keyed by seed and purpose.
func uniform(w []float32, bound float64, seed uint64, purpose string) {
	r := rng.New(seed, purpose)
	for i := range w {
		u := float64(r.Uint64()>>11) / (1 << 52) // 0..2
		w[i] = float32(bound * float64(u-1))
	}
}
