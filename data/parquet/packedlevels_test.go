package parquet

import (
	"encoding/binary"
	"math/bits"
	"testing"

	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// fromTheTop packs levels bit by bit, the highest first.
func fromTheTop(levels []int, limit int) []byte {
	width := bits.Len(uint(limit))
	out := make([]byte, (len(levels)*width+7)/8)
	for i, l := range levels {
		for k := range width {
			if l>>(width-1-k)&1 == 1 {
				at := i*width + k
				out[at/8] |= 0x80 >> (at % 8)
			}
		}
	}
	return out
}

// asRuns writes each level as a run of its own.
func asRuns(levels []int) []byte {
	var out []byte
	for _, l := range levels {
		out = append(out, 1<<1, byte(l))
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(out))), out...)
}

// dataHeader is the header of a page of plain values, not compressed, with levels
// of a kind.
func dataHeader(n, size int, kind format.Encoding) []byte {
	out := &compactWriter{}
	out.begin()
	out.i32(1, int32(format.DataPage))
	out.i32(2, int32(size))
	out.i32(3, int32(size))
	out.open(5)
	out.i32(1, int32(n))
	out.i32(2, int32(format.Plain))
	out.i32(3, int32(kind))
	out.i32(4, int32(kind))
	out.end()
	out.end()
	return out.b
}

func TestLevelsOfBefore2013(t *testing.T) {
	t.Parallel()
	// The example of the format's description.
	require.Equal(t, []byte{0b00000101, 0b00111001, 0b01110111}, fromTheTop([]int{0, 1, 2, 3, 4, 5, 6, 7}, 7))
	rapid.Check(t, func(t *rapid.T) {
		l := leaf{physical: format.Int32, maxDef: rapid.IntRange(1, 9).Draw(t, "deepest"), element: data.Int32, field: data.Field{Type: data.Int32, Nullable: true}}
		if rapid.Bool().Draw(t, "list") {
			l.maxRep, l.listDef, l.part = rapid.IntRange(1, 3).Draw(t, "lists"), 1, listLast
		}
		n := rapid.IntRange(1, 70).Draw(t, "values")
		reps, defs, rows, values := make([]int, n), make([]int, n), 0, []byte{}
		for i := range n {
			defs[i] = rapid.IntRange(0, l.maxDef).Draw(t, "definition")
			if i > 0 && l.maxRep > 0 {
				reps[i] = rapid.IntRange(0, l.maxRep).Draw(t, "repetition")
			}
			if reps[i] == 0 {
				rows++
			}
			if defs[i] == l.maxDef {
				values = binary.LittleEndian.AppendUint32(values, uint32(1000+i))
			}
		}
		decode := func(kind format.Encoding, levels ...[]byte) (*data.Column, error) {
			var body []byte
			for _, b := range levels {
				body = append(body, b...)
			}
			s := &scratch{maxBytes: 1 << 20, list: elements{at: -1}}
			pages, err := splitPages(append(dataHeader(n, len(body), kind), body...), nil)
			require.NoError(t, err)
			return s.decodePages(&l, format.Uncompressed, pages, int64(len(body)), rows)
		}
		old, now := [][]byte{fromTheTop(defs, l.maxDef), values}, [][]byte{asRuns(defs), values}
		if l.maxRep > 0 {
			old, now = append([][]byte{fromTheTop(reps, l.maxRep)}, old...), append([][]byte{asRuns(reps)}, now...)
		}
		want, err := decode(format.RLE, now...)
		require.NoError(t, err)
		got, err := decode(format.BitPacked, old...)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = decode(format.BitPacked, old[0][:len(old[0])-1])
		require.ErrorIs(t, err, errShort)
		_, err = decode(format.Plain, now...)
		require.ErrorContains(t, err, "levels: PLAIN is not supported for levels")
	})
}
