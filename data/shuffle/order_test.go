package shuffle

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// However much alike keys are, rows are sorted by all that there is of them: hashes
// of which the first halves are equal are too rare to be met by chance.
func TestRowsAreSortedByAllOfTheirKeys(t *testing.T) {
	t.Parallel()
	var s space
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, 4), rapid.IntRange(0, 300)).Draw(t, "all rows") // of a few, one thing at a time is out of order
		few := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(math.MaxUint64-3, math.MaxUint64), rapid.SampledFrom([]uint64{1 << 32, 1<<32 + 1, 1 << 63}), rapid.Uint64())
		k := keys{first: rapid.SliceOfN(rapid.SampledFrom([]*rapid.Generator[uint64]{few, rapid.Just(uint64(7))}).Draw(t, "kind"), n, n).Draw(t, "keys")}
		times := rapid.SliceOfN(rapid.Int64Range(-2, 2), n, n).Draw(t, "times")
		if rapid.Bool().Draw(t, "ties") {
			k.ties = rapid.SliceOfN(few, n, n).Draw(t, "ties")
		}
		var rows []uint32
		for i := range n {
			if rapid.IntRange(0, 9).Draw(t, "left out") > 0 {
				rows = append(rows, uint32(i))
			}
		}
		want := slices.Clone(rows)
		at := func(row uint32) place { return place{key: k.at(row), time: times[row], row: row} }
		slices.SortFunc(want, func(a, b uint32) int { return at(a).compare(at(b)) })
		s.sort(k, times, rows)
		require.Equal(t, want, rows)
		for i, row := range rows {
			require.Equal(t, k.at(row), s.keys.at(uint32(i)))
			require.Equal(t, times[row], s.times[i])
		}
	})
}

// Of a word the lower half is a row: rows must never be sorted by their numbers.
func TestNoDigitIsOfTheRow(t *testing.T) {
	t.Parallel()
	for bit := range 33 {
		n := min(1<<bit, math.MaxUint32)
		digits := digitsOf(n)
		require.Less(t, rowBits+digitBits*(digits-1), 64, n)
		require.GreaterOrEqual(t, digitBits*digits, min(bit, 64-rowBits), n)
	}
}
