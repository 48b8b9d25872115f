package data_test

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

var whereSchema = data.Schema{Fields: []data.Field{
	{Name: "b", Type: data.Bool, Nullable: true}, {Name: "i", Type: data.Int32, Nullable: true}, {Name: "l", Type: data.Int64, Nullable: true},
	{Name: "f", Type: data.Float32, Nullable: true}, {Name: "d", Type: data.Float64, Nullable: true}, {Name: "s", Type: data.String, Nullable: true},
	{Name: "t", Type: data.Timestamp, Nullable: true, UTC: true}, {Name: "day", Type: data.Date, Nullable: true},
}}

var (
	someInts   = []int64{math.MinInt64, math.MinInt32, -2, -1, 0, 1, 2, 1 << 24, 1<<24 + 1, math.MaxInt32, 1 << 53, 1<<53 + 1, math.MaxInt64}
	someFloats = []float64{math.Inf(-1), -1e300, -1e30, -1.5, math.Copysign(0, -1), 0, 5e-324, .1, 1, 1.5, 2, 1 << 24, 1<<24 + 1, 1 << 53, 1 << 63, 1e30, 1e300, math.Inf(1)}
	someTexts  = []string{"", "a", "ab", "b", "it's", "é"}
	someTimes  = map[string]int64{"1969-12-31 23:59:59.5": -500_000, "1970-01-01": 0, "1970-01-01T00:00:00.000001Z": 1, "1970-01-02T01:00:00+01:00": 86_400_000_000}
	someDays   = map[string]int64{"1969-12-31": -1, "1970-01-01": 0, "1970-01-02": 1}
)

