package metrics

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whether a shard was beyond the bound, and when, leaves no trace; and the area
// is no further off than it says.
func TestManyScoresAreAFunctionOfTheRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		score := rapid.OneOf(rapid.Float64Range(-1, 1), rapid.Float64Range(0.4, 0.6), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 5e-324, -5e-324, math.MaxFloat64, -math.MaxFloat64}))
		scores := rapid.SliceOfN(score, 2, 200).Draw(t, "scores")
		positive := rapid.SliceOfN(rapid.Bool(), len(scores), len(scores)).Draw(t, "positive")
		most := rapid.IntRange(4, 40).Draw(t, "most")
		var exact AUC
		whole, merged := AUC{most: most}, AUC{most: most}
		require.NoError(t, exact.Observe(scores, positive))
		require.NoError(t, whole.Observe(scores, positive))
		shards := []AUC{{most: most}, {most: most}, {most: most}}
		for i, s := range scores {
			a := &shards[rapid.IntRange(0, 2).Draw(t, "shard")]
			require.NoError(t, a.Observe([]float64{s}, positive[i:i+1]))
			if rapid.Bool().Draw(t, "compact") {
				a.compact()
			}
		}
		for i := range shards {
			one := &shards[i]
			if rapid.Bool().Draw(t, "decoded") {
				r := newReader(one.append(nil))
				back := r.auc(0)
				require.NoError(t, r.Err())
				back.most, one = most, &back
			}
			merged.Merge(one)
		}
		require.Equal(t, whole.append(nil), merged.append(nil))
		if whole.shift < maxScoreShift {
			require.LessOrEqual(t, len(whole.ties), most)
		}
		want, err := exact.Value()
		got, errCut := whole.Value()
		require.Equal(t, err == nil, errCut == nil)
		if err == nil {
			require.InDelta(t, want, got, whole.Uncertainty()+1e-12)
		}
		require.Zero(t, exact.Uncertainty())
	})
}

func TestMillionsOfScoresTakeLittleMemory(t *testing.T) {
	t.Parallel()
	const n, block = 3_000_000, 1 << 16
	var a AUC
	scores, positive := make([]float64, block), make([]bool, block)
	for from := 0; from < n; from += block {
		for i := range block {
			k := (from + i) * 7_919_777 % n // every score once, in no order
			scores[i] = float64(k) / n
			positive[i] = k%1000 < k/(n/1000) // the likelier the higher
		}
		require.NoError(t, a.Observe(scores, positive))
	}
	require.LessOrEqual(t, cap(a.ties), 4*maxScores)
	v, err := a.Value()
	require.NoError(t, err)
	require.InDelta(t, 5.0/6, v, 1e-3, "of scores that are probabilities")
	require.Less(t, a.Uncertainty(), 1e-6)
}
