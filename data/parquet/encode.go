package parquet

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/troupe-ml/troupe/data"
)

// appendWords appends bit patterns as PLAIN numbers.
func appendWords[W uint32 | uint64](dst []byte, ws []W) []byte {
	if littleEndian {
		return append(dst, memoryOf(ws)...)
	}
	switch ws := any(ws).(type) {
	case []uint32:
		at := len(dst)
		dst = extend(dst, 4*len(ws))
		b := dst[at:]
		for i, v := range ws {
			binary.LittleEndian.PutUint32(b[4*i:], v)
		}
	case []uint64:
		at := len(dst)
		dst = extend(dst, 8*len(ws))
		b := dst[at:]
		for i, v := range ws {
			binary.LittleEndian.PutUint64(b[8*i:], v)
		}
	}
	return dst
}

// extend makes dst longer by n bytes of any content.
func extend(dst []byte, n int) []byte {
	if cap(dst)-len(dst) < n {
		dst = append(make([]byte, 0, max(len(dst)+n, 2*cap(dst))), dst...)
	}
	return dst[:len(dst)+n]
}

func appendString(dst []byte, s string) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
	return append(dst, s...)
}

// indexWidth is how many bits the indices of a dictionary take. One is the
// least, since not every reader knows none.
func indexWidth(size int) uint { return uint(max(1, bits.Len(uint(max(size-1, 0))))) }

// appendIndices appends dictionary indices: their width, then runs.
func appendIndices(dst []byte, codes []uint32, width uint) []byte {
	return appendRuns(append(dst, byte(width)), codes, width)
}

// minRun is from how many equal values on a run of its own is worth it.
const minRun = 64

// appendRuns appends the hybrid of run-length and bit-packed runs, which runs
// reads.
func appendRuns(dst []byte, vs []uint32, width uint) []byte {
	start := 0 // of what is to be bit-packed
	for i := 0; i < len(vs); {
		end := i + 1
		for v := vs[i]; end < len(vs) && vs[end] == v; end++ {
		}
		if end-i >= minRun {
			i += (8 - (i-start)&7) & 7 // bit-packed values come by eights
			dst = appendPacked(dst, vs[start:i], width)
			dst = binary.AppendUvarint(dst, uint64(end-i)<<1)
			for k := uint(0); k < width; k += 8 {
				dst = append(dst, byte(vs[i]>>k))
			}
			start = end
		}
		i = end
	}
	return appendPacked(dst, vs[start:], width)
}

// appendPacked appends one bit-packed run, filled up to a multiple of eight.
func appendPacked(dst []byte, vs []uint32, width uint) []byte {
	if len(vs) == 0 {
		return dst
	}
	groups := (len(vs) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	return pack(dst, vs, groups*8, width)
}

// pack appends n values of width bits, of which those beyond vs are 0; n is a
// multiple of eight.
func pack[W uint32 | uint64](dst []byte, vs []W, n int, width uint) []byte {
	at, size := len(dst), n/8*int(width)
	dst = extend(dst, size)
	b := dst[at:]
	acc, have, k := uint64(0), uint(0), 0
	for _, v := range vs {
		acc |= uint64(v) << have
		have += width
		if have >= 64 {
			binary.LittleEndian.PutUint64(b[k:], acc)
			k += 8
			have -= 64
			acc = uint64(v) >> (width - have) // 0 when have is 0, and width 64 too
		}
	}
	for ; have > 0 && k < len(b); k++ {
		b[k] = byte(acc)
		acc >>= 8
		have -= min(have, 8)
	}
	clear(b[k:])
	return dst
}

// appendLevels appends the definition levels of rows [from, to), of which here
// are there.
func appendLevels(dst []byte, valid data.Bitmap, from, to, here int) []byte {
	switch {
	case here == to-from:
		return append(binary.AppendUvarint(dst, uint64(to-from)<<1), 1)
	case here == 0:
		return append(binary.AppendUvarint(dst, uint64(to-from)<<1), 0)
	}
	groups := (to - from + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	for i := from; i < to; i += 8 {
		s := uint(i) & 63
		w := valid[i>>6] >> s
		if s > 56 && i>>6+1 < len(valid) {
			w |= valid[i>>6+1] << (64 - s)
		}
		if left := to - i; left < 8 {
			w &= 1<<uint(left) - 1
		}
		dst = append(dst, byte(w))
	}
	return dst
}

// numberBounds returns least and greatest, NaN left out; a zero is taken as
// both zeros, as the format asks.
func numberBounds[T number](vs []T) bounds {
	i := 0
	for i < len(vs) && vs[i] != vs[i] { //nolint:gocritic // NaN
		i++
	}
	if i == len(vs) {
		return bounds{}
	}
	lo, hi := vs[i], vs[i]
	for _, v := range vs[i:] {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return bounds{true, appendBound(lo, true), appendBound(hi, false)}
}

func appendBound[T number](v T, least bool) []byte {
	switch v := any(v).(type) {
	case int32:
		return binary.LittleEndian.AppendUint32(nil, uint32(v))
	case int64:
		return binary.LittleEndian.AppendUint64(nil, uint64(v))
	case float32:
		v += 0
		if v == 0 && least {
			v = float32(math.Copysign(0, -1))
		}
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))
	case float64:
		v += 0
		if v == 0 && least {
			v = math.Copysign(0, -1)
		}
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))
	}
	return nil
}

// maxBound is the longest string that is kept as a bound.
const maxBound = 64

// stringBounds returns the least and the greatest of the strings that the codes
// stand for, in order of their bytes; none when one of the two is long.
func (e *chunkEncoder) stringBounds(dict []string, codes []uint32) bounds {
	if len(e.marks) < len(dict) || e.page == math.MaxUint32 {
		e.marks, e.page = make([]uint32, max(len(dict), len(e.marks))), 0
	}
	e.page++
	marks, page := e.marks, e.page
	lo, hi := dict[codes[0]], dict[codes[0]]
	for _, code := range codes {
		if marks[code] == page {
			continue
		}
		marks[code] = page
		switch s := dict[code]; {
		case s < lo:
			lo = s
		case s > hi:
			hi = s
		}
	}
	if max(len(lo), len(hi)) > maxBound {
		return bounds{}
	}
	return bounds{true, bytes.Clone([]byte(lo)), bytes.Clone([]byte(hi))}
}
