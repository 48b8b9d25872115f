package window_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/window"
)

// Once a window has its room, rows take none of their own.
func TestNothingIsAllocatedForARow(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	const numRows, most = 1 << 13, 1 << 9
	column, times, starts := data.NewColumn(data.Float64, numRows), make([]int64, numRows), data.NewBitmap(numRows)
	for i := range numRows {
		column.Float64s[i], times[i] = float64(i*7919%1000), int64(i)*day/3
		if i%100 == 0 {
			starts.Set(i)
		}
	}
	for _, op := range window.Operations() {
		for _, c := range []window.Config{{Op: op, N: 2, Rows: 7}, {Op: op, N: 2, Span: 7 * day}} {
			if op == window.Lag || op == window.Diff {
				c.Rows, c.Span = 0, 0
			} else {
				c.N = 0
			}
			state, err := window.New(c, data.Float64)
			require.NoError(t, err)
			state.Run(column, times, starts)
			took := testing.AllocsPerRun(2, func() { state.Run(column, times, starts) })
			require.Less(t, took, float64(most), "%v", c)
		}
	}
}
