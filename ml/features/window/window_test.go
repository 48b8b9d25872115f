package window_test

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/window"
)

var inf, nan = math.Inf(1), math.NaN()

// null stands for a null in tables of numbers: no other NaN has its bits.
var null = math.Float64frombits(0x7ff8_0000_0000_dead)

func isNull(v float64) bool { return math.Float64bits(v) == math.Float64bits(null) }

func column(values ...float64) *data.Column {
	c := &data.Column{Type: data.Float64, Float64s: slices.Clone(values)}
	if slices.ContainsFunc(values, isNull) {
		c.Valid = data.NewBitmap(len(values))
		for i, v := range values {
			if isNull(v) {
				c.Float64s[i] = 0
			} else {
				c.Valid.Set(i)
			}
		}
	}
	return c
}

func numbersOf(c *data.Column) []float64 {
	out := make([]float64, c.Len())
	for i := range out {
		if out[i] = null; c.Valid.Get(i) {
			out[i] = number(c, i)
		}
	}
	return out
}

func requireNumbers(t *testing.T, want []float64, got *data.Column) {
	t.Helper()
	require.Equal(t, len(want), got.Len())
	for i, v := range numbersOf(got) {
		same := math.Float64bits(v) == math.Float64bits(want[i]) || math.IsNaN(v) && math.IsNaN(want[i]) && isNull(v) == isNull(want[i])
		require.True(t, same, "row %d: %v, expected %v (NaN may be null)", i, numbersOf(got), want)
	}
}

