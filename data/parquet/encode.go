package parquet

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

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
	for from := 0; ; {
		i, end := nextRun(vs, from)
		if i == end {
			return appendPacked(dst, vs[start:], width)
		}
		i += (8 - (i-start)&7) & 7 // bit-packed values come by eights
		dst = appendPacked(dst, vs[start:i], width)
		dst = binary.AppendUvarint(dst, uint64(end-i)<<1)
		for k := uint(0); k < width; k += 8 {
			dst = append(dst, byte(vs[i]>>k))
		}
		start, from = end, end
	}
}

// nextRun finds the first run of equal values from a place on that is worth it.
// Wherever such a run begins, one of the halves that are looked at lies in it.
func nextRun(vs []uint32, from int) (i, end int) {
	const half = minRun / 2
	for at := from; at+half <= len(vs); at += half {
		v := vs[at]
		if vs[at+half-1] != v || vs[at+half/2] != v {
			continue
		}
		for i = at; i > from && vs[i-1] == v; i-- {
		}
		for end = at + 1; end < len(vs) && vs[end] == v; end++ {
		}
		if end-i >= minRun {
			return i, end
		}
	}
	return 0, 0
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
// multiple of eight. As many values at a time as fit are put into a word first.
func pack[W uint32 | uint64](dst []byte, vs []W, n int, width uint) []byte {
	at, size := len(dst), n/8*int(width)
	dst = extend(dst, size)
	p := packer{b: dst[at:]}
	switch {
	case width <= 8:
		for ; len(vs) >= 8; vs = vs[8:] {
			v := (*[8]W)(vs)
			lo := uint64(v[0]) | uint64(v[1])<<(width&63) | (uint64(v[2])|uint64(v[3])<<(width&63))<<(2*width&63)
			hi := uint64(v[4]) | uint64(v[5])<<(width&63) | (uint64(v[6])|uint64(v[7])<<(width&63))<<(2*width&63)
			p.add(lo|hi<<(4*width&63), 8*width)
		}
	case width <= 16:
		for ; len(vs) >= 4; vs = vs[4:] {
			v := (*[4]W)(vs)
			p.add(uint64(v[0])|uint64(v[1])<<(width&63)|(uint64(v[2])|uint64(v[3])<<(width&63))<<(2*width&63), 4*width)
		}
	case width <= 32:
		for ; len(vs) >= 2; vs = vs[2:] {
			v := (*[2]W)(vs)
			p.add(uint64(v[0])|uint64(v[1])<<(width&63), 2*width)
		}
	}
	for _, v := range vs {
		p.add(uint64(v), width)
	}
	p.end()
	return dst
}

// packer fills bytes with bits, least significant first.
type packer struct {
	b    []byte
	acc  uint64 // the next bits,
	have uint   // and how many there are
	k    int    // where they go
}

// add appends the lowest bits of v, up to 64; the others are 0.
func (p *packer) add(v uint64, width uint) {
	p.acc |= v << p.have
	if p.have += width; p.have >= 64 {
		binary.LittleEndian.PutUint64(p.b[p.k:], p.acc)
		p.k += 8
		p.have -= 64
		p.acc = v >> (width - p.have) // 0 when have is 0, and width 64 too
	}
}

// end fills up with zeros.
func (p *packer) end() {
	for ; p.have > 0 && p.k < len(p.b); p.k++ {
		p.b[p.k] = byte(p.acc)
		p.acc >>= 8
		p.have -= min(p.have, 8)
	}
	clear(p.b[p.k:])
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

// boundsOfPages returns the bounds of a chunk of numbers from those of its pages.
func boundsOfPages[T number](pages []pageMeta) bounds {
	var ends []T
	for i := range pages {
		if b := &pages[i].bounds; b.there {
			var two [2]T
			_ = plainNumbers(two[:1], b.min) // of their width they are
			_ = plainNumbers(two[1:], b.max)
			ends = append(ends, two[:]...)
		}
	}
	return numberBounds(ends)
}

// maxBound is the longest string that is kept as a bound.
const maxBound = 64

// boundsOfStrings returns the least and the greatest of some strings, in order of
// their bytes; none when one of the two is long.
func boundsOfStrings(all []string) bounds {
	return textBounds(slices.Min(all), slices.Max(all))
}

func textBounds(lo, hi string) bounds {
	if max(len(lo), len(hi)) > maxBound {
		return bounds{}
	}
	return bounds{true, []byte(lo), []byte(hi)}
}

// stringBounds does the same for those that the codes stand for.
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
	return textBounds(lo, hi)
}
