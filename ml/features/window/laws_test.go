package window_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/window"
)

func genConfig() *rapid.Generator[window.Config] {
	return rapid.Custom(func(t *rapid.T) window.Config {
		c := window.Config{Op: rapid.SampledFrom(window.Operations()).Draw(t, "op")}
		if c.Op == window.Lag || c.Op == window.Diff {
			c.N = rapid.OneOf(rapid.IntRange(1, 4), rapid.IntRange(1, 150)).Draw(t, "n")
			return c
		}
		c.IncludeCurrent = rapid.Bool().Draw(t, "current")
		if rapid.Bool().Draw(t, "of time") {
			c.Span = rapid.OneOf(rapid.Int64Range(1, 10), rapid.Int64Range(1, 300)).Draw(t, "span")
		} else {
			c.Rows = rapid.OneOf(rapid.IntRange(2, 9), rapid.IntRange(2, 100), rapid.IntRange(60, 80)).Draw(t, "rows")
		}
		if c.Op != window.RollingCount && c.Op != window.RollingCountDistinct && rapid.Bool().Draw(t, "min") {
			c.MinPeriods = rapid.IntRange(1, max(4, c.Rows/2)).Draw(t, "min periods")
			c.MinPeriods = min(c.MinPeriods, max(c.Rows, 1))
		}
		return c
	})
}

// genTable makes a column of any type that the operation takes. special is how
// often a value is NaN, infinite, zero or one that others also have.
func genTable(c window.Config, types ...data.Type) *rapid.Generator[table] {
	return rapid.Custom(func(t *rapid.T) table {
		of := rapid.SampledFrom(types).Filter(func(of data.Type) bool {
			_, err := c.Output(of)
			return err == nil
		}).Draw(t, "type")
		n := rapid.OneOf(rapid.IntRange(0, 12), rapid.IntRange(0, 400)).Draw(t, "rows")
		entity := rapid.SampledFrom([]int{1, 3, 40, 1000}).Draw(t, "rows of an entity")
		step := rapid.SampledFrom([]int64{0, 2, 30}).Draw(t, "time between rows")
		offset := rapid.SampledFrom([]float64{0, 0, 0, 1e9}).Draw(t, "offset")
		nulls, special := rapid.SampledFrom([]int{0, 3, 50}).Draw(t, "nulls"), rapid.SampledFrom([]int{0, 0, 5, 90}).Draw(t, "special")
		seed := rapid.Uint64().Draw(t, "seed")
		percent := func() int { seed = seed*6364136223846793005 + 1442695040888963407; return int(seed >> 33 % 100) }
		tab := table{column: data.NewColumn(of, n), times: make([]int64, n), starts: data.NewBitmap(n)}
		col := tab.column
		if nulls > 0 {
			col.Valid = data.NewBitmap(n)
		}
		time := rapid.Int64Range(-1000, 1000).Draw(t, "time")
		for i := range n {
			if entity == 1 || percent()*entity < 100 {
				tab.starts.Set(i)
				time -= 50
			}
			time += step * int64(percent()) / 50
			tab.times[i] = time
			if nulls > 0 && percent() < nulls {
				continue
			}
			if nulls > 0 {
				col.Valid.Set(i)
			}
			v := (float64(percent())-50)*math.Exp(float64(percent())/10)/7 + offset
			if percent() < special {
				v = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 5, 5, 0.1}[percent()%8]
			}
			setNumber(col, i, v)
		}
		if of == data.String {
			dict := make([]string, 100)
			for i := range dict {
				dict[i] = fmt.Sprint("text ", i)
			}
			col.UseStrings(dict)
		}
		return tab
	})
}

func setNumber(c *data.Column, row int, v float64) {
	whole := int64(0)
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		whole = int64(v)
	}
	switch c.Type {
	case data.Bool:
		c.Bools[row] = v > 0
	case data.Int32, data.Date:
		c.Int32s[row] = int32(whole)
	case data.Int64, data.Timestamp:
		c.Int64s[row] = whole
	case data.Float32:
		c.Float32s[row] = float32(v)
	case data.Float64:
		c.Float64s[row] = v
	case data.String:
		c.Codes[row] = uint32(uint64(whole) % 100)
	}
}

