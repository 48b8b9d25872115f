package parquet

import (
	"encoding/binary"
	"unsafe"
)

// dense looks at a sample, and reports whether zstd makes of values, as they are,
// more than three fifths. It then takes ten times as long as for streams of their
// bytes, of which all but signs and exponents are noise that it soon passes over,
// and leaves little less.
func dense[W uint32 | uint64](e *chunkEncoder, ws []W) bool {
	const sample = 1 << 12
	if e.cfg.Codec != Zstd || len(ws) < 8*sample {
		return false
	}
	middle := appendWords(e.body[:0], ws[len(ws)/2:len(ws)/2+sample])
	e.body = middle
	return 5*len(e.compress(middle)) > 3*len(middle)
}

// appendSplit appends values as BYTE_STREAM_SPLIT: their first bytes, then their
// second ones, and so on.
func appendSplit[W uint32 | uint64](dst []byte, ws []W) []byte {
	at, n, width := len(dst), len(ws), int(unsafe.Sizeof(*new(W)))
	dst = extend(dst, n*width)
	out := dst[at:]
	i := 0
	if ws, ok := any(ws).([]uint64); ok {
		for ; i+8 <= n; i += 8 {
			block := [8]uint64(ws[i:])
			transpose(&block)
			for k, w := range block {
				binary.LittleEndian.PutUint64(out[k*n+i:], w)
			}
		}
	}
	for ; i < n; i++ {
		for k := range width {
			out[k*n+i] = byte(ws[i] >> (8 * k))
		}
	}
	return dst
}

// joinStreams undoes BYTE_STREAM_SPLIT: byte k of value i is at k*n+i. Too
// little input gives too little output, which the caller notices.
func joinStreams(b []byte, n, width int, buf *[]byte) []byte {
	if len(b)/width < n {
		return nil
	}
	n = len(b) / width // nulls are not stored, so this is all there are
	out := grow(buf, n*width)
	i := 0
	if width == 8 {
		for ; i+8 <= n; i += 8 {
			var block [8]uint64
			for k := range block {
				block[k] = binary.LittleEndian.Uint64(b[k*n+i:])
			}
			transpose(&block)
			for k, w := range block {
				binary.LittleEndian.PutUint64(out[8*(i+k):], w)
			}
		}
	}
	for k := range width {
		stream := b[k*n : (k+1)*n]
		for i := i; i < n; i++ {
			out[i*width+k] = stream[i]
		}
	}
	return out
}

// transpose makes byte k of word i byte i of word k: squares of four bytes change
// places, then those of two in each of them, then bytes.
func transpose(m *[8]uint64) {
	a, b, c, d, e, f, g, h := m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
	a, e = swap(a, e, 32, 0x00000000ffffffff)
	b, f = swap(b, f, 32, 0x00000000ffffffff)
	c, g = swap(c, g, 32, 0x00000000ffffffff)
	d, h = swap(d, h, 32, 0x00000000ffffffff)
	a, c = swap(a, c, 16, 0x0000ffff0000ffff)
	b, d = swap(b, d, 16, 0x0000ffff0000ffff)
	e, g = swap(e, g, 16, 0x0000ffff0000ffff)
	f, h = swap(f, h, 16, 0x0000ffff0000ffff)
	m[0], m[1] = swap(a, b, 8, 0x00ff00ff00ff00ff)
	m[2], m[3] = swap(c, d, 8, 0x00ff00ff00ff00ff)
	m[4], m[5] = swap(e, f, 8, 0x00ff00ff00ff00ff)
	m[6], m[7] = swap(g, h, 8, 0x00ff00ff00ff00ff)
}

// swap exchanges the upper parts of one word with the lower parts of another.
func swap(low, high uint64, by uint, mask uint64) (uint64, uint64) {
	t := (low>>by ^ high) & mask
	return low ^ t<<by, high ^ t
}
