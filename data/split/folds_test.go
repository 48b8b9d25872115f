package split_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
)

func TestFoldsByRowAreEvenAndOtherDrawsThanTheSplits(t *testing.T) {
	t.Parallel()
	const rows, numFolds = 50_000, 5
	numbers, folds, parts := make([]int64, rows), make([]uint16, rows), make([]split.Part, rows)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	split.FoldsByRow(7, numFolds, numbers, folds)
	split.ByRandom(7, 0.1, 0.2, 0, parts)
	var all, training [numFolds]int
	for i, f := range folds {
		all[f]++
		if parts[i] == split.Train {
			training[f]++
		}
	}
	for f := range numFolds {
		require.InDelta(t, rows/numFolds, all[f], 400)
		require.InDelta(t, rows*0.7/numFolds, training[f], 400, "fold %d of the training rows", f)
	}
	part := make([]uint16, 10)
	split.FoldsByRow(7, numFolds, numbers[100:110], part)
	require.Equal(t, folds[100:110], part, "a row's fold is its own")
}

func TestFoldsByValueKeepEqualValuesTogether(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int32Range(-20, 20), 1, 200).Draw(t, "values")
		narrow, wide := data.NewColumn(data.Int32, len(values)), data.NewColumn(data.Float64, len(values))
		wide.Valid, narrow.Valid = data.NewBitmap(len(values)), data.NewBitmap(len(values))
		for i, v := range values {
			if v != 7 { // which stands for null
				narrow.Int32s[i], wide.Float64s[i] = v, float64(v)
				narrow.Valid.Set(i)
				wide.Valid.Set(i)
			}
		}
		a, b := make([]uint16, len(values)), make([]uint16, len(values))
		require.NoError(t, split.FoldsByValue(3, 4, narrow, a))
		require.NoError(t, split.FoldsByValue(3, 4, wide, b))
		require.Equal(t, a, b)
		first := map[int32]uint16{}
		for i, v := range values {
			if f, ok := first[v]; ok {
				require.Equal(t, f, a[i])
			}
			first[v] = a[i]
			require.Less(t, a[i], uint16(4))
		}
	})
}

func TestFoldsByTimeAreOfOneSizeAndInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, 1000), 1, 300).Draw(t, "times")
		numFolds := rapid.IntRange(2, 8).Draw(t, "folds")
		c := data.NewColumn(data.Timestamp, len(values))
		copy(c.Int64s, values)
		var times split.Times
		require.NoError(t, times.Observe(c))
		begins := times.Begins(numFolds)
		require.Less(t, len(begins), numFolds)
		folds := make([]uint16, len(values))
		require.NoError(t, split.FoldsByTime(c, begins, 99, folds))
		rows := make([]int, len(begins)+1)
		for i, f := range folds {
			rows[f]++
			for j, g := range folds {
				if f < g {
					require.Less(t, values[i], values[j])
				}
				if values[i] == values[j] {
					require.Equal(t, f, g)
				}
			}
		}
		for f, n := range rows {
			require.Positive(t, n, "fold %d", f)
		}
	})
}

func TestARowWithoutATimeIsInTheFoldOfThese(t *testing.T) {
	t.Parallel()
	c := data.NewColumn(data.Date, 3)
	copy(c.Int32s, []int32{5, 0, 9})
	c.Valid = data.NewBitmap(3)
	c.Valid.Set(0)
	c.Valid.Set(2)
	folds := make([]uint16, 3)
	require.NoError(t, split.FoldsByTime(c, []int64{9}, 2, folds))
	require.Equal(t, []uint16{0, 2, 1}, folds)
	require.ErrorContains(t, split.FoldsByTime(data.NewColumn(data.Float64, 3), nil, 2, folds), "timestamp, a date or an integer")
	require.Nil(t, new(split.Times).Begins(5))
}