func TestEdges(t *testing.T) {
	t.Parallel()
	overflow := math.MaxFloat64
	for _, test := range []struct {
		name     string
		config   window.Config
		in, want []float64
	}{
		{"a lag keeps null and NaN", window.Config{Op: window.Lag, N: 1},
			[]float64{1, null, nan, inf, math.Copysign(0, -1), 2}, []float64{null, 1, null, nan, inf, math.Copysign(0, -1)}},
		{"a lag beyond the entity is null", window.Config{Op: window.Lag, N: 9}, []float64{1, 2}, []float64{null, null}},
		{"a difference with null is null, with NaN is NaN", window.Config{Op: window.Diff, N: 1},
			[]float64{1, 4, null, 5, nan, 7, inf, inf}, []float64{null, 3, null, null, nan, nan, inf, nan}},
		{"sums pass over null and NaN", window.Config{Op: window.RollingSum, Rows: 3},
			[]float64{1, null, nan, 5, 6, 7}, []float64{null, 1, 1, 1, 5, 11}},
		{"a window without values is null", window.Config{Op: window.RollingSum, Rows: 2},
			[]float64{1, null, nan, 5, 6}, []float64{null, 1, 1, null, 5}},
		{"the current row counts where told", window.Config{Op: window.RollingMean, Rows: 2, IncludeCurrent: true},
			[]float64{1, 2, 4, null}, []float64{1, 1.5, 3, 4}},
		{"fewer than min_periods are null", window.Config{Op: window.RollingMean, Rows: 3, MinPeriods: 2},
			[]float64{1, 3, null, 6, 8, 9}, []float64{null, null, 2, 2, 4.5, 7}},
		{"an infinity is gone when it has left", window.Config{Op: window.RollingSum, Rows: 2, IncludeCurrent: true},
			[]float64{1, inf, 2, 3, -inf, inf, 1, 2}, []float64{1, inf, inf, 5, -inf, nan, inf, 3}},
		{"a huge value leaves no error", window.Config{Op: window.RollingMean, Rows: 2, IncludeCurrent: true},
			[]float64{0.1, 1e300, 0.3, 0.5}, []float64{0.1, 5e299, 5e299, 0.4}},
		{"a sum may overflow, and recovers", window.Config{Op: window.RollingSum, Rows: 2, IncludeCurrent: true},
			[]float64{overflow, overflow, 1, 1}, []float64{overflow, inf, overflow, 2}},
		{"minus zero is zero", window.Config{Op: window.RollingMin, Rows: 1},
			[]float64{math.Copysign(0, -1), 1}, []float64{null, 0}},
		{"extremes know infinities", window.Config{Op: window.RollingMin, Rows: 2},
			[]float64{inf, inf, -inf, nan, null, 3}, []float64{null, inf, inf, -inf, -inf, null}},
		{"the largest of negative values", window.Config{Op: window.RollingMax, Rows: 3},
			[]float64{-5, -2, -9, -inf, -8, -7}, []float64{null, -5, -2, -2, -2, -8}},
		{"a deviation takes two values", window.Config{Op: window.RollingStd, Rows: 3, MinPeriods: 1, IncludeCurrent: true},
			[]float64{1, null, 3, nan, 5, 9}, []float64{null, null, math.Sqrt2, null, math.Sqrt2, math.Sqrt(8)}},
		{"the first rows deviate within what there is", window.Config{Op: window.RollingStd, Rows: 5},
			[]float64{1, 3, 5, 9}, []float64{null, null, math.Sqrt2, 2}},
		{"equal values do not deviate", window.Config{Op: window.RollingStd, Rows: 3, IncludeCurrent: true},
			[]float64{0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, []float64{null, 0, 0, 0, 0, 0, 0}},
		{"an infinity has no deviation", window.Config{Op: window.RollingStd, Rows: 2, IncludeCurrent: true},
			[]float64{1, inf, 2, 2, inf, inf}, []float64{null, nan, nan, 0, nan, nan}},
		{"counts are never null", window.Config{Op: window.RollingCount, Rows: 2, MinPeriods: 1},
			[]float64{1, null, nan, null, 5}, []float64{0, 1, 1, 0, 0}},
		{"the first value passes over null and NaN", window.Config{Op: window.RollingFirst, Rows: 3},
			[]float64{null, 2, nan, 5, inf, 7}, []float64{null, null, 2, 2, 2, 5}},
		{"the last value passes over null and NaN", window.Config{Op: window.RollingLast, Rows: 2, IncludeCurrent: true},
			[]float64{3, null, nan, -inf, nan, 0}, []float64{3, 3, null, -inf, -inf, 0}},
		{"fewer than min_periods have no last", window.Config{Op: window.RollingLast, Rows: 3, MinPeriods: 2},
			[]float64{1, 3, null, 6, 8}, []float64{null, null, 3, 3, 6}},
		{"equal values count once while they are there", window.Config{Op: window.RollingCountDistinct, Rows: 3},
			[]float64{4, 4, 7, null, nan, 7, 4, 1}, []float64{0, 1, 1, 2, 2, 1, 1, 2}},
		{"the two zeros are one value", window.Config{Op: window.RollingCountDistinct, Rows: 3, IncludeCurrent: true},
			[]float64{0, math.Copysign(0, -1), inf, -inf}, []float64{1, 1, 2, 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			requireNumbers(t, test.want, newState(t, test.config, data.Float64).Run(column(test.in...), nil, nil))
		})
	}
}

func TestWindowsOfTimeAreOpenAtTheFarEnd(t *testing.T) {
	t.Parallel()
	times := []int64{0, 5, 10, 10, 10, 15, 40}
	in := column(1, 2, 4, 8, 16, 32, 64)
	sum := func(c window.Config) []float64 {
		c.Op, c.Span = window.RollingSum, 10
		return numbersOf(newState(t, c, data.Float64).Run(in, times, nil))
	}
	// At 10, the row at 0 is out; of the rows at 10, the earlier ones are in.
	got := sum(window.Config{})
	require.True(t, isNull(got[0]) && isNull(got[6]), got)
	require.Equal(t, []float64{1, 2, 6, 14, 28}, got[1:6])
	require.Equal(t, []float64{1, 3, 6, 14, 30, 60, 64}, sum(window.Config{IncludeCurrent: true}))
}

// The values of the extremes of time differ by more than an int64 holds.
func TestTimesMayBeAnything(t *testing.T) {
	t.Parallel()
	times := []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, math.MaxInt64 - 1, math.MaxInt64}
	c := window.Config{Op: window.RollingSum, Span: math.MaxInt64, IncludeCurrent: true}
	requireNumbers(t, []float64{1, 3, 6, 12, 24, 48}, newState(t, c, data.Float64).Run(column(1, 2, 4, 8, 16, 32), times, nil))
	c.Span = 2
	requireNumbers(t, []float64{1, 3, 4, 12, 16, 48}, newState(t, c, data.Float64).Run(column(1, 2, 4, 8, 16, 32), times, nil))
}

