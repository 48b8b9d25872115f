package sketch_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

func TestRoughCountsAreWithinFourErrorsWhateverTheSplit(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 5, 60, 1000, 50_000, 300_000} {
		for seed := range 3 {
			var texts, keys, merged sketch.Rough
			parts := make([]sketch.Rough, 3)
			for i := range n {
				text := fmt.Sprint(seed, "-", i)
				texts.AddString(text)
				keys.AddKey(int64(i*3 + seed*n*3))
				parts[i%3].AddString(text)
				parts[(i+1)%3].AddString(text)
			}
			for i := range parts {
				b, err := json.Marshal(&parts[i])
				require.NoError(t, err)
				require.Less(t, len(b), 80)
				var back sketch.Rough
				require.NoError(t, json.Unmarshal(b, &back))
				merged.Merge(&back)
			}
			require.Equal(t, texts, merged)
			for _, r := range []*sketch.Rough{&texts, &keys} {
				require.InDelta(t, n, r.Estimate(), 0.52*float64(n)+0.5, "%d, seed %d", n, seed)
			}
		}
	}
	var r sketch.Rough
	for _, wrong := range []string{"", "0", fmt.Sprintf("%065d", 0), fmt.Sprintf("%063dz", 0), fmt.Sprintf("%063d ", 0)} {
		require.Equal(t, fault.Corrupt, fault.Of(r.UnmarshalText([]byte(wrong))), wrong)
	}
}
