package parquet

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
)

// Bounds are used only where it is sure what they mean.
func TestWhichBoundsCount(t *testing.T) {
	t.Parallel()
	i32 := func(v int32) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }
	f64 := func(v float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)) }
	integer := leaf{physical: format.Int32, field: data.Field{Name: "c", Type: data.Int32}}
	unsigned := leaf{physical: format.Int32, field: data.Field{Name: "c", Type: data.Int64}, conv: fromUint32, unsigned: true}
	double := leaf{physical: format.Double, field: data.Field{Name: "c", Type: data.Float64}}
	text := leaf{physical: format.ByteArray, field: data.Field{Name: "c", Type: data.String}, conv: fromText}
	between := func(lo, hi []byte) bounds { return bounds{true, lo, hi} }
	for name, c := range map[string]struct {
		leaf    leaf
		stats   statistics
		ordered bool
		lo, hi  data.Value // equal: no bounds
	}{
		"new":                 {integer, statistics{bounds: between(i32(-1), i32(5))}, true, data.IntValue(-1), data.IntValue(5)},
		"order not said":      {integer, statistics{bounds: between(i32(-1), i32(5))}, false, data.Value{}, data.Value{}},
		"old, signed":         {integer, statistics{old: between(i32(-1), i32(5))}, false, data.IntValue(-1), data.IntValue(5)},
		"old, unsigned":       {unsigned, statistics{old: between(i32(1), i32(5))}, true, data.Value{}, data.Value{}},
		"new, unsigned":       {unsigned, statistics{bounds: between(i32(1), i32(-1))}, true, data.IntValue(1), data.IntValue(math.MaxUint32)},
		"old, text":           {text, statistics{old: between([]byte("a"), []byte("b"))}, true, data.Value{}, data.Value{}},
		"new, text":           {text, statistics{bounds: between([]byte("a"), []byte("b"))}, true, data.StringValue("a"), data.StringValue("b")},
		"the wrong way round": {integer, statistics{bounds: between(i32(5), i32(-1))}, true, data.Value{}, data.Value{}},
		"too short":           {integer, statistics{bounds: between([]byte{1}, i32(5))}, true, data.Value{}, data.Value{}},
		"NaN":                 {double, statistics{bounds: between(f64(1), f64(math.NaN()))}, true, data.Value{}, data.Value{}},
		"floats":              {double, statistics{bounds: between(f64(-1), f64(2))}, true, data.FloatValue(-1), data.FloatValue(2)},
		"a list":              {leaf{physical: format.Int32, part: listFirst}, statistics{bounds: between(i32(1), i32(5))}, true, data.Value{}, data.Value{}},
	} {
		f := &File{leaves: []leaf{c.leaf}, byName: map[string]int{"c": 0}, foot: &footer{
			groups: []rowGroup{{numRows: 10, chunks: []chunk{{stats: c.stats}}}}, ordered: []bool{c.ordered},
		}}
		r, ok := f.Statistics(0, "c")
		require.True(t, ok, name)
		require.Equal(t, c.lo != c.hi, r.Bounded, name)
		require.Equal(t, c.lo, r.Min, name)
		require.Equal(t, c.hi, r.Max, name)
	}
}

// What a few bytes can be made to claim is refused before it is believed.
func TestBombsOfAFewBytes(t *testing.T) {
	t.Parallel()
	text := leaf{physical: format.ByteArray, field: data.Field{Name: "c", Type: data.String}, conv: fromText}
	// 16,000 strings, each the one before it and nothing more, the first of 16,000 bytes.
	const n = 16_000
	prefixes, suffixes := make([]int32, n), make([]int32, n)
	for i := range prefixes {
		prefixes[i] = n
	}
	prefixes[0], suffixes[0] = 0, n
	body := append(appendDeltas(appendDeltas(nil, prefixes), suffixes), bytes.Repeat([]byte("x"), n)...)
	one := page{kind: format.DataPage, encoding: format.DeltaByteArray, numValues: n, body: body, plain: len(body), levelsKind: format.RLE}
	entries := make([]byte, 4*2_000_000)
	for name, c := range map[string]struct {
		pages []page
		say   string
	}{
		"prefixes":   {[]page{one, one, one}, "strings take more than"},
		"dictionary": {[]page{{kind: format.DictionaryPage, encoding: format.Plain, numValues: 2_000_000, body: entries, plain: len(entries)}}, "dictionary of 2000000 values for 0"},
		"entries":    {[]page{{kind: format.DictionaryPage, encoding: format.Plain, numValues: 2_000_001, body: entries, plain: len(entries)}}, "dictionary of 2000001 values claimed in 8000000 bytes"},
	} {
		s := &scratch{maxBytes: 600 << 20}
		_, err := s.decodePages(&text, format.Uncompressed, c.pages, 100, int(numRows(c.pages)))
		require.ErrorContains(t, err, c.say, name)
		require.ErrorContains(t, err, "page ", name)
	}
}