func TestDifferencesOfOtherTypes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   *data.Column
		want []float64
	}{
		{&data.Column{Type: data.Int64, Int64s: []int64{1 << 60, 1<<60 + 3, math.MinInt64}}, []float64{null, 3, -1 << 60 * 9}},
		{&data.Column{Type: data.Int32, Int32s: []int32{math.MinInt32, math.MaxInt32}}, []float64{null, 1<<32 - 1}},
		{&data.Column{Type: data.Float32, Float32s: []float32{0.5, 2}}, []float64{null, 1.5}},
		{&data.Column{Type: data.Bool, Bools: []bool{true, false, true}}, []float64{null, -1, 1}},
		{&data.Column{Type: data.Timestamp, Int64s: []int64{1_000_000, 3_500_000}}, []float64{null, 2.5}},
		{&data.Column{Type: data.Date, Int32s: []int32{10, 8}}, []float64{null, -172_800}},
	} {
		t.Run(test.in.Type.String(), func(t *testing.T) {
			t.Parallel()
			requireNumbers(t, test.want, newState(t, window.Config{Op: window.Diff, N: 1}, test.in.Type).Run(test.in, nil, nil))
		})
	}
}

func TestTextsArePickedAndToldApart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		op   string
		want [][]string // by run
		dict []string   // of the last
	}{
		{window.RollingFirst, [][]string{{"null", "a", "a", "null"}, {"d", "d", "x"}}, []string{"d", "x"}},
		{window.RollingLast, [][]string{{"null", "a", "b", "null"}, {"d", "x", "d"}}, []string{"d", "x"}},
		{window.RollingCountDistinct, [][]string{{"0", "1", "2", "0"}, {"1", "2", "2"}}, nil},
	} {
		valid, starts := data.NewBitmap(4), data.NewBitmap(4)
		for _, row := range []int{0, 1, 3} {
			valid.Set(row)
		}
		starts.Set(3)
		s := newState(t, window.Config{Op: test.op, Rows: 2}, data.String)
		dict := []string{"a", "b", "c", "d"}
		out := s.Run(&data.Column{Type: data.String, Codes: []uint32{0, 1, 0, 3}, Dict: dict, Valid: valid}, nil, starts)
		require.Equal(t, test.want[0], cells(out), test.op)
		for i := range dict {
			dict[i] = "gone" // what was given is not kept
		}
		out = s.Run(&data.Column{Type: data.String, Codes: []uint32{1, 0, 1}, Dict: []string{"d", "x"}}, nil, nil)
		require.Equal(t, test.want[1], cells(out), test.op)
		require.Equal(t, test.dict, out.Dict, test.op)
	}
}

