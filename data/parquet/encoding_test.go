package parquet

import (
	"math"
	"testing"

	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
)

// wholeNumbers is a column of 131,072 rows.
func wholeNumbers(at func(i int) int64) *data.Column {
	c := data.NewColumn(data.Int64, 1<<17)
	for i := range c.Int64s {
		c.Int64s[i] = at(i)
	}
	return c
}

// mixed is a number that says nothing of the next.
func mixed(i int) uint64 {
	u := uint64(i+1) * 0x9e3779b97f4a7c15
	u = (u ^ u>>29) * 0xbf58476d1ce4e5b9
	return u ^ u>>32
}

func scattered(i int, limit uint64) int64 { return int64(mixed(i) % limit) }

func TestNumbersAreEncodedWhereTheyTakeLeast(t *testing.T) {
	t.Parallel()
	amounts := data.NewColumn(data.Float64, 1<<17)
	for i := range amounts.Float64s {
		amounts.Float64s[i] = float64(scattered(i, 20_000)) / 100
	}
	measured := data.NewColumn(data.Float64, 1<<17)
	for i := range measured.Float64s {
		measured.Float64s[i] = math.Sqrt(float64(i))
	}
	for name, c := range map[string]struct {
		column   *data.Column
		encoding format.Encoding
		bits     int // of a value, at most
	}{
		"few, scattered":                 {wholeNumbers(func(i int) int64 { return 1 << 40 * scattered(i, 200) }), format.RLEDictionary, 9},
		"few, and close by":              {wholeNumbers(func(i int) int64 { return scattered(i, 60) }), format.RLEDictionary, 7},
		"a constant":                     {wholeNumbers(func(int) int64 { return 5 }), format.RLEDictionary, 1},
		"some, far from each other":      {wholeNumbers(func(i int) int64 { return 1 << 40 * scattered(i, 20_000) }), format.RLEDictionary, 26},
		"many keys of a small range":     {wholeNumbers(func(i int) int64 { return scattered(i, 100_000) }), format.DeltaBinaryPacked, 19},
		"some keys of a small range":     {wholeNumbers(func(i int) int64 { return scattered(i, 20_000) }), format.DeltaBinaryPacked, 17},
		"times, two to a tick":           {wholeNumbers(func(i int) int64 { return 1_700_000_000 + int64(i/2) }), format.DeltaBinaryPacked, 3},
		"anything":                       {wholeNumbers(func(i int) int64 { return int64(mixed(i)) }), format.Plain, 64},
		"money":                          {amounts, format.RLEDictionary, 26},
		"measurements, no two the same":  {measured, format.Plain, 64},
		"a few rows of a very few":       {&data.Column{Type: data.Int64, Int64s: make([]int64, 20)}, format.RLEDictionary, 24},
		"fewer rows than any dictionary": {&data.Column{Type: data.Int64, Int64s: []int64{7}}, format.Plain, 64},
	} {
		e := &chunkEncoder{cfg: DefaultWriterConfig()}
		e.cfg.Codec = None
		n := c.column.Len()
		v := e.values(nil, c.column, nil, n)
		require.Equal(t, c.encoding, v.encoding, name)
		require.LessOrEqual(t, 8*(len(v.dict)+len(v.append(nil, 0, n))), n*c.bits, name)
	}
}