// drawRows makes a batch with every value that can be trouble.
func drawRows(t *rapid.T) *data.Batch {
	n := rapid.IntRange(0, 150).Draw(t, "rows")
	b := &data.Batch{Schema: whereSchema, NumRows: n}
	few := rapid.IntRange(1, 20).Draw(t, "few")
	for _, f := range whereSchema.Fields {
		c := data.NewColumn(f.Type, n)
		if rapid.Bool().Draw(t, "nulls") {
			c.Valid = data.NewBitmap(n)
		}
		if f.Type == data.String {
			c.Dict = slices.Clone(someTexts)
		}
		first := rapid.IntRange(0, 20).Draw(t, "first")
		for i := range n {
			if c.Valid != nil {
				if rapid.IntRange(0, 3).Draw(t, "null") == 0 {
					continue
				}
				c.Valid.Set(i)
			}
			k := first + rapid.IntRange(0, few-1).Draw(t, "value")
			switch f.Type {
			case data.Bool:
				c.Bools[i] = k%2 == 0
			case data.Int32:
				c.Int32s[i] = int32(someInts[k%len(someInts)])
			case data.Date:
				c.Int32s[i] = int32(k%3 - 1)
			case data.Int64:
				c.Int64s[i] = someInts[k%len(someInts)]
			case data.Timestamp:
				c.Int64s[i] = []int64{-500_001, -500_000, 0, 1, 2, 86_400_000_000}[k%6]
			case data.Float32:
				c.Float32s[i] = float32(append(someFloats, math.NaN())[k%(len(someFloats)+1)])
			case data.Float64:
				c.Float64s[i] = append(someFloats, math.NaN())[k%(len(someFloats)+1)]
			case data.String:
				c.Codes[i] = uint32(k % len(someTexts))
			}
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

func drawLiteral(t *rapid.T, typ data.Type) data.Value {
	switch typ {
	case data.Bool:
		return data.BoolValue(rapid.Bool().Draw(t, "bool"))
	case data.String:
		return data.StringValue(rapid.SampledFrom(append(someTexts, "c")).Draw(t, "text"))
	case data.Timestamp:
		return data.StringValue(rapid.SampledFrom(keys(someTimes)).Draw(t, "time"))
	case data.Date:
		return data.StringValue(rapid.SampledFrom(keys(someDays)).Draw(t, "day"))
	}
	if rapid.Bool().Draw(t, "whole") {
		return data.IntValue(rapid.SampledFrom(someInts).Draw(t, "int"))
	}
	return data.FloatValue(rapid.SampledFrom(someFloats).Draw(t, "float"))
}

func keys(m map[string]int64) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func drawPredicate(t *rapid.T, depth int) *data.Predicate {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	var of []*data.Predicate
	if kind >= 4 {
		for range rapid.IntRange(0, 3).Draw(t, "of") {
			of = append(of, drawPredicate(t, depth-1))
		}
	}
	field := rapid.SampledFrom(whereSchema.Fields).Draw(t, "field")
	switch kind {
	case 0, 1:
		op := rapid.SampledFrom([]data.Op{data.Eq, data.Ne, data.Lt, data.Le, data.Gt, data.Ge}).Draw(t, "op")
		if field.Type == data.Bool && op > data.Ne {
			op = data.Eq
		}
		return data.Compare(field.Name, op, drawLiteral(t, field.Type))
	case 2:
		var vs []data.Value
		for range rapid.IntRange(0, 4).Draw(t, "values") {
			vs = append(vs, drawLiteral(t, field.Type))
		}
		return data.In(field.Name, vs...)
	case 3:
		return data.IsNull(field.Name)
	case 4:
		return data.And(of...)
	case 5:
		return data.Or(of...)
	default:
		return data.Not(drawPredicate(t, depth-1))
	}
}

// truth is one of SQL's three values, evaluated row by row as the standard says.
func truth(p *data.Predicate, b *data.Batch, row int) (value, known bool) {
	switch p.Op {
	case data.OpAnd, data.OpOr:
		value, known = p.Op == data.OpAnd, true
		decisive := p.Op == data.OpOr
		for _, q := range p.Of {
			v, k := truth(q, b, row)
			if k && v == decisive {
				return decisive, true
			}
			known = known && k
		}
		return value, known
	case data.OpNot:
		v, k := truth(p.Of[0], b, row)
		return !v, k
	}
	c := b.Column(p.Column)
	number, text, there := at(c, row)
	if p.Op == data.OpIsNull {
		return !there, true
	}
	if !there {
		return false, false
	}
	for _, v := range p.Values {
		order := 0
		if c.Type == data.String {
			order = strings.Compare(text, v.Text())
		} else {
			order = number.Cmp(literal(c.Type, v))
		}
		switch p.Op {
		case data.Eq, data.OpIn:
			value = value || order == 0
		case data.Ne:
			value = order != 0
		case data.Lt:
			value = order < 0
		case data.Le:
			value = order <= 0
		case data.Gt:
			value = order > 0
		case data.Ge:
			value = order >= 0
		}
	}
	return value, true
}

// at returns a value as an exact number, or as a text.
func at(c *data.Column, row int) (number *big.Float, text string, there bool) {
	if !c.Valid.Get(row) {
		return nil, "", false
	}
	exact := func(v int64) *big.Float { return new(big.Float).SetInt64(v) }
	float := func(v float64) (*big.Float, string, bool) {
		if math.IsNaN(v) {
			return nil, "", false
		}
		return big.NewFloat(v), "", true
	}
	switch c.Type {
	case data.Bool:
		if c.Bools[row] {
			return exact(1), "", true
		}
		return exact(0), "", true
	case data.Int32, data.Date:
		return exact(int64(c.Int32s[row])), "", true
	case data.Int64, data.Timestamp:
		return exact(c.Int64s[row]), "", true
	case data.Float32:
		return float(float64(c.Float32s[row]))
	case data.Float64:
		return float(c.Float64s[row])
	default:
		return nil, c.Dict[c.Codes[row]], true
	}
}

func literal(t data.Type, v data.Value) *big.Float {
	switch {
	case t == data.Bool && v.Bool():
		return big.NewFloat(1)
	case t == data.Bool:
		return big.NewFloat(0)
	case t == data.Timestamp:
		return new(big.Float).SetInt64(someTimes[v.Text()])
	case t == data.Date:
		return new(big.Float).SetInt64(someDays[v.Text()])
	case t == data.Float32 && math.Abs(v.Float()) < math.MaxFloat32:
		return big.NewFloat(float64(float32(v.Float())))
	case t == data.Float64 || v.Kind() == data.FloatLiteral:
		return big.NewFloat(v.Float())
	default:
		return new(big.Float).SetInt64(v.Int())
	}
}

func TestEvalIsWhatSQLSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, p := drawRows(t), drawPredicate(t, 3)
		f, err := p.Bind(whereSchema)
		require.NoError(t, err, p.String())
		got, err := f.Eval(b)
		require.NoError(t, err)
		require.Len(t, got, (b.NumRows+63)/64)
		want := data.NewBitmap(b.NumRows)
		for i := range b.NumRows {
			if v, known := truth(p, b, i); v && known {
				want.Set(i)
			}
		}
		require.Equal(t, want, got, p.String())
	})
}

