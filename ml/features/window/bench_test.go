package window_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/window"
)

const day = 86_400_000_000

// bench runs an operation over runs of 131,072 rows, a million rows or so in all, of entities
// of about 100 rows, three or so a day each, and reports nanoseconds a row.
func bench(b *testing.B, c window.Config) {
	b.Helper()
	const numRows = 1 << 17
	column, times, starts := data.NewColumn(data.Float64, numRows), make([]int64, numRows), data.NewBitmap(numRows)
	seed, time := uint64(1), int64(0)
	for i := range numRows {
		seed = seed*6364136223846793005 + 1442695040888963407
		column.Float64s[i] = float64(seed>>40) / 100
		if time += int64(seed >> 33 % (2 * day / 3)); seed>>35%100 == 0 {
			starts.Set(i)
			time = 1_700_000_000_000_000 + int64(seed>>50)
		}
		times[i] = time
	}
	state, err := window.New(c, data.Float64)
	require.NoError(b, err)
	for b.Loop() {
		state.Run(column, times, starts)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/numRows, "ns/row")
}

func BenchmarkLag1(b *testing.B)  { bench(b, window.Config{Op: window.Lag, N: 1}) }
func BenchmarkDiff1(b *testing.B) { bench(b, window.Config{Op: window.Diff, N: 1}) }

func BenchmarkRollingMean7(b *testing.B) {
	bench(b, window.Config{Op: window.RollingMean, Rows: 7})
}

func BenchmarkRollingMean30(b *testing.B) {
	bench(b, window.Config{Op: window.RollingMean, Rows: 30})
}

func BenchmarkRollingMean100(b *testing.B) {
	bench(b, window.Config{Op: window.RollingMean, Rows: 100})
}

func BenchmarkRollingMean7Days(b *testing.B) {
	bench(b, window.Config{Op: window.RollingMean, Span: 7 * day})
}

func BenchmarkRollingMax7(b *testing.B) {
	bench(b, window.Config{Op: window.RollingMax, Rows: 7})
}

func BenchmarkRollingMax7Days(b *testing.B) {
	bench(b, window.Config{Op: window.RollingMax, Span: 7 * day})
}

func BenchmarkRollingStd7(b *testing.B) {
	bench(b, window.Config{Op: window.RollingStd, Rows: 7})
}

func BenchmarkRollingStd30(b *testing.B) {
	bench(b, window.Config{Op: window.RollingStd, Rows: 30})
}

func BenchmarkRollingStd7Days(b *testing.B) {
	bench(b, window.Config{Op: window.RollingStd, Span: 7 * day})
}

func BenchmarkRollingCount7Days(b *testing.B) {
	bench(b, window.Config{Op: window.RollingCount, Span: 7 * day})
}

func BenchmarkRollingLast7Days(b *testing.B) {
	bench(b, window.Config{Op: window.RollingLast, Span: 7 * day})
}

func BenchmarkRollingCountDistinct7Days(b *testing.B) {
	bench(b, window.Config{Op: window.RollingCountDistinct, Span: 7 * day})
}

// A row at a time, as online.
func BenchmarkOneRow(b *testing.B) {
	for name, c := range map[string]window.Config{
		"lag": {Op: window.Lag, N: 1}, "7 rows": {Op: window.RollingMean, Rows: 7}, "1000 in time": {Op: window.RollingMean, Span: 1000},
	} {
		b.Run(name, func(b *testing.B) {
			state, err := window.New(c, data.Float64)
			require.NoError(b, err)
			column, times := data.NewColumn(data.Float64, 1), []int64{0}
			for b.Loop() {
				times[0]++
				state.Run(column, times, nil)
			}
		})
	}
}