func TestALagOfTextsHasTheirDictionary(t *testing.T) {
	t.Parallel()
	valid := data.NewBitmap(5)
	for _, row := range []int{0, 1, 3, 4} {
		valid.Set(row)
	}
	starts := data.NewBitmap(5)
	starts.Set(4)
	in := &data.Column{Type: data.String, Codes: []uint32{0, 1, 0, 2, 3}, Dict: []string{"a", "b", "c", "d"}, Valid: valid}
	s := newState(t, window.Config{Op: window.Lag, N: 1}, data.String)
	out := s.Run(in, nil, starts)
	assert.Equal(t, []string{"null", "a", "b", "null", "null"}, cells(out))
	assert.Equal(t, []string{"a", "b"}, out.Dict)
	dict := []string{"x", "y", "beyond"}
	out = s.Run(&data.Column{Type: data.String, Codes: []uint32{0, 1, 0}, Dict: dict[:2]}, nil, nil)
	assert.Equal(t, []string{"d", "x", "y"}, cells(out))
	assert.Equal(t, []string{"d", "x", "y"}, out.Dict)
	assert.Equal(t, []string{"x", "y", "beyond"}, dict)
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		config window.Config
		of     data.Type
		want   string
	}{
		{window.Config{Op: "rolling_median", Rows: 3}, data.Float64, "there is no \"rolling_median\"; known are lag, diff, rolling_mean"},
		{window.Config{Op: window.Lag}, data.Float64, "window: lag: n: 0; use 1"},
		{window.Config{Op: window.Diff, N: 1, Rows: 3}, data.Float64, "window: diff has none"},
		{window.Config{Op: window.Lag, N: 1, MinPeriods: 1}, data.Float64, "min_periods: lag has none"},
		{window.Config{Op: window.Lag, N: 1, IncludeCurrent: true}, data.Float64, "include_current: lag has none"},
		{window.Config{Op: window.RollingSum, N: 1, Rows: 3}, data.Float64, "n: only lag and diff have it"},
		{window.Config{Op: window.RollingSum}, data.Float64, "window: missing"},
		{window.Config{Op: window.RollingSum, Rows: 1, Span: 1}, data.Float64, "give one of them"},
		{window.Config{Op: window.RollingSum, Rows: -1}, data.Float64, "-1 rows"},
		{window.Config{Op: window.RollingSum, Span: -1}, data.Float64, "-1 microseconds"},
		{window.Config{Op: window.RollingSum, Rows: 3, MinPeriods: -1}, data.Float64, "min_periods: -1"},
		{window.Config{Op: window.RollingSum, Rows: 3, MinPeriods: 4}, data.Float64, "all would be null"},
		{window.Config{Op: window.RollingStd, Rows: 1}, data.Float64, "no deviation"},
		{window.Config{Op: window.RollingCount, Rows: 3, MinPeriods: 2}, data.Float64, "a count is never null"},
		{window.Config{Op: window.RollingCountDistinct, Rows: 3, MinPeriods: 2}, data.String, "a count is never null"},
		{window.Config{Op: window.RollingMean, Rows: 3}, data.String, "rolling_mean: the column is string, expected a number"},
		{window.Config{Op: window.RollingMean, Rows: 3}, data.Timestamp, "expected a number"},
		{window.Config{Op: window.Diff, N: 1}, data.String, "expected a number, a timestamp or a date"},
		{window.Config{Op: window.Lag, N: 1}, data.Date + 1, "there is no type(8)"},
	} {
		_, err := window.New(test.config, test.of)
		require.ErrorContains(t, err, test.want)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
	for _, of := range allTypes {
		out, err := window.Config{Op: window.Lag, N: 1}.Output(of)
		require.NoError(t, err)
		require.Equal(t, of, out)
		for op, want := range map[string]data.Type{
			window.RollingCount: data.Int64, window.RollingCountDistinct: data.Int64, window.RollingFirst: of, window.RollingLast: of,
		} {
			out, err = window.Config{Op: op, Span: 1}.Output(of)
			require.NoError(t, err)
			require.Equal(t, want, out, op)
		}
	}
}