var (
	allTypes = []data.Type{data.Bool, data.Int32, data.Int64, data.Float32, data.Float64, data.String, data.Timestamp, data.Date}
	numbers  = allTypes[:5]
)

// cells are the values of a column as words that can be compared to the bit.
func cells(c *data.Column) []string {
	out := make([]string, c.Len())
	for i := range out {
		switch {
		case !c.Valid.Get(i):
			out[i] = "null"
		case c.Type == data.String:
			out[i] = c.Dict[c.Codes[i]]
		case c.Type == data.Float64 && math.IsNaN(c.Float64s[i]):
			out[i] = "NaN"
		case c.Type == data.Float64:
			out[i] = fmt.Sprintf("%x", math.Float64bits(c.Float64s[i]))
		default:
			out[i] = fmt.Sprint(number(c, i))
		}
	}
	return out
}

// checkColumn makes sure of what every column of the house keeps.
func checkColumn(t require.TestingT, c *data.Column) {
	seen := uint32(0)
	for i := range c.Len() {
		if c.Valid.Get(i) {
			if c.Type == data.String && c.Codes[i] >= seen {
				require.Equal(t, seen, c.Codes[i], "the dictionary is not in order of first appearance")
				seen++
			}
			continue
		}
		zero := data.NewColumn(c.Type, 1)
		if c.Type == data.String {
			require.Zero(t, c.Codes[i])
		} else {
			require.Equal(t, number(zero, 0), number(&data.Column{Type: c.Type, Bools: c.Bools, Int32s: c.Int32s, //nolint:testifylint // exact
				Int64s: c.Int64s, Float32s: c.Float32s, Float64s: c.Float64s}, i), "a null is not zero")
		}
	}
	require.Len(t, c.Dict, int(seen))
	distinct := slices.Clone(c.Dict)
	slices.Sort(distinct)
	require.Len(t, slices.Compact(distinct), len(c.Dict), "the dictionary has a text twice")
	require.True(t, c.Valid == nil || c.NumNulls() > 0)
}

func newState(t require.TestingT, c window.Config, of data.Type) *window.State {
	s, err := window.New(c, of)
	require.NoError(t, err)
	return s
}

// However the rows are cut into runs, and whether or not the state is written
// down and read back between them, the same bits come out, and the same state.
func TestRunsOfAnyLengthGiveTheSameBits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := genConfig().Draw(t, "config")
		tab := genTable(c, allTypes...).Draw(t, "table")
		whole := newState(t, c, tab.column.Type)
		out := whole.Run(tab.column, tab.times, tab.starts)
		checkColumn(t, out)
		want := cells(out)

		most := rapid.SampledFrom([]int{1, 3, 70, 300}).Draw(t, "longest run")
		state := newState(t, c, tab.column.Type)
		var got []string
		for from := 0; from < tab.numRows(); {
			to := min(tab.numRows(), from+rapid.IntRange(1, most).Draw(t, "run"))
			if from > 0 && most > 1 && rapid.Bool().Draw(t, "write down") {
				b, err := state.MarshalBinary()
				require.NoError(t, err)
				state = newState(t, c, tab.column.Type)
				require.NoError(t, state.UnmarshalBinary(b))
			}
			part := tab.slice(from, to)
			out := state.Run(part.column, part.times, part.starts)
			checkColumn(t, out)
			got = append(got, cells(out)...)
			part.spoil() // what was given is not kept
			from = to
		}
		require.Equal(t, want, append([]string{}, got...))
		a, err := whole.MarshalBinary()
		require.NoError(t, err)
		b, err := state.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, a, b)
	})
}

