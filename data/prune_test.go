package data_test

import (
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// rangeOf looks at the rows of a column, and tells less than it has seen at will.
func rangeOf(t *rapid.T, c *data.Column, rows int) (data.Range, bool) {
	r := data.Range{Rows: int64(rows), Nulls: int64(c.NumNulls())}
	bound := func(v data.Value, less bool) {
		if !r.Bounded {
			r.Bounded, r.Min, r.Max = true, v, v
		} else if less {
			r.Min = v
		} else {
			r.Max = v
		}
	}
	var lo, hi *big.Float
	var loText, hiText string
	var seen []data.Value
	for i := range rows {
		number, text, there := at(c, i)
		if !there {
			continue
		}
		v := valueAt(c, i)
		seen = append(seen, v)
		if c.Type == data.String {
			if !r.Bounded || text < loText {
				loText = text
				bound(v, true)
			}
			if text >= hiText {
				hiText = text
				bound(v, false)
			}
			continue
		}
		if lo == nil || number.Cmp(lo) < 0 {
			lo = number
			bound(v, true)
		}
		if hi == nil || number.Cmp(hi) >= 0 {
			hi = number
			bound(v, false)
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "no bounds") == 0 {
		r.Bounded, r.Min, r.Max = false, data.Value{}, data.Value{}
	}
	if rapid.IntRange(0, 3).Draw(t, "no nulls") == 0 {
		r.Nulls = -1
	}
	if rapid.Bool().Draw(t, "lacks") {
		r.Lacks = func(v data.Value) bool { return !slices.Contains(seen, v) }
	}
	return r, rapid.IntRange(0, 9).Draw(t, "nothing known") > 0
}

// drawFiltered draws rows and a filter, which leaves so many of them, and what is
// known of the columns.
func drawFiltered(t *rapid.T) (f *data.Filter, rows, left int, known func(name string) (data.Range, bool)) {
	b := drawRows(t)
	f, err := drawPredicate(t, 2).Bind(whereSchema)
	require.NoError(t, err)
	keep, err := f.Eval(b)
	require.NoError(t, err)
	return f, b.NumRows, onesOf(keep), func(name string) (data.Range, bool) { return rangeOf(t, b.Column(name), b.NumRows) }
}

// Rows that match are never ruled out, whatever is known of them.
func TestMayMatchRulesOutNoMatch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, _, left, known := drawFiltered(t)
		if !f.MayMatch(known) {
			require.Zero(t, left, f.Predicate().String())
		}
	})
}

// What holds for all rows is true for each of them.
func TestWhatHoldsIsTrueForEveryRow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, rows, left, known := drawFiltered(t)
		if f.Holds(known) {
			require.Equal(t, rows, left, f.Predicate().String())
		}
	})
}

func TestWhatRangesRuleOut(t *testing.T) {
	t.Parallel()
	r := data.Range{Rows: 10, Nulls: 0, Bounded: true, Min: data.IntValue(3), Max: data.IntValue(7)}
	for text, c := range map[string]struct {
		p    *data.Predicate
		want bool
	}{
		"less":         {data.Compare("l", data.Lt, data.IntValue(3)), false},
		"less or same": {data.Compare("l", data.Le, data.IntValue(3)), true},
		"fraction":     {data.Compare("l", data.Gt, data.FloatValue(6.5)), true},
		"greater":      {data.Compare("l", data.Gt, data.FloatValue(7.5)), false},
		"equal":        {data.Compare("l", data.Eq, data.IntValue(8)), false},
		"no integer":   {data.Compare("l", data.Eq, data.FloatValue(5.5)), false},
		"in":           {data.In("l", data.IntValue(1), data.IntValue(9)), false},
		"null":         {data.IsNull("l"), false},
		"not":          {data.Not(data.Compare("l", data.Le, data.IntValue(7))), false},
		"not null":     {data.Not(data.IsNull("l")), true},
		"and":          {data.And(data.Compare("l", data.Ge, data.IntValue(4)), data.Compare("l", data.Gt, data.IntValue(7))), false},
		"or":           {data.Or(data.Compare("l", data.Lt, data.IntValue(3)), data.Compare("l", data.Ge, data.IntValue(7))), true},
		"NaN is null":  {data.IsNull("d"), true},
	} {
		f, err := c.p.Bind(whereSchema)
		require.NoError(t, err)
		require.Equal(t, c.want, f.MayMatch(func(string) (data.Range, bool) { return r, true }), text)
	}
}

func TestWhatRangesShowOfAllRows(t *testing.T) {
	t.Parallel()
	bounds := data.Range{Rows: 10, Bounded: true, Min: data.IntValue(3), Max: data.IntValue(7)}
	with := func(nulls int64) data.Range {
		r := bounds
		r.Nulls = nulls
		return r
	}
	for text, c := range map[string]struct {
		where string
		of    data.Range
		want  bool
	}{
		"all of them":       {"l >= 3", with(0), true},
		"not all of them":   {"l > 3", with(0), false},
		"a null among them": {"l >= 3", with(1), false},
		"nulls unknown":     {"l >= 3", with(-1), false},
		"not, of a null":    {"not l > 7", with(1), false},
		"not, of none":      {"not l > 7", with(0), true},
		"both":              {"l >= 3 and l < 8", with(0), true},
		"one of two":        {"l > 7 or l < 8", with(0), true},
		"all are null":      {"l is null", with(10), true},
		"some are null":     {"l is null", with(9), false},
		"none is null":      {"l is not null", with(0), true},
		"NaN is no number":  {"d >= 3", with(0), false},
		"no bounds":         {"l >= 3", data.Range{Rows: 10}, false},
	} {
		p, err := data.ParsePredicate(c.where)
		require.NoError(t, err)
		f, err := p.Bind(whereSchema)
		require.NoError(t, err)
		require.Equal(t, c.want, f.Holds(func(string) (data.Range, bool) { return c.of, true }), text)
	}
}
