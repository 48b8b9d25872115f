package shuffle

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

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
