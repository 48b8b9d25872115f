package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/troupe-ml/troupe/data"
)

var (
	errShort = errors.New("fewer values than the page claims")
	errRun   = errors.New("malformed run")
	errIndex = errors.New("index beyond the dictionary")
)

// runs reads the hybrid of run-length and bit-packed runs.
//
// Source: Apache Parquet, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid".
type runs struct {
	b      []byte
	width  uint
	left   int    // values left in the current run
	packed bool   // the current run is bit-packed,
	bit    int    // and its next value starts at this bit of b; or
	value  uint32 // it repeats this value
	pos    int    // where the next run starts
}

// next makes the current run one that has values left.
func (r *runs) next() error {
	for r.left == 0 {
		if r.pos >= len(r.b) {
			return errShort
		}
		u, n := binary.Uvarint(r.b[r.pos:])
		if n <= 0 || u>>1 > 1<<31 {
			return errRun
		}
		r.pos += n
		if r.packed = u&1 == 1; r.packed {
			size := int(u>>1) * int(r.width)
			r.left, r.bit = int(u>>1)*8, r.pos*8
			if size > len(r.b)-r.pos { // writers may cut the last group short
				size = len(r.b) - r.pos
				r.left = size * 8 / int(r.width)
				if r.left == 0 {
					return errShort
				}
			}
			r.pos += size
			continue
		}
		size := int(r.width+7) / 8
		if size > len(r.b)-r.pos {
			return errShort
		}
		r.value = 0
		for i := range size {
			r.value |= uint32(r.b[r.pos+i]) << (8 * i)
		}
		r.left = int(u >> 1)
		r.pos += size
	}
	return nil
}

// unpack takes len(dst) values out of the current bit-packed run.
func (r *runs) unpack(dst []uint32) {
	bit := uint(r.bit)
	r.bit += len(dst) * int(r.width)
	r.left -= len(dst)
	unpackBits(dst, r.b, bit, r.width)
}

// unpackBits reads values of w bits, 1 to 32, from any bit of b on; bits beyond
// b are 0.
func unpackBits(dst []uint32, b []byte, bit, w uint) {
	mask := uint64(1)<<w - 1
	i := 0
	switch {
	case bit&7 != 0:
	case w <= 15:
		i = unpackEights(dst, b, bit>>3, w)
	case w <= 28:
		i = unpackPairs(dst, b, bit>>3, w)
	}
	bit += uint(i) * w
	if len(b) >= 8 {
		// Eight bytes from any bit on hold a value of up to 32 bits whole.
		last := uint(len(b)-8) * 8
		for ; i < len(dst) && bit <= last; i++ {
			dst[i] = uint32(binary.LittleEndian.Uint64(b[bit>>3:]) >> (bit & 7) & mask)
			bit += w
		}
	}
	for ; i < len(dst); i++ {
		var tail [8]byte
		copy(tail[:], b[min(int(bit>>3), len(b)):])
		dst[i] = uint32(binary.LittleEndian.Uint64(tail[:]) >> (bit & 7) & mask)
		bit += w
	}
}

// unpackEights reads eights of values of up to 15 bits from a byte on, as long
// as there are whole words to read them from, and returns how many it has read.
func unpackEights(dst []uint32, b []byte, at, w uint) int {
	mask := uint64(1)<<w - 1
	half, shift := 4*w>>3, 4*w&7 // where the second four begin
	i := 0
	for ; i+8 <= len(dst) && at+half+8 <= uint(len(b)); i += 8 {
		d := dst[i : i+8 : i+8]
		lo := binary.LittleEndian.Uint64(b[at:])
		hi := binary.LittleEndian.Uint64(b[at+half:]) >> (shift & 63)
		d[0] = uint32(lo & mask)
		d[1] = uint32(lo >> (w & 63) & mask)
		d[2] = uint32(lo >> (2 * w & 63) & mask)
		d[3] = uint32(lo >> (3 * w & 63) & mask)
		d[4] = uint32(hi & mask)
		d[5] = uint32(hi >> (w & 63) & mask)
		d[6] = uint32(hi >> (2 * w & 63) & mask)
		d[7] = uint32(hi >> (3 * w & 63) & mask)
		at += w
	}
	return i
}

// unpackPairs does the same for values of up to 28 bits, two from a word.
func unpackPairs(dst []uint32, b []byte, at, w uint) int {
	mask := uint64(1)<<w - 1
	at1, at2, at3 := 2*w>>3, 4*w>>3, 6*w>>3 // where the other three pairs begin,
	s1, s2, s3 := 2*w&7, 4*w&7, 6*w&7       // and at which bit
	i := 0
	for ; i+8 <= len(dst) && at+at3+8 <= uint(len(b)); i += 8 {
		d := dst[i : i+8 : i+8]
		p0 := binary.LittleEndian.Uint64(b[at:])
		p1 := binary.LittleEndian.Uint64(b[at+at1:]) >> (s1 & 63)
		p2 := binary.LittleEndian.Uint64(b[at+at2:]) >> (s2 & 63)
		p3 := binary.LittleEndian.Uint64(b[at+at3:]) >> (s3 & 63)
		d[0], d[1] = uint32(p0&mask), uint32(p0>>(w&63)&mask)
		d[2], d[3] = uint32(p1&mask), uint32(p1>>(w&63)&mask)
		d[4], d[5] = uint32(p2&mask), uint32(p2>>(w&63)&mask)
		d[6], d[7] = uint32(p3&mask), uint32(p3>>(w&63)&mask)
		at += w
	}
	return i
}