// valueAt returns a value that is there as a bound has it.
func valueAt(c *data.Column, row int) data.Value {
	number, text, _ := at(c, row)
	switch c.Type {
	case data.Bool:
		return data.BoolValue(c.Bools[row])
	case data.Float32, data.Float64:
		f, _ := number.Float64()
		return data.FloatValue(f + 0) // no -0, which equals 0
	case data.String:
		return data.StringValue(text)
	default:
		n, _ := number.Int64()
		return data.IntValue(n)
	}
}

// A row matches when it matches every condition.
func TestAFilterIsAllOfItsConditions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawRows(t)
		p := data.And(drawPredicate(t, 1), data.And(drawPredicate(t, 2), drawPredicate(t, 0)), data.And())
		f, err := p.Bind(whereSchema)
		require.NoError(t, err)
		want, err := f.Eval(b)
		require.NoError(t, err)
		for _, one := range f.Conditions() {
			require.NotEqual(t, data.OpAnd, one.Predicate().Op)
			rows, err := one.Eval(b)
			require.NoError(t, err)
			b = b.Keep(rows)
		}
		require.Equal(t, onesOf(want), b.NumRows)
	})
}

func onesOf(b data.Bitmap) (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func TestBindReportsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := data.And(
		data.Compare("nowhere", data.Eq, data.IntValue(1)),
		data.Compare("s", data.Lt, data.IntValue(5)),
		data.Compare("b", data.Gt, data.BoolValue(true)),
		data.Compare("l", data.Eq, data.StringValue("5")),
		data.Compare("d", data.Eq, data.FloatValue(math.NaN())),
		data.Compare("t", data.Lt, data.StringValue("yesterday")),
		data.Compare("day", data.Lt, data.StringValue("1970-01-01 10:00")),
	).Bind(whereSchema)
	require.Equal(t, fault.Invalid, fault.Of(err))
	for _, want := range []string{
		`no column "nowhere"; there are b, i, l`, `"s": it holds strings, 5 is none: write '5'`, `"b": truth values have no order`,
		`"l": it holds numbers, '5' is none`, `"d": it holds numbers, NaN`, `"t": "yesterday" is no time: write`, `"day": "1970-01-01 10:00" is no date`,
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = data.ParseTimestamp("2024-01-01T00:00:00Z", false)
	require.ErrorContains(t, err, "offset")
}

func TestPredicatesAsText(t *testing.T) {
	t.Parallel()
	one := data.Compare("a", data.Ge, data.IntValue(1))
	two := data.Compare("b c", data.Ne, data.StringValue("it's"))
	for want, p := range map[string]*data.Predicate{
		`a >= 1`:                      one,
		`a >= 1 and "b c" != 'it''s'`: data.And(one, two),
		`a >= 1 or "b c" != 'it''s' and x is null`: data.Or(one, data.And(two, data.IsNull("x"))),
		`(a >= 1 or x is not null) and a >= 1`:     data.And(data.Or(one, data.Not(data.IsNull("x"))), one),
		`not (a >= 1 and a >= 1)`:                  data.Not(data.And(one, one)),
		`not a >= 1`:                               data.Not(one),
		`a >= 1 and (a >= 1 and a >= 1)`:           data.And(one, data.And(one, one)),
		`x.y in (1.0, 0.1, true)`:                  data.In("x.y", data.FloatValue(1), data.FloatValue(.1), data.BoolValue(true)),
		`"In" = 1e+30`:                             data.Compare("In", data.Eq, data.FloatValue(1e30)),
		`true`:                                     data.And(),
	} {
		require.Equal(t, want, p.String())
	}
	require.Equal(t, []string{"a", "b c"}, data.And(one, two, one).Columns())
}

func TestKeepKeepsRowsAndTheirStrings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawRows(t)
		rows := data.NewBitmap(b.NumRows)
		var kept []int
		for i := range b.NumRows {
			if rapid.Bool().Draw(t, "keep") {
				rows.Set(i)
				kept = append(kept, i)
			}
		}
		got := b.Keep(rows)
		require.Equal(t, len(kept), got.NumRows)
		for k, c := range got.Columns {
			require.Equal(t, len(kept), c.Len())
			used := map[string]bool{}
			for i, from := range kept {
				number, text, there := at(c, i)
				wantNumber, wantText, wantThere := at(b.Columns[k], from)
				require.Equal(t, fmt.Sprint(wantNumber, wantText, wantThere), fmt.Sprint(number, text, there))
				if there {
					used[text] = true
				}
			}
			if c.Type == data.String {
				require.Len(t, c.Dict, len(used))
			}
		}
	})
}
