package parquet

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// lzoBlock packs bytes as LZO1X: literals, and where a stretch repeats that lies
// not far back, a reference to it. Packers find more, of nothing else.
//
// Source: the Linux kernel's description of the LZO stream format.
func lzoBlock(plain []byte) []byte {
	const farthest, least = 1 << 10, 40
	var out []byte
	more := func(n int) { // zeroes count 255 each
		for ; n > 255; n -= 255 {
			out = append(out, 0)
		}
		out = append(out, byte(n))
	}
	literals := func(b []byte) {
		switch {
		case len(out) == 0 && len(b) <= 238:
			out = append(out, byte(17+len(b)))
		case len(b) <= 18:
			out = append(out, byte(len(b)-3))
		default:
			out = append(out, 0)
			more(len(b) - 18)
		}
		out = append(out, b...)
	}
	from := 0
	for at := 0; at < len(plain); {
		distance, n := repeated(plain, at, farthest)
		if n < least || at-from < 4 || len(plain)-at-n < 4 && len(plain) != at+n {
			at++
			continue
		}
		literals(plain[from:at])
		out = append(out, 0x20)
		more(n - 33)
		out = binary.LittleEndian.AppendUint16(out, uint16(distance-1)<<2)
		at += n
		from = at
	}
	if from < len(plain) {
		literals(plain[from:])
	}
	return append(out, 0x11, 0, 0)
}

// repeated finds the longest stretch from at on that has been before.
func repeated(plain []byte, at, farthest int) (distance, n int) {
	for d := 1; d <= min(at, farthest) && n < 2000; d++ {
		k := 0
		for at+k < len(plain) && plain[at+k] == plain[at+k-d] {
			k++
		}
		if k > n {
			distance, n = d, k
		}
	}
	return distance, n
}

func lz4Block(t require.TestingT, plain []byte) []byte {
	block := make([]byte, lz4.CompressBlockBound(len(plain)))
	n, err := lz4.CompressBlock(plain, block, nil)
	require.NoError(t, err)
	return block[:n]
}

// hadoopFrame is blocks of pieces behind their lengths.
func hadoopFrame(plain int, pieces ...[]byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(plain))
	for _, p := range pieces {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

func TestLZOAndTheOlderLZ4AreReadInAllTheirForms(t *testing.T) {
	t.Parallel()
	plain := bytes.Repeat([]byte("rows and rows of the same, "), 200)
	for codec, block := range map[format.CompressionCodec][]byte{format.Lz4: lz4Block(t, plain), format.LZO: lzoBlock(plain)} {
		require.Less(t, len(block), 200, codec)
		one := hadoopFrame(len(plain), block)
		for name, c := range map[string]struct {
			src   []byte
			times int
		}{"bare": {block, 1}, "one": {one, 1}, "two": {append(bytes.Clone(one), one...), 2}, "two pieces": {hadoopFrame(2*len(plain), block, block), 2}} {
			var u unpacker
			var buf []byte
			got, err := u.unpack(codec, c.src, c.times*len(plain), &buf)
			require.NoError(t, err, "%v %s", codec, name)
			require.Equal(t, bytes.Repeat(plain, c.times), got, "%v %s", codec, name)
			for _, wrong := range [][]byte{c.src[:len(c.src)-1], append(bytes.Clone(c.src), 0), c.src[1:]} {
				_, err = u.unpack(codec, wrong, c.times*len(plain), &buf)
				require.Error(t, err, "%v %s", codec, name)
			}
			_, err = u.unpack(codec, c.src, c.times*len(plain)+1, &buf)
			require.Error(t, err, "%v %s", codec, name)
			_, err = u.unpack(codec, c.src, 100<<20, &buf)
			require.ErrorContains(t, err, "cannot become", "%v %s", codec, name)
		}
	}
}

func TestWhatLZOPacksIsFoundAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		for range rapid.IntRange(4, 25).Draw(t, "words") {
			text.WriteString(rapid.SampledFrom([]string{"a", "bcd", "some longer words", strings.Repeat("-", 700)}).Draw(t, "word"))
		}
		plain := []byte(text.String())
		src := lzoBlock(plain)
		var u unpacker
		var buf []byte
		got, err := u.unpack(format.LZO, src, len(plain), &buf)
		require.NoError(t, err)
		require.Equal(t, plain, got)
		src[rapid.IntRange(0, len(src)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		got, err = u.unpack(format.LZO, src, len(plain), &buf) // an error, or as many bytes
		require.True(t, err != nil || len(got) == len(plain))
	})
}