// indices decodes len(dst) dictionary indices, each below limit: a byte with
// the width, then runs.
func indices(dst []uint32, b []byte, limit int) error {
	if len(dst) == 0 {
		return nil
	}
	if len(b) == 0 {
		return errShort
	}
	r := runs{b: b[1:], width: uint(b[0])}
	if r.width > 32 {
		return fmt.Errorf("indices of %d bits", r.width)
	}
	if limit == 0 {
		return errIndex
	}
	if r.width == 0 {
		clear(dst)
		return nil
	}
	for len(dst) > 0 {
		if err := r.next(); err != nil {
			return err
		}
		n := min(r.left, len(dst))
		part := dst[:n]
		dst = dst[n:]
		if !r.packed {
			if int64(r.value) >= int64(limit) {
				return errIndex
			}
			for i := range part {
				part[i] = r.value
			}
			r.left -= n
			continue
		}
		for len(part) > 0 {
			some := part[:min(len(part), inCache)]
			part = part[len(some):]
			r.unpack(some)
			if int64(highest(some)) >= int64(limit) {
				return errIndex
			}
		}
	}
	return nil
}

// inCache is how many indices are looked at while they are in the first cache.
const inCache = 4096

// highest returns the greatest of some values, 0 of none.
func highest(vs []uint32) uint32 {
	var a, b, c, d uint32
	for ; len(vs) >= 8; vs = vs[8:] {
		v := (*[8]uint32)(vs)
		a, b, c, d = max(a, v[0]), max(b, v[1]), max(c, v[2]), max(d, v[3])
		a, b, c, d = max(a, v[4]), max(b, v[5]), max(c, v[6]), max(d, v[7])
	}
	for _, v := range vs {
		a = max(a, v)
	}
	return max(a, b, c, d)
}

// definitionLevels decodes n levels and marks those that reach maxDef in the
// column's bitmap. It returns how many do. The bitmap appears with the first
// null, since a column without any has none.
func (cr *columnReader) definitionLevels(b []byte, n int) (numValid int, err error) {
	c, maxDef, off := cr.col, cr.leaf.maxDef, cr.row
	r := runs{b: b, width: uint(bits.Len(uint(maxDef)))}
	if n == 0 {
		return 0, nil
	}
	if err := r.next(); err != nil {
		return 0, err
	}
	if !r.packed && r.left >= n && r.value == uint32(maxDef) { // one run: all are there
		if c.Valid != nil {
			setBits(c.Valid, off, n)
		}
		return n, nil
	}
	if c.Valid == nil {
		c.Valid = sized(cr.marks, (c.Len()+63)/64)
		clear(c.Valid)
		setBits(c.Valid, 0, off)
	}
	var block [512]uint32
	for n > 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
		k := min(r.left, n)
		switch {
		case !r.packed:
			if r.value > uint32(maxDef) {
				return 0, fmt.Errorf("definition level %d, at most %d expected", r.value, maxDef)
			}
			if r.value == uint32(maxDef) {
				setBits(c.Valid, off, k)
				numValid += k
			}
			r.left -= k
		case maxDef == 1:
			numValid += copyBits(c.Valid, off, r.b[r.bit>>3:], k)
			// Only the last run may be cut, since n ends with it.
			r.left = 0
		default:
			k = min(k, len(block))
			r.unpack(block[:k])
			for i, v := range block[:k] {
				if v == uint32(maxDef) {
					c.Valid.Set(off + i)
					numValid++
				}
			}
		}
		off += k
		n -= k
	}
	return numValid, nil
}

// setBits sets rows [off, off+n).
func setBits(b data.Bitmap, off, n int) {
	for n > 0 {
		s := uint(off) & 63
		k := min(n, 64-int(s))
		b[off>>6] |= (^uint64(0) >> (64 - uint(k))) << s
		off += k
		n -= k
	}
}

// copyBits sets the rows from off on whose bits are set among the first n bits
// of src, and returns how many.
func copyBits(b data.Bitmap, off int, src []byte, n int) (ones int) {
	for n > 0 {
		var w uint64
		if len(src) >= 8 {
			w = binary.LittleEndian.Uint64(src)
			src = src[8:]
		} else {
			for i, c := range src {
				w |= uint64(c) << (8 * i)
			}
			src = nil
		}
		k := min(n, 64)
		w &= ^uint64(0) >> (64 - uint(k))
		ones += bits.OnesCount64(w)
		s := uint(off) & 63
		b[off>>6] |= w << s
		if rest := w >> (63 - s) >> 1; rest != 0 {
			b[off>>6+1] |= rest
		}
		off += k
		n -= k
	}
	return ones
}

// spread moves the numValid values at the front of dst to the rows that are
// there, from the back so that none is overwritten, and zeroes the nulls.
func spread[T any](dst []T, numValid int, valid data.Bitmap, off int) {
	var zero T
	j := numValid - 1
	for i := len(dst) - 1; i > j; i-- {
		if j >= 0 && valid.Get(off+i) {
			dst[i] = dst[j]
			j--
		} else {
			dst[i] = zero
		}
	}
}

// spreadWords does the same: rows that are all there, up to 64, by one copy, and
// others without a branch, which nulls here and there would have guessed wrong.
func spreadWords[W uint32 | uint64](dst []W, numValid int, valid data.Bitmap, off int) {
	j := numValid - 1
	for i := len(dst) - 1; i > j; {
		k := min((off+i)&63, i) + 1 // rows up to i whose marks are in one word
		if k <= j+1 && bitsAt(valid, off+i-k+1, k) == ^uint64(0)>>(64-uint(k)) {
			copy(dst[i-k+1:i+1], dst[j-k+1:j+1])
			i, j = i-k, j-k
			continue
		}
		for ; k > 0 && i > j; k-- {
			there := W(valid[(off+i)>>6] >> (uint(off+i) & 63) & 1)
			dst[i] = dst[max(j, 0)] & -there
			j -= int(there)
			i--
		}
	}
}
