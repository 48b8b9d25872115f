package neural

import (
	"fmt"
	"math/bits"

	"github.com/troupe-ml/troupe/internal/rng"
)

// order is the sequence in which an epoch (from 1) visits the training rows: a
// permutation that depends on the seed, the epoch and the number of rows alone.
// Up to mostListed rows it is a list, beyond each place is computed on its own,
// since a list of billions of rows would take gigabytes.
type order struct {
	list []uint32
	far  permutation
	room []uint32 // for a batch of those that are computed
}

const mostListed = 1 << 20

func newOrder(numRows, batchSize int) *order {
	if numRows <= mostListed {
		return &order{list: make([]uint32, numRows)}
	}
	return &order{room: make([]uint32, batchSize), far: permutation{n: uint64(numRows)}}
}

func (o *order) begin(seed uint64, epoch int) {
	if o.list != nil {
		shuffle(o.list, seed, epoch)
		return
	}
	o.far = newPermutation(o.far.n, seed, epoch)
}

// rows returns the rows of the places from first to end, until the next call.
func (o *order) rows(first, end int) []uint32 {
	if o.list != nil {
		return o.list[first:end]
	}
	for i := range o.room[:end-first] {
		o.room[i] = uint32(o.far.at(uint64(first + i)))
	}
	return o.room[:end-first]
}

// permutation is one of the numbers 0..n-1, n at least 2.
//
// Source: an unbalanced Feistel network over the least power of two that holds n,
// as in Luby and Rackoff, SIAM J. Computing 17(2), 1988, with cycle walking: Black
// and Rogaway, CT-RSA 2002. The round function is the finalizer of MurmurHash3.
type permutation struct {
	n            uint64
	low          uint // bits of the lower half
	lower, upper uint64
	keys         [8]uint64
}

func newPermutation(n, seed uint64, epoch int) permutation {
	size := uint(bits.Len64(n - 1))
	p := permutation{n: n, low: size / 2}
	p.lower, p.upper = 1<<p.low-1, 1<<(size-p.low)-1
	r := rng.New(seed, fmt.Sprintf("neural order of epoch %d", epoch))
	for i := range p.keys {
		p.keys[i] = r.Uint64()
	}
	return p
}

func (p *permutation) at(i uint64) uint64 {
	for {
		low, up := i&p.lower, i>>p.low
		for k := 0; k < len(p.keys); k += 2 {
			low ^= mixed(up^p.keys[k]) & p.lower
			up ^= mixed(low^p.keys[k+1]) & p.upper
		}
		if i = up<<p.low | low; i < p.n {
			return i
		}
	}
}

func mixed(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

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
