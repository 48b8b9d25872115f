package parquet

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// maxDecimal is the longest decimal in bytes, those left out that only repeat its
// sign: float64 holds no longer ones, and their digits take long to find.
const maxDecimal = 128

// powersOfTen are those that float64 holds exactly, wholePowers those of 64 bits.
var (
	powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}
	wholePowers = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}
)

// decimal returns the float64 nearest to v / 10^scale.
func decimal(v int64, scale int32) float64 {
	const exact = 1 << 53
	switch {
	case v > -exact && v < exact && int(scale) < len(powersOfTen):
		return float64(v) / powersOfTen[scale] // both exact, so the quotient is rounded once
	case int(scale) >= len(wholePowers):
		return parseDecimal(strconv.AppendInt(nil, v, 10), scale)
	case v < 0:
		return -quotient(0, uint64(-v), scale)
	}
	return quotient(0, uint64(v), scale)
}

// quotient returns the float64 nearest to a number by 10^scale, of which wholePowers
// has one. The number is not 0, and at most 2^127, as those of 16 bytes with a sign.
func quotient(hi, lo uint64, scale int32) float64 {
	exp := 0
	if hi == 0 {
		hi, lo, exp = lo, 0, -64
	}
	shift := bits.LeadingZeros64(hi)
	hi, lo = hi<<shift|lo>>(64-shift), lo<<shift
	by := wholePowers[scale]
	byShift := bits.LeadingZeros64(by)
	by <<= byShift
	exp += byShift - shift
	if hi >= by { // else the quotient would have a bit more than 64; nothing is lost, for lo is even
		hi, lo, exp = hi>>1, lo>>1|hi<<63, exp+1
	}
	q, rest := bits.Div64(hi, lo, by) // whose highest bit is set, so that 11 are to be rounded
	const half = 1 << 10
	m, tail := q>>11, q&(1<<11-1)
	if tail > half || tail == half && (rest != 0 || m&1 == 1) {
		m++
	}
	return math.Ldexp(float64(m), exp+11)
}

func parseDecimal(digits []byte, scale int32) float64 {
	digits = append(digits, "e-"...)
	digits = strconv.AppendInt(digits, int64(scale), 10)
	f, _ := strconv.ParseFloat(string(digits), 64) // out of range gives the infinity, as wanted
	return f
}

// decimalBytes does the same for a big-endian two's complement.
func decimalBytes(b []byte, scale int32) (float64, error) {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	switch {
	case len(b) == 0:
		return 0, nil
	case len(b) > maxDecimal:
		return 0, fmt.Errorf("a DECIMAL of %d bytes is longer than the %d that are supported", len(b), maxDecimal)
	case len(b) > 16 || len(b) > 8 && int(scale) >= len(wholePowers):
		var v big.Int
		v.SetBytes(b)
		if b[0] >= 0x80 {
			v.Sub(&v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return parseDecimal(v.Append(nil, 10), scale), nil
	}
	lo, hi := uint64(0), uint64(0)
	if b[0] >= 0x80 {
		lo, hi = math.MaxUint64, math.MaxUint64
	}
	for _, c := range b {
		hi, lo = hi<<8|lo>>56, lo<<8|uint64(c)
	}
	if len(b) <= 8 {
		return decimal(int64(lo), scale), nil
	}
	if int64(hi) >= 0 {
		return quotient(hi, lo, scale), nil
	}
	lo, carry := bits.Sub64(0, lo, 0)
	hi, _ = bits.Sub64(0, hi, carry)
	return -quotient(hi, lo, scale), nil
}
