package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errDelta = errors.New("malformed delta encoding")

// deltaHeader is what a DELTA_BINARY_PACKED run of values begins with.
type deltaHeader struct {
	miniBlocks int // in a block
	perMini    int // values in a mini block, a multiple of 32
	total      int
	first      int64
}

func readDeltaHeader(b []byte) (deltaHeader, []byte, error) {
	var v [3]uint64
	for i := range v {
		u, n := binary.Uvarint(b)
		if n <= 0 {
			return deltaHeader{}, nil, errDelta
		}
		v[i], b = u, b[n:]
	}
	first, n := binary.Varint(b)
	if n <= 0 {
		return deltaHeader{}, nil, errDelta
	}
	if v[0] == 0 || v[0] > 1<<20 || v[1] == 0 || v[1] > v[0] || v[0]%v[1] != 0 || v[0]/v[1]%32 != 0 || v[2] > 1<<31 {
		return deltaHeader{}, nil, fmt.Errorf("%w: block of %d in %d, %d values", errDelta, v[0], v[1], v[2])
	}
	return deltaHeader{int(v[1]), int(v[0] / v[1]), int(v[2]), first}, b[n:], nil
}

// deltas decodes exactly len(dst) integers and returns what follows them.
//
// Source: Apache Parquet, Encodings.md, "Delta Encoding". Differences wrap
// around, as they do when written.
func deltas[T int32 | int64](dst []T, b []byte) (rest []byte, err error) {
	if len(dst) == 0 && len(b) == 0 {
		return nil, nil
	}
	h, b, err := readDeltaHeader(b)
	if err != nil {
		return nil, err
	}
	if h.total != len(dst) {
		return nil, fmt.Errorf("%d values expected, the encoding claims %d", len(dst), h.total)
	}
	if h.total == 0 {
		return b, nil
	}
	last := h.first
	dst[0] = T(last)
	dst = dst[1:]
	for len(dst) > 0 {
		least, n := binary.Varint(b)
		if n <= 0 || len(b)-n < h.miniBlocks {
			return nil, errDelta
		}
		widths := b[n : n+h.miniBlocks]
		b = b[n+h.miniBlocks:]
		for _, w := range widths {
			if len(dst) == 0 {
				break // no bytes follow for mini blocks past the end
			}
			if w > 64 {
				return nil, fmt.Errorf("%w: differences of %d bits", errDelta, w)
			}
			k := min(h.perMini, len(dst))
			size := h.perMini / 8 * int(w)
			if size > len(b) {
				if size = (k*int(w) + 7) / 8; size > len(b) { // the last one may be cut short
					return nil, errShort
				}
			}
			last = miniBlock(dst[:k], b, uint(w), least, last)
			dst, b = dst[k:], b[size:]
		}
	}
	return b, nil
}

// miniBlock adds bit-packed differences of w bits, over the least one, to last.
// b may go on behind them: what it has there is read, but does not count.
func miniBlock[T int32 | int64](dst []T, b []byte, w uint, least, last int64) int64 {
	if w == 0 {
		for i := range dst {
			last += least
			dst[i] = T(last)
		}
		return last
	}
	if w <= 28 {
		n := 0
		n, last = deltaPairs(dst, b, w, least, last)
		dst, b = dst[n:], b[n/8*int(w):]
	}
	if w <= 32 {
		var block [128]uint32
		for len(dst) > 0 {
			n := min(len(dst), len(block))
			unpackBits(block[:n], b, 0, w)
			for i, v := range block[:n] {
				last += least + int64(v)
				dst[i] = T(last)
			}
			dst, b = dst[n:], b[min(n/8*int(w), len(b)):]
		}
		return last
	}
	mask := ^uint64(0)
	if w < 64 {
		mask = 1<<w - 1
	}
	bit := uint(0)
	for i := range dst {
		at := bit >> 3
		var v uint64
		if at+8 <= uint(len(b)) {
			v = binary.LittleEndian.Uint64(b[at:]) >> (bit & 7)
			if w+bit&7 > 64 {
				v |= uint64(b[at+8]) << (64 - bit&7)
			}
		} else {
			var tail [8]byte
			copy(tail[:], b[min(at, uint(len(b))):])
			v = binary.LittleEndian.Uint64(tail[:]) >> (bit & 7)
		}
		last += least + int64(v&mask)
		dst[i] = T(last)
		bit += w
	}
	return last
}

