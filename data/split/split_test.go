package split_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
)

// stringColumn makes a column of values, "" for a null.
func stringColumn(values []string) *data.Column {
	c := data.NewColumn(data.String, len(values))
	codes := map[string]uint32{}
	for i, v := range values {
		if v == "" {
			if c.Valid == nil {
				c.Valid = data.NewBitmap(len(values))
				for k := range values {
					c.Valid.Set(k)
				}
			}
			c.Valid.Clear(i)
			continue
		}
		if _, ok := codes[v]; !ok {
			codes[v] = uint32(len(c.Dict))
			c.Dict = append(c.Dict, v)
		}
		c.Codes[i] = codes[v]
	}
	return c
}

func TestRandomPartsDependOnTheRowAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		first := rapid.Int64Range(0, 1<<40).Draw(t, "first row")
		n := rapid.IntRange(0, 200).Draw(t, "rows")
		at := rapid.IntRange(0, n).Draw(t, "cut")
		whole, pieces := make([]split.Part, n), make([]split.Part, n)
		split.ByRandom(seed, .1, .2, first, whole)
		split.ByRandom(seed, .1, .2, first, pieces[:at])
		split.ByRandom(seed, .1, .2, first+int64(at), pieces[at:])
		require.Equal(t, whole, pieces)
	})
}

func shares(parts []split.Part) (s [3]float64) {
	for _, p := range parts {
		s[p] += 1 / float64(len(parts))
	}
	return s
}

func TestPartsHaveAboutTheirShares(t *testing.T) {
	t.Parallel()
	const n = 200_000
	parts := make([]split.Part, n)
	split.ByRandom(7, .1, .2, 0, parts)
	s := shares(parts)
	assert.InDelta(t, .7, s[split.Train], .005)
	assert.InDelta(t, .1, s[split.Validation], .005)
	assert.InDelta(t, .2, s[split.Test], .005)

	other := make([]split.Part, n)
	split.ByRandom(8, .1, .2, 0, other)
	same := 0
	for i := range parts {
		if parts[i] == other[i] {
			same++
		}
	}
	assert.InDelta(t, .54, float64(same)/n, .005, "another seed draws anew")

	c := data.NewColumn(data.Int64, n)
	for i := range c.Int64s {
		c.Int64s[i] = int64(i)
	}
	require.NoError(t, split.ByHash(7, .1, .2, c, other))
	s = shares(other)
	assert.InDelta(t, .1, s[split.Validation], .005)
	assert.InDelta(t, .2, s[split.Test], .005)

	split.ByRandom(7, 0, 0, 0, parts)
	assert.InDelta(t, 1, shares(parts)[split.Train], 1e-9)
	split.ByRandom(7, 1, 0, 0, parts)
	assert.InDelta(t, 1, shares(parts)[split.Validation], 1e-9)
	split.ByRandom(7, 0, 1, 0, parts)
	assert.InDelta(t, 1, shares(parts)[split.Test], 1e-9)
	assert.Panics(t, func() { split.ByRandom(7, .6, .6, 0, parts) })
	assert.Panics(t, func() { split.ByRandom(7, math.NaN(), 0, 0, parts) })
}

func TestMoreValidationRowsComeFromTrainingRowsOnly(t *testing.T) {
	t.Parallel()
	few, many := make([]split.Part, 5000), make([]split.Part, 5000)
	split.ByRandom(3, .1, .2, 0, few)
	split.ByRandom(3, .4, .2, 0, many)
	for i := range few {
		if few[i] != many[i] {
			require.Equal(t, [2]split.Part{split.Train, split.Validation}, [2]split.Part{few[i], many[i]})
		}
	}
}

func TestEqualValuesShareAPart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		values := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"}), 0, 40).Draw(t, "values")
		parts := make([]split.Part, len(values))
		require.NoError(t, split.ByHash(seed, .3, .3, stringColumn(values), parts))
		seen := map[string]split.Part{}
		for i, v := range values {
			if p, ok := seen[v]; ok {
				require.Equal(t, p, parts[i], v)
			}
			seen[v] = parts[i]
		}
		for i, v := range values { // a shard with one row, and so another dictionary, decides the same
			one := make([]split.Part, 1)
			require.NoError(t, split.ByHash(seed, .3, .3, stringColumn([]string{v}), one))
			require.Equal(t, parts[i], one[0])
		}
	})
}

