package parquet

import (
	"encoding/binary"
	"math"

	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
)

const (
	bloomHeader   = 64 // bytes that hold the header of every bloom filter
	bloomBlock    = 32
	maxBloomBytes = 128 << 20
)

// bloomReader asks the bloom filter of one chunk. It reads the header and the
// blocks that are asked for, not the whole.
type bloomReader struct {
	f         *File
	leaf      *leaf
	at        int64 // of the first block
	numBlocks uint64
	err       error // of the reader
}

// bloom returns the filter of a chunk, or nil when there is none that can be
// used: what a filter says is never needed.
func (f *File) bloom(l *leaf, c *chunk) (*bloomReader, error) {
	if l.part != whole || c.bloom.at < int64(len(magic)) || c.bloom.at > f.foot.end-bloomBlock {
		return nil, nil
	}
	b := make([]byte, min(bloomHeader, f.foot.end-c.bloom.at))
	if err := readAt(f.r, b, c.bloom.at); err != nil {
		return nil, err
	}
	r := &compact{b: b}
	numBytes, known := int64(-1), 0
	r.fields(func(id int16, t byte) bool {
		switch {
		case id == 1:
			numBytes = r.int(t, bloomBlock, maxBloomBytes)
		case (id == 2 || id == 3 || id == 4) && t == thriftStruct: // algorithm, hash and compression: the first of each
			r.fields(func(id int16, _ byte) bool {
				if id == 1 {
					known++
				}
				return false
			})
		default:
			return false
		}
		return true
	})
	at := c.bloom.at + int64(r.pos)
	if r.err != nil || known != 3 || numBytes%bloomBlock != 0 || at > f.foot.end-numBytes {
		return nil, nil
	}
	return &bloomReader{f: f, leaf: l, at: at, numBlocks: uint64(numBytes / bloomBlock)}, nil
}

// lacks reports whether a value certainly does not occur.
func (r *bloomReader) lacks(v data.Value) bool {
	stored, answer := r.leaf.stored(v)
	switch answer {
	case cannotOccur:
		return true
	case cannotTell:
		return false
	}
	for _, b := range stored {
		if r.mayHave(b) {
			return false
		}
	}
	return true
}

// salts choose a bit of each word of a block.
//
// Source: Apache Parquet, BloomFilter.md, "Split Block Bloom Filters".
var salts = [8]uint32{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

func (r *bloomReader) mayHave(value []byte) bool {
	h := xxhash.Sum64(value)
	var block [bloomBlock]byte
	if r.err = readAt(r.f.r, block[:], r.at+int64(h>>32*r.numBlocks>>32)*bloomBlock); r.err != nil {
		return true
	}
	for i, salt := range salts {
		if binary.LittleEndian.Uint32(block[4*i:])>>(uint32(h)*salt>>27)&1 == 0 {
			return false
		}
	}
	return true
}

// answer says what can be told of a value before any filter is asked.
type answer uint8

const (
	askFor answer = iota
	cannotOccur
	cannotTell
)

// stored returns the ways in which a value is written in the file. The value
// may be of a wider type than the column.
func (l *leaf) stored(v data.Value) ([][]byte, answer) {
	switch l.physical {
	case format.Int32, format.Int64:
		return l.storedInt(v)
	case format.Float, format.Double:
		if k := v.Kind(); k != data.FloatLiteral && k != data.IntLiteral {
			return nil, cannotTell
		}
		return l.storedFloat(v.Float())
	case format.ByteArray, format.FixedLenByteArray:
		if v.Kind() == data.StringLiteral && (l.conv == fromText || l.conv == fromBytes) {
			return [][]byte{[]byte(v.Text())}, askFor
		}
	}
	return nil, cannotTell
}

func (l *leaf) storedInt(v data.Value) ([][]byte, answer) {
	n := v.Int()
	switch v.Kind() {
	case data.IntLiteral:
	case data.FloatLiteral:
		f := v.Float()
		if f != math.Trunc(f) {
			return nil, cannotOccur
		}
		if math.Abs(f) >= 1<<53 { // other whole numbers are rounded to it, too
			return nil, cannotTell
		}
		n = int64(f)
	default:
		return nil, cannotTell
	}
	switch l.conv {
	case fromMillis, fromMillis32:
		if n%1000 != 0 {
			return nil, cannotOccur
		}
		n /= 1000
	case fromUint32:
		if n < 0 || n > math.MaxUint32 {
			return nil, cannotOccur
		}
		return [][]byte{binary.LittleEndian.AppendUint32(nil, uint32(n))}, askFor
	case asIs, fromUint64:
	default: // several stored values become one
		return nil, cannotTell
	}
	if l.physical == format.Int64 {
		return [][]byte{binary.LittleEndian.AppendUint64(nil, uint64(n))}, askFor
	}
	if n != int64(int32(n)) {
		return nil, cannotOccur
	}
	return [][]byte{binary.LittleEndian.AppendUint32(nil, uint32(n))}, askFor
}

// storedFloat returns one way to write a number, and both for zero.
func (l *leaf) storedFloat(f float64) ([][]byte, answer) {
	both := []float64{f}
	if f == 0 {
		both = []float64{0, math.Copysign(0, -1)}
	}
	var out [][]byte
	for _, f := range both {
		if l.physical == format.Double {
			out = append(out, binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)))
			continue
		}
		if float64(float32(f)) != f {
			return nil, cannotOccur
		}
		out = append(out, binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f))))
	}
	return out, askFor
}
