package features

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// Whole numbers are looked up as such, all else by text: both must agree.
func TestKeysAreTheirTexts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom([]data.Type{data.Int32, data.Int64, data.Date}).Draw(t, "type")
		key := int64(rapid.Int32().Draw(t, "small"))
		if typ == data.Int64 {
			key = rapid.Int64().Draw(t, "large")
		}
		back, ok := textKey(typ, keyText(typ, key))
		require.True(t, ok, keyText(typ, key))
		require.Equal(t, key, back)
	})
	for _, text := range []string{"", "-", "--", "007", "+1", "1.5", "2024-02-30", "2024-2-3", "a-b-c", "1-1", "99999999999999999999"} {
		for _, typ := range []data.Type{data.Int64, data.Date} {
			_, ok := textKey(typ, text)
			require.False(t, ok, "%v of %q", typ, text)
		}
	}
}

func TestCategoriesAreTheSameForAllTypesOfNumbers(t *testing.T) {
	t.Parallel()
	list := []string{"-3", "7", "0", "x"}
	c := newCategories(data.Int64, list)
	for _, column := range []*data.Column{
		{Type: data.Int64, Int64s: []int64{7, 0, 8, -3}},
		{Type: data.Int32, Int32s: []int32{7, 0, 8, -3}},
		{Type: data.Float64, Float64s: []float64{7, 0, 8, -3}},
		{Type: data.Float32, Float32s: []float32{7, 0, 8, -3}},
		{Type: data.String, Codes: []uint32{1, 0, 2, 3}, Dict: []string{"0", "7", "8", "-3"}},
	} {
		places, valid := c.rows(column, 99)
		require.Equal(t, []uint32{1, 2, 99, 0}, places)
		require.Nil(t, valid)
	}
}
