package parquet

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// Bits come out as they went in, of any width, from any place, up to the last
// byte of the input and beyond.
func TestPackedBitsAreUnpacked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		width := uint(rapid.IntRange(1, 32).Draw(t, "width"))
		vs := rapid.SliceOfN(rapid.Uint32Max(uint32(1<<width-1)), 1, 100).Draw(t, "values")
		n := (len(vs) + 7) / 8 * 8
		b := pack(nil, vs, n, width)
		require.Len(t, b, n/8*int(width))
		b = append(b, make([]byte, rapid.IntRange(0, 20).Draw(t, "bytes after"))...)
		skip := rapid.IntRange(0, len(vs)).Draw(t, "skip")
		got := make([]uint32, len(vs)-skip)
		unpackBits(got, b, uint(skip)*width, width)
		require.Equal(t, append([]uint32{}, vs[skip:]...), got)

		wide := make([]uint64, len(vs))
		for i, v := range vs {
			wide[i] = uint64(v)
		}
		require.Equal(t, b, append(pack(nil, wide, n, width), b[n/8*int(width):]...))
	})
}

func TestRunsAreFoundAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		width := uint(rapid.IntRange(1, 20).Draw(t, "width"))
		var vs []uint32
		for range rapid.IntRange(1, 8).Draw(t, "parts") {
			v := rapid.Uint32Max(1<<width-1).Draw(t, "value")
			for range rapid.SampledFrom([]int{1, 3, 8, 63, 64, 65, 200}).Draw(t, "times") {
				vs = append(vs, v)
			}
		}
		got := make([]uint32, len(vs))
		require.NoError(t, indices(got, appendIndices(nil, vs, width), 1<<width))
		require.Equal(t, vs, got)
	})
}

// plainRuns is appendRuns by a look at every value.
func plainRuns(dst []byte, vs []uint32, width uint) []byte {
	start := 0
	for i := 0; i < len(vs); {
		end := i + 1
		for end < len(vs) && vs[end] == vs[i] {
			end++
		}
		if end-i >= minRun {
			for (i-start)%8 != 0 {
				i++
			}
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

func TestNoRunIsOverlooked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var vs []uint32
		for range rapid.IntRange(0, 12).Draw(t, "stretches") {
			n := rapid.OneOf(rapid.IntRange(1, 9), rapid.IntRange(minRun-2, minRun+2), rapid.IntRange(1, 3*minRun)).Draw(t, "length")
			vs = append(vs, slices.Repeat([]uint32{rapid.Uint32Range(0, 300).Draw(t, "value")}, n)...)
		}
		width := rapid.SampledFrom([]uint{9, 16, 17}).Draw(t, "width")
		require.Equal(t, plainRuns(nil, vs, width), appendRuns(nil, vs, width))
	})
}

func TestAnIndexBeyondTheDictionaryIsFound(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 40; n++ {
		for at := range n {
			vs := make([]uint32, n)
			vs[at] = 9
			require.Equal(t, uint32(9), highest(vs))
			got := make([]uint32, n)
			require.NoError(t, indices(got, appendIndices(nil, vs, 4), 10))
			require.ErrorIs(t, indices(got, appendIndices(nil, vs, 4), 9), errIndex)
		}
	}
}

func TestDifferencesAreFoundAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(0, 63).Draw(t, "bits")
		vs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) int64 { return rapid.Int64().Draw(t, "v") >> bits }), 0, 300).Draw(t, "values")
		got := make([]int64, len(vs))
		rest, err := deltas(got, append(appendDeltas(nil, vs), 1, 2))
		require.NoError(t, err)
		require.Equal(t, []byte{1, 2}, rest)
		require.Equal(t, append([]int64{}, vs...), got)

		narrow, back := make([]int32, len(vs)), make([]int32, len(vs))
		for i, v := range vs {
			narrow[i] = int32(v)
		}
		_, err = deltas(back, appendDeltas(nil, narrow))
		require.NoError(t, err)
		require.Equal(t, narrow, back)
	})
}

func TestValuesAreSpreadOverTheRowsThatAreThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		there := rapid.SliceOfN(rapid.Bool(), 1, 200).Draw(t, "there")
		if rapid.Bool().Draw(t, "few nulls") {
			there = slices.Repeat([]bool{true}, rapid.IntRange(1, 500).Draw(t, "rows"))
			for range rapid.IntRange(0, 4).Draw(t, "nulls") {
				there[rapid.IntRange(0, len(there)-1).Draw(t, "null")] = false
			}
		}
		off := rapid.IntRange(0, 70).Draw(t, "first row")
		valid := data.NewBitmap(off + len(there))
		var want, packed []uint64
		for i, is := range there {
			want = append(want, 0)
			if is {
				valid.Set(off + i)
				want[i] = uint64(i + 1)
				packed = append(packed, uint64(i+1))
			}
		}
		words := append(append([]uint64{}, packed...), make([]uint64, len(there)-len(packed))...)
		others := append([]uint64{}, words...)
		spreadWords(words, len(packed), valid, off)
		spread(others, len(packed), valid, off)
		require.Equal(t, want, words)
		require.Equal(t, want, others)
	})
}
