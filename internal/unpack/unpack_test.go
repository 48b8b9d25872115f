package unpack_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/unpack"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u, i := rapid.Uint64().Draw(t, "uvarint"), rapid.Int64().Draw(t, "varint")
		f, text := rapid.Float64().Draw(t, "float"), rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		most := rapid.Int64Min(0).Draw(t, "most")
		count := rapid.Int64Range(0, most).Draw(t, "count")
		b := binary.AppendUvarint([]byte{7, 8}, u)
		b = binary.AppendVarint(b, i)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		b = binary.AppendUvarint(b, uint64(count))

		read := func(r *unpack.Reader) {
			r.Version(7)
			require.Contains(t, []byte{8, 0}, r.Byte())
			require.Contains(t, []uint64{u, 0}, r.Uvarint())
			require.Contains(t, []int64{i, 0}, r.Varint())
			require.Contains(t, []float64{f, 0}, r.Float())
			if got := r.Nested(); r.Err() == nil {
				require.Equal(t, string(text), string(got))
			}
			require.Contains(t, []int64{count, 0}, r.Count(most))
		}
		r := unpack.New("test", b)
		read(&r)
		require.NoError(t, r.End())
		require.Zero(t, r.Len())

		cut := unpack.New("test", b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")])
		read(&cut)
		require.ErrorContains(t, cut.End(), "the bytes end early")
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	overflow := []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}
	for name, c := range map[string]struct {
		b    []byte
		read func(r *unpack.Reader)
		want string
	}{
		"another version":    {[]byte{2, 9}, func(r *unpack.Reader) { r.Version(1) }, "version 2, expected 1"},
		"no version":         {nil, func(r *unpack.Reader) { r.Version(1) }, "the bytes end early"},
		"no byte":            {nil, func(r *unpack.Reader) { r.Byte() }, "the bytes end early"},
		"fewer bytes":        {[]byte{1, 2}, func(r *unpack.Reader) { r.Bytes(3) }, "the bytes end early"},
		"minus one byte":     {[]byte{1, 2}, func(r *unpack.Reader) { r.Bytes(-1) }, "the bytes end early"},
		"seven of eight":     {make([]byte, 7), func(r *unpack.Reader) { r.Uint64() }, "the bytes end early"},
		"an open varint":     {[]byte{128}, func(r *unpack.Reader) { r.Varint() }, "the bytes end early"},
		"more than 64 bits":  {overflow, func(r *unpack.Reader) { r.Uvarint() }, "the bytes end early"},
		"a count too high":   {[]byte{4, 9}, func(r *unpack.Reader) { r.Count(3) }, "a count is out of range, or the bytes end early"},
		"a count of no end":  {overflow, func(r *unpack.Reader) { r.Count(3) }, "a count is out of range, or the bytes end early"},
		"nested beyond":      {[]byte{2, 9}, func(r *unpack.Reader) { r.Nested() }, "the bytes end early"},
		"bytes left":         {[]byte{1, 2, 3}, func(r *unpack.Reader) { r.Byte() }, "2 bytes after the end"},
		"the first one told": {[]byte{1, 2}, func(r *unpack.Reader) { r.Fail("%w", fault.New(fault.Invalid, "first")); r.Bytes(9) }, "first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := unpack.New("test: decode", c.b)
			c.read(&r)
			err := r.End()
			require.EqualError(t, err, "test: decode: "+c.want)
			require.Equal(t, fault.Corrupt, fault.Of(err))
			require.Equal(t, err, r.Err())
			require.Zero(t, r.Len())
			require.Empty(t, r.Rest())
			require.Zero(t, r.Byte())
			require.Nil(t, r.Bytes(0))
			require.Zero(t, r.Uint64())
			require.Equal(t, err, r.End())
		})
	}
}

func TestBytesAreSharedButCannotGrowIntoWhatFollows(t *testing.T) {
	t.Parallel()
	b := []byte{1, 2, 3}
	r := unpack.New("test", b)
	got := r.Bytes(1)
	b[0] = 9
	require.Equal(t, []byte{9}, got)
	_ = append(got, 7)
	require.Equal(t, []byte{2, 3}, r.Rest())
	require.Equal(t, 2, r.Len(), "Rest takes nothing")
}