func TestAStateIsForOneOperationAndType(t *testing.T) {
	t.Parallel()
	s := newState(t, window.Config{Op: window.RollingSum, Rows: 3}, data.Float64)
	s.Run(column(1, 2), nil, nil)
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	for _, other := range []*window.State{
		newState(t, window.Config{Op: window.RollingMean, Rows: 3}, data.Float64),
		newState(t, window.Config{Op: window.RollingSum, Rows: 4}, data.Float64),
		newState(t, window.Config{Op: window.RollingSum, Span: 3}, data.Float64),
		newState(t, window.Config{Op: window.RollingSum, Rows: 3, IncludeCurrent: true}, data.Float64),
		newState(t, window.Config{Op: window.RollingSum, Rows: 3}, data.Int64),
	} {
		err := other.UnmarshalBinary(b)
		require.ErrorContains(t, err, "another operation, window or type")
		require.Equal(t, fault.Corrupt, fault.Of(err))
	}
	b[0] = 9
	require.ErrorContains(t, s.UnmarshalBinary(b), "version 9, expected 1")
}

func TestStatesThatCannotBe(t *testing.T) {
	t.Parallel()
	lag, sum := window.Config{Op: window.Lag, N: 2}, window.Config{Op: window.RollingSum, Rows: 2}
	span, last, lastOf := window.Config{Op: window.RollingSum, Span: 5}, window.Config{Op: window.RollingLast, Rows: 2}, window.Config{Op: window.RollingLast, Span: 5}
	value := []byte{0, 0, 0, 0, 0, 0, 0, 0}
	for _, test := range []struct {
		config window.Config
		of     data.Type
		body   []byte // after the header
		want   string
	}{
		{lag, data.Bool, []byte{3, 0, 0, 0}, "3 rows, expected at most 2"},
		{lag, data.Bool, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, "values in 0 bytes"},
		{lag, data.Bool, []byte{1}, "values in 0 bytes"},
		{lag, data.Bool, []byte{1, 2}, "a truth is 2"},
		{lag, data.Bool, []byte{1, 1, 4}, "a value is no bool"},
		{lag, data.Bool, []byte{1, 1, 2, 0}, "1 bytes are left over"},
		{lag, data.Date, []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x7f}, "a value is no date"},
		{lag, data.Float32, []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x7f}, "a value is no float32"},
		{lag, data.String, []byte{1, 1, 3, 'a', 'b'}, "3 values in 2 bytes"},
		{lag, data.Int64, []byte{1, 1, 0xff}, "the bytes end early"},
		{sum, data.Float64, []byte{0x80, 0x80, 0x80, 0x80, 0x08}, "values in 0 bytes"},
		{sum, data.Float64, slices.Concat([]byte{3, 0}, value, value, value), "3 rows from place 0"},
		{sum, data.Float64, slices.Concat([]byte{1, 1}, value), "1 rows from place 1"},
		{sum, data.Float64, slices.Concat([]byte{2, 2}, value, value), "2 rows from place 2"},
		{sum, data.Float64, slices.Concat([]byte{1, 0}, value, value), "8 bytes are left over"},
		{span, data.Float64, slices.Concat([]byte{2, 0, 5}, value, value), "times are not within one window"},
		{last, data.Bool, []byte{3, 0, 0, 0}, "3 rows, expected at most 2"},
		{last, data.Bool, []byte{1, 1, 4}, "a value is no bool"},
		{lastOf, data.Bool, []byte{2, 0, 5, 0, 0}, "times are not within one window"},
		{lastOf, data.Bool, []byte{1, 0}, "the bytes end early"},
		{span, data.Float64, slices.Concat([]byte{2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, value, value), "not within one window"},
	} {
		s := newState(t, test.config, test.of)
		b, err := s.MarshalBinary()
		require.NoError(t, err)
		err = s.UnmarshalBinary(append(b[:7:7], test.body...))
		require.ErrorContains(t, err, test.want)
		require.Equal(t, fault.Corrupt, fault.Of(err))
	}
}

