package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/parquet-go/parquet-go/format"
)

// number is the physical types whose values have a fixed, small width.
type number interface {
	int32 | int64 | float32 | float64
}

func widthOf[T number]() int {
	var v T
	switch any(v).(type) {
	case int32, float32:
		return 4
	default:
		return 8
	}
}

// plainNumbers copies len(dst) little-endian values out of b.
func plainNumbers[T number](dst []T, b []byte) error {
	if len(b)/widthOf[T]() < len(dst) {
		return errShort
	}
	if littleEndian {
		copy(memoryOf(dst), b)
		return nil
	}
	switch dst := any(dst).(type) {
	case []int32:
		b = b[:4*len(dst)]
		for i := range dst {
			dst[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case []int64:
		b = b[:8*len(dst)]
		for i := range dst {
			dst[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
	case []float32:
		b = b[:4*len(dst)]
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case []float64:
		b = b[:8*len(dst)]
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
	return nil
}

// littleEndian says that numbers in memory are as they are in files.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// memoryOf returns the bytes of numbers as they are in memory.
func memoryOf[T number | uint32 | uint64 | bool](vs []T) []byte {
	var v T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(vs))), len(vs)*int(unsafe.Sizeof(v)))
}

// dictionary is the decoded dictionary page of the chunk being read.
type dictionary[T any] struct {
	values []T
	there  bool
}

var errNoDictionary = errors.New("dictionary-encoded, but the chunk has no dictionary page before it")

// gather decodes len(dst) dictionary indices and stores what they point at.
func gather[T any](dst []T, b []byte, dict dictionary[T], scratch *[]uint32) error {
	if !dict.there {
		return errNoDictionary
	}
	idx := scratchOf(scratch, len(dst))
	if err := indices(idx, b, len(dict.values)); err != nil {
		return err
	}
	values := dict.values
	for i, k := range idx {
		dst[i] = values[k]
	}
	return nil
}

// scratchOf returns *s with length n, of a new array if the old is too small.
func scratchOf[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	*s = (*s)[:n]
	return *s
}

func isDictionary(e format.Encoding) bool {
	return e == format.RLEDictionary || e == format.PlainDictionary
}

// numbers decodes len(dst) values of one page in any of the encodings that
// numbers come in.
func numbers[T number](dst []T, enc format.Encoding, b []byte, dict dictionary[T], s *scratch) error {
	switch {
	case isDictionary(enc):
		return gather(dst, b, dict, &s.index)
	case enc == format.Plain:
		return plainNumbers(dst, b)
	case enc == format.ByteStreamSplit:
		return plainNumbers(dst, joinStreams(b, len(dst), widthOf[T](), &s.joined))
	case enc == format.DeltaBinaryPacked:
		switch dst := any(dst).(type) {
		case []int32:
			_, err := deltas(dst, b)
			return err
		case []int64:
			_, err := deltas(dst, b)
			return err
		}
	}
	return unsupportedEncoding(enc)
}

func unsupportedEncoding(enc format.Encoding) error {
	return fmt.Errorf("encoding %v is not supported for this type", enc)
}

// booleans decodes bits, or runs of them behind a length of four bytes.
func booleans(dst []bool, enc format.Encoding, b []byte, s *scratch) error {
	switch enc {
	case format.Plain:
		if len(b) < (len(dst)+7)/8 {
			return errShort
		}
		for i := range dst {
			dst[i] = b[i>>3]>>(uint(i)&7)&1 != 0
		}
		return nil
	case format.RLE:
		if len(dst) == 0 {
			return nil
		}
		b, _, err := prefixed(b)
		if err != nil {
			return err
		}
		idx := scratchOf(&s.index, len(dst))
		r := runs{b: b, width: 1}
		for done := 0; done < len(idx); {
			if err := r.next(); err != nil {
				return err
			}
			n := min(r.left, len(idx)-done)
			if r.packed {
				r.unpack(idx[done : done+n])
			} else {
				for i := range n {
					idx[done+i] = r.value
				}
				r.left -= n
			}
			done += n
		}
		for i, v := range idx {
			dst[i] = v != 0
		}
		return nil
	}
	return unsupportedEncoding(enc)
}

// prefixed splits b into the bytes whose length its first four bytes give, and
// what follows.
func prefixed(b []byte) (head, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errShort
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, fmt.Errorf("%d bytes claimed, %d left in the page", n, len(b)-4)
	}
	return b[4 : 4+n], b[4+n:], nil
}

// views decodes len(dst) byte strings that are not plain; they share memory with b or scratch and
// last until the next page.
func views(dst [][]byte, l *leaf, enc format.Encoding, b []byte, dict dictionary[[]byte], s *scratch) error {
	switch {
	case isDictionary(enc):
		return gather(dst, b, dict, &s.index)
	case enc == format.ByteStreamSplit && l.width > 0:
		_, err := plainViews(dst, l, joinStreams(b, len(dst), l.width, &s.joined))
		return err
	case enc == format.DeltaLengthByteArray && l.physical == format.ByteArray:
		return deltaLengthViews(dst, b, s)
	case enc == format.DeltaByteArray && l.physical != format.Int96:
		return deltaViews(dst, l, b, s)
	}
	return unsupportedEncoding(enc)
}

// plainViews decodes plain values and returns what follows them.
func plainViews(dst [][]byte, l *leaf, b []byte) (rest []byte, err error) {
	if l.physical != format.ByteArray {
		if len(b)/l.width < len(dst) {
			return nil, errShort
		}
		for i := range dst {
			dst[i] = b[i*l.width : (i+1)*l.width]
		}
		return b[len(dst)*l.width:], nil
	}
	for i := range dst {
		if dst[i], b, err = prefixed(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}
