package parquet

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// convertInt32 stores the physical values of a page as what the column holds.
func (r *columnReader) convertInt32(vs []int32) {
	switch r.leaf.conv {
	case fromUint32:
		for i, v := range vs {
			r.col.Int64s[r.row+i] = int64(uint32(v))
		}
	case fromMillis32:
		for i, v := range vs {
			r.col.Int64s[r.row+i] = int64(v) * 1000
		}
	case fromDecimal32:
		for i, v := range vs {
			r.col.Float64s[r.row+i] = decimal(int64(v), r.leaf.scale)
		}
	}
}

// convertInt64 does the same, in place where the type stays.
func (r *columnReader) convertInt64(vs []int64) error {
	switch r.leaf.conv {
	case fromUint64:
		for _, v := range vs {
			if v < 0 {
				return fmt.Errorf("%w: %d", errBeyond, uint64(v))
			}
		}
	case fromUint64Text:
		var digits [20]byte
		for i, v := range vs {
			if i%stopRows == 0 {
				if err := r.stop(); err != nil {
					return err
				}
			}
			r.col.Codes[r.row+i] = r.strings.code(strconv.AppendUint(digits[:0], uint64(v), 10))
		}
	case fromMillis:
		for i, v := range vs {
			if v > math.MaxInt64/1000 || v < math.MinInt64/1000 {
				return fmt.Errorf("%d milliseconds do not fit 64 bits of microseconds", v)
			}
			vs[i] = v * 1000
		}
	case fromNanos:
		for i, v := range vs {
			vs[i] = micros(v)
		}
	case fromDecimal64:
		for i, v := range vs {
			r.col.Float64s[r.row+i] = decimal(v, r.leaf.scale)
		}
	}
	return nil
}

// micros turns nanoseconds into microseconds, down before 1970 too.
func micros(nanos int64) int64 {
	q := nanos / 1000
	if nanos%1000 < 0 {
		q--
	}
	return q
}

// convertBytes stores values that come as bytes but are numbers in the rows from
// at on.
func (r *columnReader) convertBytes(vs [][]byte, at int) error {
	switch r.leaf.conv {
	case fromInt96:
		for i, v := range vs {
			t, err := int96(v)
			if err != nil {
				return err
			}
			r.col.Int64s[at+i] = t
		}
	case fromFloat16:
		for i, v := range vs {
			r.col.Float32s[at+i] = float16(binary.LittleEndian.Uint16(v))
		}
	case fromDecimalBytes:
		for i, v := range vs {
			d, err := decimalBytes(v, r.leaf.scale)
			if err != nil {
				return err
			}
			r.col.Float64s[at+i] = d
		}
	case fromMonths, fromDays, fromIntervalMillis:
		part := 4 * (r.leaf.conv - fromMonths)
		for i, v := range vs {
			r.col.Int64s[at+i] = int64(binary.LittleEndian.Uint32(v[part:]))
		}
	}
	return nil
}

// int96 returns the microseconds since 1970 of nanoseconds within a Julian day.
func int96(b []byte) (int64, error) {
	const (
		microsADay = 86_400_000_000
		julian1970 = 2_440_588
	)
	nanos := int64(binary.LittleEndian.Uint64(b))
	days := int64(int32(binary.LittleEndian.Uint32(b[8:]))) - julian1970
	hi, lo := bits.Mul64(uint64(max(days, -days)), microsADay)
	if hi != 0 || lo > math.MaxInt64/2 {
		return 0, fmt.Errorf("INT96 timestamp %d days from 1970 does not fit 64 bits of microseconds", days)
	}
	return days*microsADay + micros(nanos), nil
}

// float16 widens an IEEE 754 half-precision number.
func float16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp, frac := uint32(h>>10&31), uint32(h&1023)
	switch {
	case exp == 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
	}
	v := float32(frac) / (1 << 24)
	if sign != 0 {
		v = -v
	}
	return v
}