func TestMarksBeyondTheRowsAreNotLookedAt(t *testing.T) {
	t.Parallel()
	s := newState(t, window.Config{Op: window.RollingSum, Rows: 2, IncludeCurrent: true}, data.Float64)
	requireNumbers(t, []float64{1, 3, 6}, s.Run(column(1, 2, 4), nil, data.Bitmap{0b1111_0000}))
	requireNumbers(t, []float64{12}, s.Run(column(8), nil, nil))
	valid := data.Bitmap{0b10110}
	in := &data.Column{Type: data.Float64, Float64s: []float64{0, 1, 2}, Valid: valid}
	requireNumbers(t, []float64{8, 1, 3}, s.Run(in, nil, nil))
}

// What is kept is as large as a window, not as the entity.
func TestMemoryIsThatOfTheWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []window.Config{
		{Op: window.Lag, N: 5}, {Op: window.RollingMean, Rows: 7}, {Op: window.RollingStd, Rows: 100}, {Op: window.RollingMax, Span: 100},
		{Op: window.RollingLast, Rows: 7}, {Op: window.RollingCountDistinct, Span: 100},
	} {
		s := newState(t, c, data.Float64)
		times := make([]int64, 1000)
		for run := range 50 {
			for i := range times {
				times[i] = int64(run*1000 + i)
			}
			s.Run(data.NewColumn(data.Float64, 1000), times, nil)
		}
		b, err := s.MarshalBinary()
		require.NoError(t, err)
		require.Less(t, len(b), 1000, "%+v", c)
	}
}

// The table of docs/features/windows.md is computed again, cell by cell.
func TestTheExampleOfTheDocumentation(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../docs/features/windows.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(b), "<!-- example -->")
	require.True(t, found)
	var rows [][]string
	for line := range strings.Lines(text) {
		if line = strings.Trim(line, " \n"); strings.HasPrefix(line, "|") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		} else if len(rows) > 0 {
			break
		}
	}
	require.Len(t, rows, 9)
	const day = 86_400_000_000
	configs := map[string]window.Config{
		"lag n: 1":                                     {Op: window.Lag, N: 1},
		"diff n: 1":                                    {Op: window.Diff, N: 1},
		"rolling_sum window: 2":                        {Op: window.RollingSum, Rows: 2},
		"rolling_mean window: 2":                       {Op: window.RollingMean, Rows: 2},
		"rolling_std window: 3":                        {Op: window.RollingStd, Rows: 3},
		"rolling_max window: 2d":                       {Op: window.RollingMax, Span: 2 * day},
		"rolling_last window: 2":                       {Op: window.RollingLast, Rows: 2},
		"rolling_count_distinct window: 3":             {Op: window.RollingCountDistinct, Rows: 3},
		"rolling_count window: 2d":                     {Op: window.RollingCount, Span: 2 * day},
		"rolling_sum window: 2d include_current: true": {Op: window.RollingSum, Span: 2 * day, IncludeCurrent: true},
	}
	header, rows := rows[0], rows[2:]
	var in []float64
	var times []int64
	starts := data.NewBitmap(len(rows))
	for i, row := range rows {
		if i == 0 || row[0] != rows[i-1][0] {
			starts.Set(i)
		}
		date, err := data.ParseTimestamp("2024-05-"+row[1], false)
		require.NoError(t, err)
		times = append(times, date)
		in = append(in, parseCell(t, row[2]))
	}
	require.Len(t, header, 3+len(configs))
	for at, name := range header[3:] {
		c, ok := configs[name]
		require.True(t, ok, name)
		out := numbersOf(newState(t, c, data.Float64).Run(column(in...), times, starts))
		for i, row := range rows {
			got := "null"
			if !isNull(out[i]) {
				got = strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(out[i], 'f', 2, 64), "0"), ".")
			}
			require.Equal(t, row[3+at], got, "%s, row %d", name, i)
		}
	}
}

func parseCell(t *testing.T, s string) float64 {
	t.Helper()
	if s == "null" {
		return null
	}
	v, err := strconv.ParseFloat(s, 64)
	require.NoError(t, err)
	return v
}