func TestNumbersShareAPartWhateverTheirType(t *testing.T) {
	t.Parallel()
	const n = 1000
	columns := map[string]*data.Column{}
	for _, typ := range []data.Type{data.Int32, data.Int64, data.Float32, data.Float64, data.Date, data.Timestamp} {
		c := data.NewColumn(typ, n)
		for i := range n {
			switch v := i - n/2; {
			case c.Int32s != nil:
				c.Int32s[i] = int32(v)
			case c.Int64s != nil:
				c.Int64s[i] = int64(v)
			case c.Float32s != nil:
				c.Float32s[i] = float32(v)
			default:
				c.Float64s[i] = float64(v)
			}
		}
		columns[typ.String()] = c
	}
	want := make([]split.Part, n)
	require.NoError(t, split.ByHash(5, .2, .2, columns["int64"], want))
	for name, c := range columns {
		parts := make([]split.Part, n)
		require.NoError(t, split.ByHash(5, .2, .2, c, parts))
		assert.Equal(t, want, parts, name)
	}
	odd := data.NewColumn(data.Float64, 8)
	copy(odd.Float64s, []float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(math.Float64bits(math.NaN()) ^ 5), .5, .5, math.Inf(1), math.Inf(1)})
	bools := data.NewColumn(data.Bool, 8)
	copy(bools.Bools, []bool{true, true, false, false, true, true, false, false})
	for seed := range uint64(50) {
		for _, c := range []*data.Column{odd, bools} {
			parts := make([]split.Part, 8)
			require.NoError(t, split.ByHash(seed, .3, .3, c, parts))
			for i := 0; i < 8; i += 2 {
				require.Equal(t, parts[i], parts[i+1], "%v %d", c.Type, i)
			}
		}
	}
}

func TestByTimeDividesAtTheCut(t *testing.T) {
	t.Parallel()
	days := data.NewColumn(data.Date, 5)
	copy(days.Int32s, []int32{9, 10, 19, 20, -5})
	parts := make([]split.Part, 5)
	require.NoError(t, split.ByTime(days, split.Cut{Validation: 10, Test: 20}, parts))
	assert.Equal(t, []split.Part{split.Train, split.Validation, split.Validation, split.Test, split.Train}, parts)

	days.Valid = data.Bitmap{0b10111}
	err := split.ByTime(days, split.Cut{}, parts)
	require.ErrorContains(t, err, "row 3")
	assert.Equal(t, fault.Invalid, fault.Of(err))
	err = split.ByTime(data.NewColumn(data.Float64, 5), split.Cut{}, parts)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	require.Error(t, split.ByTime(data.NewColumn(data.Int64, 4), split.Cut{}, parts))
}

func TestByNameTakesTheThreeNamesOnly(t *testing.T) {
	t.Parallel()
	parts := make([]split.Part, 3)
	require.NoError(t, split.ByName(stringColumn([]string{"test", "train", "validation"}), parts))
	assert.Equal(t, []split.Part{split.Test, split.Train, split.Validation}, parts)
	for _, c := range []struct {
		values []string
		says   string
	}{{[]string{"test", "training", "test"}, `row 1 says "training"`}, {[]string{"test", "train", ""}, "row 2 is missing"}} {
		err := split.ByName(stringColumn(c.values), parts)
		require.ErrorContains(t, err, c.says)
		assert.Equal(t, fault.Invalid, fault.Of(err))
	}
	require.Error(t, split.ByName(data.NewColumn(data.Bool, 3), parts))
	assert.Equal(t, "validation", split.Validation.String())
}

func TestMasksDivideTheRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]split.Part{split.Train, split.Validation, split.Test}), 0, 200).Draw(t, "parts")
		for _, p := range []split.Part{split.Train, split.Validation, split.Test} {
			mask := split.Mask(parts, p)
			require.NotNil(t, mask)
			for i := range parts {
				require.Equal(t, parts[i] == p, mask.Get(i), fmt.Sprint(i))
			}
		}
	})
}