// To the bit, but for deviations, which are within 1e-12 of the exact ones.
func TestRunIsTheDumbOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := genConfig().Draw(t, "config")
		tab := genTable(c, numbers...).Draw(t, "table")
		out := newState(t, c, tab.column.Type).Run(tab.column, tab.times, tab.starts)
		tab.each(func(from, to int) {
			d := dumb{config: c, times: tab.times[from:to]}
			for i := from; i < to; i++ {
				d.values = append(d.values, number(tab.column, i))
				d.valid = append(d.valid, tab.column.Valid.Get(i))
			}
			for i := from; i < to; i++ {
				want, there := d.row(i - from)
				require.Equal(t, there, out.Valid.Get(i), "row %d", i)
				got := number(out, i)
				switch {
				case !there:
				case math.IsNaN(want):
					require.True(t, math.IsNaN(got), "row %d", i)
				case c.Op == window.RollingStd:
					require.LessOrEqual(t, math.Abs(got-want), 1e-12*want, "row %d: %v, expected %v", i, got, want)
				default:
					require.Equal(t, math.Float64bits(want), math.Float64bits(got), "row %d: %v, expected %v", i, got, want)
				}
			}
		})
	})
}

// Sums do not depend on blocks by more than rounding.
func TestSumsAreWithinRoundingOfThoseFromFirstToLast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := genConfig().Filter(func(c window.Config) bool { return c.Op == window.RollingSum }).Draw(t, "config")
		tab := genTable(c, data.Float64).Draw(t, "table")
		out := newState(t, c, data.Float64).Run(tab.column, tab.times, tab.starts)
		tab.each(func(from, to int) {
			d := dumb{config: c, times: tab.times[from:to]}
			for i := from; i < to; i++ {
				lo, hi := d.window(i - from)
				sum, size := 0.0, 0.0
				for k := from + lo; k < from+hi; k++ {
					if v := number(tab.column, k); !math.IsNaN(v) {
						sum += v
						size += math.Abs(v)
					}
				}
				if got := number(out, i); out.Valid.Get(i) && !math.IsInf(size, 0) {
					require.LessOrEqual(t, math.Abs(got-sum), 1e-12*size, "row %d", i)
				}
			}
		})
	})
}

// Blocks of long windows begin at the same rows whether or not the entity has
// come in one run.
func TestLongWindowsOneRowAtATime(t *testing.T) {
	t.Parallel()
	const n = 400
	column, times := data.NewColumn(data.Float64, n), make([]int64, n)
	for i := range n {
		column.Float64s[i], times[i] = math.Sin(float64(i*i))*1e3+0.1, int64(i)
	}
	tab := table{column: column, times: times, starts: data.NewBitmap(n)}
	for _, op := range window.Operations()[2:] {
		for _, c := range []window.Config{{Op: op, Rows: 70}, {Op: op, Rows: 65, IncludeCurrent: true}, {Op: op, Span: 90}} {
			want := cells(newState(t, c, data.Float64).Run(column, times, nil))
			state := newState(t, c, data.Float64)
			for i := range n {
				row := tab.slice(i, i+1)
				require.Equal(t, want[i:i+1], cells(state.Run(row.column, row.times, nil)), "%+v, row %d", c, i)
			}
		}
	}
}

// Bytes that no state has written are refused as corrupt, or are read as a state
// that can go on.
func TestUnmarshalOfGarbage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := genConfig().Draw(t, "config")
		tab := genTable(c, allTypes...).Draw(t, "table")
		state := newState(t, c, tab.column.Type)
		state.Run(tab.column, tab.times, tab.starts)
		before, err := state.MarshalBinary()
		require.NoError(t, err)
		b := slices.Clone(before)
		switch rapid.IntRange(0, 3).Draw(t, "how") {
		case 0:
			b = b[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]
		case 1:
			b = append(b, rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "more")...)
		case 2:
			b[rapid.IntRange(0, len(b)-1).Draw(t, "place")] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
		default:
			b = append(b[:rapid.IntRange(0, len(b)).Draw(t, "length")], rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "garbage")...)
		}
		if err := state.UnmarshalBinary(b); err != nil {
			require.Equal(t, fault.Corrupt, fault.Of(err), "%v", err)
			after, err := state.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, before, after)
		}
		state.Run(tab.column, tab.times, tab.starts)
	})
}
