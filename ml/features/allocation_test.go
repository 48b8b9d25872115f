package features_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/window"
)

// manyRows is a batch of every type, with twenty texts, and a null in each column of
// sixteen rows.
func manyRows(rows int) *data.Batch {
	r := rng.New(1, "allocations")
	b := &data.Batch{Schema: everyType(), NumRows: rows}
	for _, f := range b.Schema.Fields {
		c := data.NewColumn(f.Type, rows)
		for i := range 20 {
			if f.Type == data.String {
				c.Dict = append(c.Dict, fmt.Sprintf("text %d", i))
			}
		}
		if f.Nullable {
			c.Valid = data.NewBitmap(rows)
		}
		for i := range rows {
			n := r.IntN(20)
			if f.Nullable && r.IntN(16) > 0 {
				c.Valid.Set(i)
			}
			switch f.Type {
			case data.Bool:
				c.Bools[i] = n < 10
			case data.Int32, data.Date:
				c.Int32s[i] = int32(n)
			case data.Int64, data.Timestamp:
				c.Int64s[i] = int64(n) * 3_600_000_000
			case data.Float32:
				c.Float32s[i] = float32(n)
			case data.Float64:
				c.Float64s[i] = float64(n) / 3
			case data.String:
				c.Codes[i] = uint32(n)
			}
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

// What an operation takes of memory it takes for columns, not for rows: neither
// learning nor applying allocates as often as there are rows.
func TestNothingIsAllocatedForARow(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	const rows, most = 1 << 13, 1 << 9
	table := manyRows(rows)
	numbers := features.Rows{Numbers: make([]int64, rows)}
	for i := range numbers.Numbers {
		numbers.Numbers[i] = int64(i)
	}
	for _, op := range features.Operations() {
		if slices.Contains(window.Operations(), op) {
			continue // see package window
		}
		for _, s := range samples()[op] {
			p, err := features.Compile(features.Config{Steps: []features.Step{s}, Target: "label", Entity: features.Entity{"y"}, Timestamp: "at"}, table.Schema)
			require.NoError(t, err)
			for pass := range p.NumPasses() {
				state := p.NewState(pass)
				require.NoError(t, state.ObserveRows(table, numbers)) // which makes room for categories
				took := testing.AllocsPerRun(2, func() { require.NoError(t, state.ObserveRows(table, numbers)) })
				require.Less(t, took, float64(most), "%s: learning %v", op, s)
				p, err = p.Fit(pass, state)
				require.NoError(t, err)
			}
			took := testing.AllocsPerRun(2, func() {
				_, err := p.Apply(table)
				require.NoError(t, err)
			})
			require.Less(t, took, float64(most), "%s: applying %v", op, s)
		}
	}
}