// deltaPairs is unpackPairs with the sums at once. It stops where there are no
// whole words to read, and returns how many values it has stored and the last.
func deltaPairs[T int32 | int64](dst []T, b []byte, w uint, least, last int64) (int, int64) {
	mask := uint64(1)<<w - 1
	at1, at2, at3 := 2*w>>3, 4*w>>3, 6*w>>3
	s1, s2, s3 := 2*w&7, 4*w&7, 6*w&7
	i, at := 0, uint(0)
	for ; i+8 <= len(dst) && at+at3+8 <= uint(len(b)); i += 8 {
		d := dst[i : i+8 : i+8]
		p0 := binary.LittleEndian.Uint64(b[at:])
		p1 := binary.LittleEndian.Uint64(b[at+at1:]) >> (s1 & 63)
		p2 := binary.LittleEndian.Uint64(b[at+at2:]) >> (s2 & 63)
		p3 := binary.LittleEndian.Uint64(b[at+at3:]) >> (s3 & 63)
		v0 := last + (least + int64(p0&mask))
		v1 := v0 + (least + int64(p0>>(w&63)&mask))
		v2 := v1 + (least + int64(p1&mask))
		v3 := v2 + (least + int64(p1>>(w&63)&mask))
		v4 := v3 + (least + int64(p2&mask))
		v5 := v4 + (least + int64(p2>>(w&63)&mask))
		v6 := v5 + (least + int64(p3&mask))
		last = v6 + (least + int64(p3>>(w&63)&mask))
		d[0], d[1], d[2], d[3] = T(v0), T(v1), T(v2), T(v3)
		d[4], d[5], d[6], d[7] = T(v4), T(v5), T(v6), T(last)
		at += w
	}
	return i, last
}

// lengths decodes n lengths that are not negative and returns them with their
// sum and what follows.
func lengths(n int, b []byte, buf *[]int32) (ls []int32, sum int64, rest []byte, err error) {
	ls = scratchOf(buf, n)
	if rest, err = deltas(ls, b); err != nil {
		return nil, 0, nil, err
	}
	for _, l := range ls {
		if l < 0 {
			return nil, 0, nil, fmt.Errorf("%w: length %d", errDelta, l)
		}
		sum += int64(l)
	}
	return ls, sum, rest, nil
}

// deltaLengthViews decodes DELTA_LENGTH_BYTE_ARRAY: all lengths, then all bytes.
func deltaLengthViews(dst [][]byte, b []byte, s *scratch) error {
	ls, sum, rest, err := lengths(len(dst), b, &s.lengths)
	if err != nil {
		return err
	}
	if sum > int64(len(rest)) {
		return errShort
	}
	for i, l := range ls {
		dst[i], rest = rest[:l], rest[l:]
	}
	return nil
}

// deltaViews decodes DELTA_BYTE_ARRAY: each string is a prefix of the one
// before it and a suffix of its own.
func deltaViews(dst [][]byte, l *leaf, b []byte, s *scratch) error {
	prefixes, shared, b, err := lengths(len(dst), b, &s.prefixes)
	if err != nil {
		return err
	}
	suffixes, own, b, err := lengths(len(dst), b, &s.lengths)
	if err != nil {
		return err
	}
	if own > int64(len(b)) {
		return errShort
	}
	if shared+own > maxPage {
		return fmt.Errorf("strings of %d bytes in one page are too many", shared+own)
	}
	if s.expanded += shared + own; s.expanded > s.maxBytes {
		return errStrings(s.maxBytes)
	}
	for i, before := 0, int32(0); i < len(dst); i++ {
		if prefixes[i] > before {
			return fmt.Errorf("%w: prefix of %d of a string of %d", errDelta, prefixes[i], before)
		}
		before = prefixes[i] + suffixes[i]
		if l.width > 0 && int(before) != l.width {
			return fmt.Errorf("%d bytes where each value has %d", before, l.width)
		}
	}
	out := grow(&s.joined, int(shared+own))
	n := 0
	var before []byte
	for i := range dst {
		p, k := int(prefixes[i]), int(suffixes[i])
		v := out[n : n+p+k : n+p+k]
		copy(v, before[:p])
		copy(v[p:], b[:k])
		dst[i], before, b = v, v, b[k:]
		n += p + k
	}
	return nil
}
