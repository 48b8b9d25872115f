package features_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/block"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/featurestest"
	"github.com/troupe-ml/troupe/ml/features/window"
)

func windowConfig(steps ...features.Step) features.Config {
	return features.Config{Steps: steps, Entity: features.Entity{"city"}, Timestamp: "ts", Keep: []string{"x"}}
}

// windowSamples use every windowed operation, and windows over windows.
func windowSamples() []features.Step {
	return []features.Step{
		with(step("lag_city", "lag", "city"), "n", 2), step("lag_x", "lag", "x"), step("lag_day", "lag", "day"),
		step("diff", "diff", "big"),
		with(step("mean", "rolling_mean", "x"), "window", 3), with(step("sum", "rolling_sum", "small"), "window", "2h", "include_current", true),
		with(step("min", "rolling_min", "short"), "window", 4), with(step("max", "rolling_max", "x"), "window", "1d"),
		with(step("std", "rolling_std", "x"), "window", 5, "min_periods", 3), with(step("count", "rolling_count", "city"), "window", "30m"),
		with(step("first", "rolling_first", "city"), "window", 3), with(step("last", "rolling_last", "day"), "window", "2h", "include_current", true),
		with(step("distinct", "rolling_count_distinct", "city"), "window", 4),
		step("log", "log1p", "mean"), step("lag_log", "lag", "log"), with(step("part", "ratio", "lag_log", "x")), step("lag_part", "lag", "part"),
	}
}

func TestEveryWindowIsAmongTheSamples(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, s := range windowSamples() {
		used[s.Op] = true
	}
	for _, op := range window.Operations() {
		require.True(t, used[op], op)
	}
}

// Rows one at a time have the bits of all rows at once, before and after the
// pipeline has been written and read.
func TestWindowsOfOneRowAtATimeAreThoseOfABatch(t *testing.T) {
	t.Parallel()
	p, err := features.Compile(windowConfig(windowSamples()...), everyType())
	require.NoError(t, err)
	text, err := json.Marshal(p)
	require.NoError(t, err)
	read, err := features.Load(text)
	require.NoError(t, err)
	require.Equal(t, []int{0}, p.WindowLevels())
	require.Equal(t, []string{"small", "big", "short", "x", "city", "ts", "day"}, p.Windows(0).Inputs())
	rapid.Check(t, func(t *rapid.T) {
		b := featurestest.Tables(everyType(), 30).Draw(t, "table")
		times, starts := make([]int64, b.NumRows), data.NewBitmap(b.NumRows)
		for i := range times {
			times[i] = int64(i) * 1e9
			if rapid.IntRange(0, 4).Draw(t, "start") == 0 {
				starts.Set(i)
			}
		}
		all, one := p.Windows(0), read.Windows(0)
		carried, err := all.Carry(b)
		require.NoError(t, err)
		h, err := all.NewHistory()
		require.NoError(t, err)
		whole, err := h.Run(carried, times, starts)
		require.NoError(t, err)
		require.Equal(t, all.Schema().Names(), whole.Schema.Names())
		rows, err := one.NewHistory()
		require.NoError(t, err)
		for i := range b.NumRows {
			row, err := one.Carry(b.Gather([]uint32{uint32(i)}))
			require.NoError(t, err)
			start := data.NewBitmap(1)
			if starts.Get(i) {
				start.Set(0)
			}
			made, err := rows.Run(row, times[i:i+1], start)
			require.NoError(t, err)
			want := whole.Gather([]uint32{uint32(i)})
			require.Equal(t, block.Append(nil, "", want), block.Append(nil, "", made), "row %d", i)
		}
	})
}

func TestWindowsAreReadLikeColumnsOfTheInput(t *testing.T) {
	t.Parallel()
	p, err := features.Compile(windowConfig(
		step("before", "lag", "x"), step("z", "standard_scale", "before"), step("z_before", "lag", "z"), step("again", "standard_scale", "z_before"),
	), everyType())
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, p.WindowLevels())
	require.Equal(t, []string{"x", "before", "z_before"}, p.Inputs())
	require.Equal(t, []string{"before"}, p.ObserveInputs(0))
	require.Equal(t, []string{"z_before"}, p.ObserveInputs(1))
	require.Equal(t, []string{"city", "ts", "before"}, p.Windows(1).Inputs())
	names := []string{}
	for _, f := range p.InputSchema().Fields {
		names = append(names, fmt.Sprint(f.Name, " ", f.Type))
	}
	require.Equal(t, []string{"x float64", "before float64", "z_before float64"}, names)
	x := data.NewColumn(data.Float64, 1)
	_, err = p.Windows(0).Carry(&data.Batch{Schema: data.Schema{Fields: []data.Field{{Name: "x", Type: data.Float64}}}, Columns: []*data.Column{x}, NumRows: 1})
	require.NoError(t, err)
	require.ErrorContains(t, p.NewState(0).Observe(&data.Batch{Schema: data.Schema{Fields: []data.Field{{Name: "x", Type: data.Float64}}}, Columns: []*data.Column{x}, NumRows: 1}, nil),
		`there is no column "before" of type float64; feature "before" (lag) looks at other rows, and has to be computed before`)
}

// What an encoding has learned from the target of all rows tells an earlier row of
// later ones, through however many steps.
func TestAWindowOverWhatTheTargetHasTaughtIsRefused(t *testing.T) {
	t.Parallel()
	cfg := windowConfig(step("rate", "target_encode", "two"), step("log", "log1p", "rate"), step("before", "lag", "log"))
	cfg.Target = "y"
	_, err := features.Compile(cfg, everyType())
	require.ErrorContains(t, err, `it would read what feature "rate" (target_encode) has learned from the target of rows that come later`)
	cfg.Steps[2] = step("before", "lag", "x")
	_, err = features.Compile(cfg, everyType())
	require.NoError(t, err)
}
