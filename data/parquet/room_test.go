package parquet

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// A few bytes may stand for many texts, and pointing at each takes more than its
// code: that, too, has to fit.
func TestPointersAtTextsHaveRoom(t *testing.T) {
	t.Parallel()
	const n, maxBytes = 100_000, 1 << 20
	text := leaf{physical: format.ByteArray, conv: fromText, field: data.Field{Type: data.String}}
	number := leaf{physical: format.ByteArray, conv: fromDecimalBytes, field: data.Field{Type: data.Float64}}
	empty := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 128), 4), n) // lengths, all of them 0
	for range (n + 127) / 128 {
		empty = append(empty, 0, 0, 0, 0, 0)
	}
	empty = append(empty, 0)
	same := append([]byte{0}, binary.AppendUvarint(nil, n<<1)...) // the first of a dictionary, n times
	dict := page{kind: format.DictionaryPage, encoding: format.Plain, numValues: 1, body: []byte{1, 0, 0, 0, '7'}, plain: 5}
	entries := page{kind: format.DictionaryPage, encoding: format.Plain, numValues: n, body: make([]byte, 4*n), plain: 4 * n}
	for name, c := range map[string]struct {
		leaf  leaf
		pages []page
		says  string
	}{
		"lengths":    {text, []page{dataPageOf(format.DeltaLengthByteArray, n, empty)}, "its 100000 values take more than the 1048576 bytes"},
		"indices":    {number, []page{dict, dataPageOf(format.RLEDictionary, n, same)}, "its 100000 values take more than the 1048576 bytes"},
		"dictionary": {text, []page{entries, dataPageOf(format.RLEDictionary, n, same)}, "a dictionary of 100000 values takes more than the 1048576 bytes"},
		"codes":      {text, []page{dict, dataPageOf(format.RLEDictionary, n, same)}, ""},
		"plain":      {text, []page{dataPageOf(format.Plain, n, make([]byte, 4*n))}, ""},
	} {
		s := &scratch{maxBytes: maxBytes}
		_, err := s.readColumn(context.Background(), &c.leaf, format.Uncompressed, c.pages, n, nil)
		if c.says == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.says, name)
		require.Equal(t, fault.Exhausted, fault.Of(err), name)
		s.maxBytes = 16 << 20
		_, err = s.readColumn(context.Background(), &c.leaf, format.Uncompressed, c.pages, n, nil)
		require.NoError(t, err, name)
	}
}

func dataPageOf(enc format.Encoding, n int, body []byte) page {
	return page{kind: format.DataPage, encoding: enc, numValues: n, body: body, plain: len(body), levelsKind: format.RLE, repsKind: format.RLE}
}
