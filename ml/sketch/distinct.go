package sketch

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/internal/fault"
)

const (
	precision    = 12
	numRegisters = 1 << precision
	maxRegister  = 64 - precision + 1
	maxOfAny     = 64
)

// Distinct estimates the number of distinct values in 4 KiB, with a standard
// error of 1.04/sqrt(4096) = 1.6 %. Its state is a function of the set of
// values seen: any order, repetition and split over shards gives the same bytes.
// The zero value has seen no values; it is not safe for concurrent use.
//
// Source: Flajolet, Fusy, Gandouet and Meunier, HyperLogLog, AofA 2007, over
// 64-bit xxh3 hashes; the estimate is the improved raw estimator of Ertl, New
// cardinality estimation algorithms for HyperLogLog sketches, arXiv:1702.01284,
// algorithm 6, which needs no tables of corrections.
type Distinct struct {
	registers [numRegisters]uint8
}

// AddString adds a value.
func (d *Distinct) AddString(s string) { d.addHash(xxh3.HashString(s)) }

// AddFloat adds a value; 0 and -0 are one, and so are all NaN.
func (d *Distinct) AddFloat(v float64) {
	if math.IsNaN(v) {
		v = math.NaN()
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], math.Float64bits(v+0))
	d.addHash(xxh3.Hash(b[:]))
}

func (d *Distinct) addFloats(values []float64) {
	for _, v := range values {
		d.AddFloat(v)
	}
}

func (d *Distinct) addHash(h uint64) { raise(d.registers[:], precision, h) }

// raise notes a hash in one of 2^precision registers.
func raise(registers []uint8, precision int, h uint64) {
	register := h >> (64 - precision)
	rank, most := uint8(1), uint8(64-precision+1)
	for rest := h << precision; rank < most && rest>>63 == 0; rest <<= 1 {
		rank++
	}
	registers[register] = max(registers[register], rank)
}

// Merge adds the values that o has seen.
func (d *Distinct) Merge(o *Distinct) {
	for i, r := range o.registers {
		d.registers[i] = max(d.registers[i], r)
	}
}

// Estimate returns the estimated number of distinct values.
func (d *Distinct) Estimate() int64 { return estimate(d.registers[:], maxRegister) }

// estimate is that of registers which are at most so much.
func estimate(registers []uint8, most int) int64 {
	var counts [maxOfAny + 1]float64
	for _, r := range registers {
		counts[r]++
	}
	m := float64(len(registers))
	z := float64(m * tau(1-counts[most]/m))
	for k := most - 1; k >= 1; k-- {
		z = (z + counts[k]) / 2
	}
	z += float64(m * sigma(counts[0]/m))
	return int64(math.Round(m * m / (2 * math.Ln2 * z)))
}

// sigma corrects for registers that are empty; equation 11 of Ertl.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for last := math.NaN(); z != last; {
		x *= x
		last = z
		z += float64(x * y)
		y *= 2
	}
	return z
}

// tau corrects for registers that are full; equation 16 of Ertl.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for last := math.NaN(); z != last; {
		x = math.Sqrt(x)
		last = z
		y /= 2
		z -= float64((1 - x) * (1 - x) * y)
	}
	return z / 3
}

func (d *Distinct) valid() bool {
	for _, r := range d.registers {
		if r > maxRegister {
			return false
		}
	}
	return true
}

// MarshalBinary writes the registers.
func (d *Distinct) MarshalBinary() ([]byte, error) { return slices.Clone(d.registers[:]), nil }

// UnmarshalBinary replaces d by what MarshalBinary has written. The error is of
// kind Corrupt, and d is left as it was, when b is anything else.
func (d *Distinct) UnmarshalBinary(b []byte) error {
	if len(b) != numRegisters {
		return fault.New(fault.Corrupt, "sketch: decode distinct: %d bytes, expected %d", len(b), numRegisters)
	}
	var got Distinct
	copy(got.registers[:], b)
	if !got.valid() {
		return fault.New(fault.Corrupt, "sketch: decode distinct: a register is out of range")
	}
	*d = got
	return nil
}
