package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
)

// worst is a chunk that is as slow to decode as the bounds allow.
type worst struct {
	name  string
	leaf  leaf
	codec format.CompressionCodec
	pages []page
	rows  int

	refused bool // by a bound
}

func (w *worst) packed() (n int64) {
	for _, p := range w.pages {
		n += int64(len(p.body))
	}
	return n
}

func (w *worst) decode(ctx context.Context) error {
	s := &scratch{maxBytes: maxBatchBytes, list: elements{at: -1}}
	l := w.leaf
	l.element = l.field.Type
	if l.part != whole {
		_, err := s.readList(ctx, &l, &chunk{codec: w.codec, numValues: numRows(w.pages), packed: w.packed()}, w.pages, w.rows, nil)
		return err
	}
	_, err := s.readColumn(ctx, &l, w.codec, w.pages, w.rows, nil)
	return err
}

func squeeze(t testing.TB, codec format.CompressionCodec, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case format.Snappy:
		return snappy.Encode(nil, plain)
	case format.Lz4Raw:
		return lz4Block(t, plain)
	case format.LZO: // one byte, and itself again
		block := []byte{18, plain[0], 0x20}
		n := len(plain) - 1 - 33
		for ; n > 255; n -= 255 {
			block = append(block, 0)
		}
		return append(block, byte(n), 0, 0, 0x11, 0, 0)
	case format.Gzip:
		w, _ = gzip.NewWriterLevel(&out, 1)
	case format.Brotli:
		w = brotli.NewWriterLevel(&out, 3)
	case format.Zstd:
		w, _ = zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedFastest))
	default:
		return plain
	}
	_, err := w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func onePage(enc format.Encoding, n int, plain int, body []byte) []page {
	return []page{{kind: format.DataPage, encoding: enc, numValues: n, body: body, plain: plain, levelsKind: format.RLE, repsKind: format.RLE, compressed: true}}
}

func repeat(n int, pattern ...byte) []byte { return bytes.Repeat(pattern, n/len(pattern)) }

// runsOfOne says each of n values by itself, in two bytes.
func runsOfOne(n int, v byte) []byte { return repeat(2*n, 1<<1, v) }

func level(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func worstOfCodecs(t testing.TB) (out []worst) {
	number := leaf{physical: format.Int64, field: data.Field{Type: data.Int64}}
	zeroes, noise := make([]byte, maxPage), make([]byte, maxPage)
	random := rng.New(1, "noise")
	for i := 0; i < len(noise); i += 8 {
		v := random.Uint64()
		for k := range 8 {
			noise[i+k] = byte(v>>(8*k)) & 63
		}
	}
	for _, c := range []format.CompressionCodec{format.Uncompressed, format.Snappy, format.Gzip, format.Brotli, format.Zstd, format.Lz4Raw, format.LZO} {
		out = append(out, worst{fmt.Sprintf("%v/zeroes", c), number, c, onePage(format.Plain, maxPage/8, maxPage, squeeze(t, c, zeroes)), maxPage / 8, false})
		if c != format.LZO {
			out = append(out, worst{fmt.Sprintf("%v/noise", c), number, c, onePage(format.Plain, maxPage/8, maxPage, squeeze(t, c, noise)), maxPage / 8, false})
		}
	}
	return out
}

func ints64(n int, v func(i int) uint64) []byte {
	b := make([]byte, 0, 8*n)
	for i := range n {
		b = binary.LittleEndian.AppendUint64(b, v(i))
	}
	return b
}

func plainPage(name string, l leaf, n int, enc format.Encoding, body []byte) worst {
	return worst{name, l, format.Uncompressed, onePage(enc, n, len(body), body), n, false}
}

// deltaBody is integers whose differences take w bits, and whatever they are.
func deltaBody(n int, w byte) []byte {
	out := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 128), 4), uint64(n))
	out = binary.AppendVarint(out, 0)
	for left := n - 1; left > 0; left -= 128 {
		out = append(binary.AppendVarint(out, 0), w, w, w, w)
		out = append(out, make([]byte, 16*int(w))...)
	}
	return out
}

