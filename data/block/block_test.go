package block_test

import (
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/block"
	"github.com/troupe-ml/troupe/data/datatest"
	"github.com/troupe-ml/troupe/internal/fault"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := datatest.Batch(t, rapid.SampledFrom([]int{0, 1, 2, 63, 64, 65, 130}).Draw(t, "rows"))
		for i := range b.Schema.Fields {
			b.Schema.Fields[i].Nullable = rapid.Bool().Draw(t, "nullable")
		}
		label := rapid.String().Draw(t, "label")
		front := rapid.SliceOf(rapid.Byte()).Draw(t, "front")
		out := block.Append(front, label, b)
		require.Equal(t, front, out[:len(front)], "it is written behind what is there")
		bytes := out[len(front):]
		require.Equal(t, bytes, block.Append(nil, label, b), "whatever lies before it")
		got, err := block.Decode(bytes, label)
		require.NoError(t, err)
		require.Equal(t, b.NumRows, got.NumRows)
		require.Equal(t, b.Schema, got.Schema)
		require.Equal(t, datatest.Rows(b), datatest.Rows(got))
		require.Equal(t, bytes, block.Append(nil, label, got))
		_, err = data.NewBatch(got.Schema, got.Columns)
		require.NoError(t, err)
		for i := range out {
			out[i] = 0xee
		}
		require.Equal(t, datatest.Rows(b), datatest.Rows(got), "nothing is shared")
	})
}

// Floats keep their bits, those of any NaN, too.
func TestBitsOfFloatsAreKept(t *testing.T) {
	t.Parallel()
	bits := []uint64{0, 1 << 63, 0x7ff0000000000001, 0x7ff8000000000000, 0xfff8000000000123, 1}
	b := &data.Batch{NumRows: len(bits), Schema: data.Schema{Fields: []data.Field{{Name: "x", Type: data.Float64}, {Name: "y", Type: data.Float32}}}}
	x, y := data.NewColumn(data.Float64, len(bits)), data.NewColumn(data.Float32, len(bits))
	for i, v := range bits {
		x.Float64s[i], y.Float32s[i] = math.Float64frombits(v), math.Float32frombits(uint32(v>>32))
	}
	b.Columns = []*data.Column{x, y}
	got, err := block.Decode(block.Append(nil, "j", b), "j")
	require.NoError(t, err)
	for i, v := range bits {
		assert.Equal(t, v, math.Float64bits(got.Columns[0].Float64s[i]))
		assert.Equal(t, math.Float32bits(y.Float32s[i]), math.Float32bits(got.Columns[1].Float32s[i]))
	}
}

// A block that was cut, has more behind it, or is of another label is refused.
func TestWhatIsNoBlockOfTheLabelIsRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := datatest.Batch(t, rapid.IntRange(0, 9).Draw(t, "rows"))
		bytes := block.Append(nil, "job/1", b)
		_, err := block.Decode(bytes, "job/2")
		require.ErrorContains(t, err, `it is of "job/1", expected "job/2"`)
		require.Equal(t, fault.Corrupt, fault.Of(err))
		_, err = block.Decode(bytes[:rapid.IntRange(0, len(bytes)-1).Draw(t, "cut")], "job/1")
		require.Equal(t, fault.Corrupt, fault.Of(err))
		_, err = block.Decode(append(bytes, 0), "job/1")
		require.ErrorContains(t, err, "1 bytes after the end")
		bytes[0] = 9
		_, err = block.Decode(bytes, "job/1")
		require.ErrorContains(t, err, "version 9, expected 1")
	})
}

// text is the bytes of a block with one column of text, of one row.
func text(typ, marks byte, rest ...byte) []byte {
	return append([]byte{1, 0, 1, 1, 1, 's', typ, marks}, rest...)
}

func TestClaimsAreHeldAgainstTheBytes(t *testing.T) {
	t.Parallel()
	str := byte(data.String)
	for _, c := range []struct {
		says string
		in   []byte
	}{
		{"", text(str, 0, 1, 1, 'a', 0, 0, 0, 0)},
		{"a code is 1 of 1 strings", text(str, 0, 1, 1, 'a', 1, 0, 0, 0)},
		{"", text(str, 5, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 'a', 1, 0, 0, 0)}, // of a null
		{"the bytes end early", text(str, 5, 0, 0, 0, 0)},
		{`column "s": there is no type 200`, text(200, 0)},
		{"a count is out of range", text(str, 0, 9)},
		{"the bytes end early", []byte{1, 0, 0xff, 0xff, 0xff, 0xff, 7, 1, 0, byte(data.Int64), 0}},
		{"a count is out of range", []byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1}},
		{"a count is out of range", []byte{1, 0xff}},
		{"the bytes end early", nil},
		{"9 rows of no columns", []byte{1, 0, 9, 0}},
		{"", []byte{1, 0, 0, 0}},
	} {
		_, err := block.Decode(c.in, "")
		if c.says == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, c.says, "%v", c.in)
		assert.Equal(t, fault.Corrupt, fault.Of(err))
	}
}

// FuzzDecode: whatever the bytes, a batch that is whole or an error of kind
// Corrupt, and no more memory than a small multiple of them.
func FuzzDecode(f *testing.F) {
	f.Add(block.Append(nil, "", &data.Batch{}))
	for _, n := range []int{1, 3, 70} {
		b := rapid.Custom(func(t *rapid.T) *data.Batch { return datatest.Batch(t, n) }).Example(n)
		f.Add(block.Append(nil, "", b))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b, err := block.Decode(in, "")
		runtime.ReadMemStats(&after)
		// A column takes four bytes at least, and some 250 in memory.
		require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(256*len(in)+64<<10))
		if err != nil {
			require.Equal(t, fault.Corrupt, fault.Of(err), "%v", err)
			return
		}
		for i, c := range b.Columns {
			require.Equal(t, b.NumRows, c.Len())
			require.Equal(t, c.Type, b.Schema.Fields[i].Type)
			if c.Valid != nil {
				require.Len(t, c.Valid, (b.NumRows+63)/64)
			}
		}
		datatest.Rows(b)
		again, err := block.Decode(block.Append(nil, "", b), "")
		require.NoError(t, err)
		require.Equal(t, datatest.Rows(b), datatest.Rows(again))
	})
}