func worstOfNumbers() (out []worst) {
	number := leaf{physical: format.Int64, field: data.Field{Type: data.Int64}}
	float := leaf{physical: format.Double, field: data.Field{Type: data.Float64}}
	flag := leaf{physical: format.Boolean, field: data.Field{Type: data.Bool}}
	optional := leaf{physical: format.Int64, maxDef: 1, field: data.Field{Type: data.Int64, Nullable: true}}
	digits := leaf{physical: format.Int64, conv: fromUint64Text, field: data.Field{Type: data.String}}
	dec64 := leaf{physical: format.Int64, conv: fromDecimal64, scale: 18, field: data.Field{Type: data.Float64}}
	random := rng.New(1, "values")
	some := func(int) uint64 { return random.Uint64() }
	const rows = maxGroupRows
	for _, w := range []byte{0, 31, 33, 57, 63} {
		n := min(rows, maxPage/max(int(w), 1)*8/9*8/8)
		out = append(out, plainPage(fmt.Sprintf("delta/%d bits", w), number, n, format.DeltaBinaryPacked, deltaBody(n, w)))
	}
	dict := page{kind: format.DictionaryPage, encoding: format.Plain, numValues: 1, body: make([]byte, 8), plain: 8}
	w := plainPage("dictionary/runs of one", number, rows, format.RLEDictionary, append([]byte{1}, runsOfOne(rows, 0)...))
	w.pages = append([]page{dict}, w.pages...)
	big := page{kind: format.DictionaryPage, encoding: format.Plain, numValues: maxPage / 8, body: make([]byte, maxPage), plain: maxPage}
	w2 := plainPage("dictionary/of 32 Mi", number, maxPage/8, format.RLEDictionary, []byte{1, 0, 0})
	w2.pages[0].body = append([]byte{25}, binary.AppendUvarint(nil, uint64(maxPage/8)<<1)...)
	w2.pages[0].body = append(w2.pages[0].body, 0, 0, 0, 0)
	w2.pages[0].plain = len(w2.pages[0].body)
	w2.pages = append([]page{big}, w2.pages...)
	out = append(out, w, w2,
		plainPage("booleans/runs of one", flag, rows, format.RLE, level(runsOfOne(rows, 1))),
		plainPage("split/double", float, maxPage/8, format.ByteStreamSplit, make([]byte, maxPage)),
		plainPage("levels/runs of one, all null", optional, rows, format.Plain, level(runsOfOne(rows, 0))),
		plainPage("levels/runs of one, half null", optional, maxPage/8, format.Plain, append(level(repeat(maxPage/4, 2, 0, 2, 1)), make([]byte, maxPage/2)...)),
		plainPage("unsigned as text", digits, maxPage/8, format.Plain, ints64(maxPage/8, some)),
		plainPage("decimal/int64", dec64, maxPage/8, format.Plain, ints64(maxPage/8, some)),
	)
	return out
}

func worstOfBytes() (out []worst) {
	text := leaf{physical: format.ByteArray, conv: fromText, field: data.Field{Type: data.String}}
	raw := leaf{physical: format.ByteArray, conv: fromBytes, field: data.Field{Type: data.String}}
	uuid := leaf{physical: format.FixedLenByteArray, conv: fromUUID, width: 16, field: data.Field{Type: data.String}}
	decimal := func(width int) leaf {
		return leaf{physical: format.FixedLenByteArray, conv: fromDecimalBytes, width: width, scale: 10, field: data.Field{Type: data.Float64}}
	}
	random := rng.New(1, "values")
	some := func(int) uint64 { return random.Uint64() }
	noise := ints64(maxPage/8, some)
	var distinct []byte
	for i := range maxPage / 12 {
		distinct = binary.LittleEndian.AppendUint32(distinct, 8)
		distinct = append(distinct, noise[8*i:8*i+8]...)
	}
	long := append(binary.LittleEndian.AppendUint32(nil, maxPage-4), bytes.Repeat([]byte("é"), (maxPage-4)/2)...)
	// Strings of which each is the one before it and a byte: prefixes, then lengths.
	const n, shared = 22000, 22000
	lengths := append(binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 128), 4), n), 0)
	for range (n + 127) / 128 {
		lengths = append(lengths, 2, 0, 0, 0, 0) // each longer by one
	}
	suffixes := append(binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 128), 4), n), 2)
	for range (n + 127) / 128 {
		suffixes = append(suffixes, 0, 0, 0, 0, 0)
	}
	growing := append(append(lengths, suffixes...), bytes.Repeat([]byte("x"), shared)...)
	out = append(out,
		plainPage("text/empty", text, maxPage/4, format.Plain, make([]byte, maxPage)),
		plainPage("text/distinct", raw, maxPage/12, format.Plain, distinct),
		plainPage("text/one", text, 1, format.Plain, long),
		plainPage("text/growing", text, n, format.DeltaByteArray, growing),
		plainPage("text/lengths", text, maxGroupRows, format.DeltaLengthByteArray, deltaBody(maxGroupRows, 0)),
		plainPage("uuid", uuid, maxPage/16, format.Plain, noise),
	)
	for _, width := range []int{8, 16, 32, 128, 32767} {
		w := plainPage(fmt.Sprintf("decimal/%d bytes", width), decimal(width), maxPage/width, format.Plain, noise)
		w.refused = width > maxDecimal
		out = append(out, w)
	}
	return out
}

func worstOfLists() []worst {
	list := leaf{physical: format.Int64, maxDef: 3, maxRep: 1, listDef: 2, part: listLast, field: data.Field{Type: data.Int64, Nullable: true}}
	deep := leaf{physical: format.Int64, maxDef: 63, maxRep: 60, listDef: 2, part: listCount, field: data.Field{Type: data.Int32, Nullable: true}}
	const n = maxElements / 2
	one := plainPage("list/runs of one", list, n, format.Plain, append(level(runsOfOne(n, 0)), level(runsOfOne(n, 0))...))
	nested := plainPage("list/deep", deep, n, format.Plain, append(level(repeat(2*n, 1<<1, 0, 1<<1, 60)), level(runsOfOne(n, 60))...))
	nested.rows = n / 2
	return []worst{one, nested}
}

// BenchmarkSlowestPages is the slowest page of each kind that the bounds allow:
//
//	go test -run '^$' -bench SlowestPages -benchtime 1x ./data/parquet
//
// What it says is in docs/adr/0012-bounds-instead-of-a-clock.md.
func BenchmarkSlowestPages(b *testing.B) {
	for _, w := range slices.Concat(worstOfCodecs(b), worstOfNumbers(), worstOfBytes(), worstOfLists()) {
		b.Run(w.name, func(b *testing.B) {
			b.ReportMetric(float64(w.packed()), "packed-bytes")
			for b.Loop() {
				if err := w.decode(context.Background()); err != nil && !w.refused {
					b.Fatal(err)
				}
			}
		})
	}
}
