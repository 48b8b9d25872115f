package features_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
)

var (
	nan = math.NaN()
	inf = math.Inf(1)
)

// null marks a value of a column that is null.
type null struct{}

// column makes a column of values of Go's types, and null; times are micros.
func column(t testing.TB, typ data.Type, values ...any) *data.Column {
	t.Helper()
	c := data.NewColumn(typ, len(values))
	var valid data.Bitmap
	codes := map[string]uint32{}
	for i, v := range values {
		switch v := v.(type) {
		case null:
			if valid == nil {
				valid = data.NewBitmap(len(values))
				for j := range i {
					valid.Set(j)
				}
			}
			continue
		case bool:
			c.Bools[i] = v
		case string:
			code, ok := codes[v]
			if !ok {
				code = uint32(len(codes))
				codes[v] = code
				c.Dict = append(c.Dict, v)
			}
			c.Codes[i] = code
		case float64:
			if typ == data.Float32 {
				c.Float32s[i] = float32(v)
			} else {
				c.Float64s[i] = v
			}
		case int:
			if typ == data.Int32 || typ == data.Date {
				c.Int32s[i] = int32(v)
			} else {
				c.Int64s[i] = int64(v)
			}
		default:
			t.Fatalf("no column of %T", v)
		}
		if valid != nil {
			valid.Set(i)
		}
	}
	c.Valid = valid
	return c
}

// named is a column of a table.
type named struct {
	name string
	*data.Column
}

func batch(t testing.TB, columns ...named) *data.Batch {
	t.Helper()
	var s data.Schema
	var cs []*data.Column
	for _, c := range columns {
		s.Fields = append(s.Fields, data.Field{Name: c.name, Type: c.Type, Nullable: true})
		cs = append(cs, c.Column)
	}
	b, err := data.NewBatch(s, cs)
	require.NoError(t, err)
	return b
}

// floats64 is a column of numbers; NaN is NaN.
func floats64(t testing.TB, name string, values ...any) named {
	t.Helper()
	return named{name, column(t, data.Float64, values...)}
}

func texts(t testing.TB, name string, values ...any) named {
	t.Helper()
	return named{name, column(t, data.String, values...)}
}

// values returns a column as Go values, with null for nulls.
func values(c *data.Column) []any {
	out := make([]any, c.Len())
	for i := range out {
		switch {
		case !c.Valid.Get(i):
			out[i] = null{}
		case c.Type == data.Bool:
			out[i] = c.Bools[i]
		case c.Type == data.String:
			out[i] = c.Dict[c.Codes[i]]
		case c.Type == data.Int32 || c.Type == data.Date:
			out[i] = int(c.Int32s[i])
		case c.Type == data.Int64 || c.Type == data.Timestamp:
			out[i] = int(c.Int64s[i])
		case c.Type == data.Float32:
			out[i] = float64(c.Float32s[i])
		default:
			out[i] = c.Float64s[i]
		}
	}
	return out
}

// fit fits a pipeline on batches, each observed on its own.
func fit(t testing.TB, cfg features.Config, batches ...*data.Batch) *features.Pipeline {
	t.Helper()
	p, err := features.Compile(cfg, batches[0].Schema)
	require.NoError(t, err)
	return fitCompiled(t, p, batches...)
}

func fitCompiled(t testing.TB, p *features.Pipeline, batches ...*data.Batch) *features.Pipeline {
	t.Helper()
	for pass := range p.NumPasses() {
		whole := p.NewState(pass)
		for _, b := range batches {
			s := p.NewState(pass)
			require.NoError(t, s.Observe(b, nil))
			require.NoError(t, whole.Merge(s))
		}
		var err error
		p, err = p.Fit(pass, whole)
		require.NoError(t, err)
	}
	require.True(t, p.Ready())
	return p
}

func step(name, op string, of ...string) features.Step {
	return features.Step{Name: name, Op: op, Of: of}
}

// with sets parameters, given as name, value, name, value.
func with(s features.Step, params ...any) features.Step {
	s.Params = map[string]any{}
	for i := 0; i < len(params); i += 2 {
		s.Params[params[i].(string)] = params[i+1]
	}
	return s
}

// check fits one step on a table, applies it to it, and compares all outputs.
func check(t *testing.T, s features.Step, b *data.Batch, want ...named) {
	t.Helper()
	p := fit(t, features.Config{Steps: []features.Step{s}}, b)
	checkApply(t, p, b, want...)
}

func checkApply(t *testing.T, p *features.Pipeline, b *data.Batch, want ...named) {
	t.Helper()
	got, err := p.Apply(b)
	require.NoError(t, err)
	var names []string
	for _, w := range want {
		names = append(names, w.name)
	}
	require.Equal(t, names, got.Schema.Names())
	for _, w := range want {
		c := got.Column(w.name)
		require.Equal(t, w.Type, c.Type, w.name)
		g := values(c)
		for i, v := range values(w.Column) {
			x, isNumber := v.(float64)
			y, alsoNumber := g[i].(float64)
			if !isNumber || !alsoNumber || math.IsNaN(x) || math.IsInf(x, 0) {
				if isNumber && alsoNumber && math.IsNaN(x) && math.IsNaN(y) {
					continue
				}
				assert.Equal(t, v, g[i], "%s of row %d", w.name, i)
				continue
			}
			assert.InDelta(t, x, y, 1e-15*math.Max(1, math.Abs(x)), "%s of row %d", w.name, i)
		}
	}
}

func TestStandardScale(t *testing.T) {
	t.Parallel()
	// The example of scikit-learn's StandardScaler: mean 0.5, deviation 0.5.
	check(t, step("z", "standard_scale", "x"), batch(t, floats64(t, "x", 0., 0., 1., 1., null{}, nan, inf)),
		floats64(t, "z", -1., -1., 1., 1., null{}, nan, inf))
	check(t, step("z", "standard_scale", "x"), batch(t, named{"x", column(t, data.Int64, 7, 7, 7)}), floats64(t, "z", 0., 0., 0.))
}

func TestLog1p(t *testing.T) {
	t.Parallel()
	check(t, step("l", "log1p", "x"), batch(t, floats64(t, "x", 0., math.E-1, -0.5, -1., -2., null{}, nan, inf, -inf)),
		floats64(t, "l", 0., 1., -math.Ln2, null{}, null{}, null{}, nan, inf, null{}))
}

func TestBin(t *testing.T) {
	t.Parallel()
	s := with(step("b", "bin", "x"), "edges", []any{0, 100, 500, 1000, inf}, "labels", []any{"low", "medium", "high", "very_high"})
	check(t, s, batch(t, floats64(t, "x", -1., 0., 100., 100.5, 500., 1000., 1001., inf, nan, null{}, -inf)),
		texts(t, "b", null{}, "low", "low", "medium", "medium", "high", "very_high", "very_high", null{}, null{}, null{}))
	s = with(step("b", "bin", "x"), "edges", []any{"-.inf", 0.5, 2})
	check(t, s, batch(t, floats64(t, "x", -inf, 0.5, 2., 2.1)), texts(t, "b", "[-inf, 0.5]", "[-inf, 0.5]", "(0.5, 2]", null{}))
}

func TestRatio(t *testing.T) {
	t.Parallel()
	check(t, step("r", "ratio", "a", "b"), batch(t,
		floats64(t, "a", 6., 1., 0., null{}, 1., nan, inf, 1., -3.),
		floats64(t, "b", 3., 0., 0., 2., null{}, 1., 2., inf, 2.)),
		floats64(t, "r", 2., null{}, null{}, null{}, null{}, nan, inf, 0., -1.5))
}

func TestOneHot(t *testing.T) {
	t.Parallel()
	b := batch(t, texts(t, "c", "b", "a", "b", null{}, "rare", "a"))
	s := with(step("c", "one_hot", "c"), "min_count", 2)
	check(t, s, b,
		truths(t, "c_a", false, true, false, false, false, true), truths(t, "c_b", true, false, true, false, false, false),
		truths(t, "c_missing", false, false, false, true, false, false), truths(t, "c_other", false, false, false, false, true, false))

	p := fit(t, features.Config{Steps: []features.Step{s}}, b)
	checkApply(t, p, batch(t, texts(t, "c", "never seen", "a")), truths(t, "c_a", false, true), truths(t, "c_b", false, false),
		truths(t, "c_missing", false, false), truths(t, "c_other", true, false))
}

func TestFrequencyEncode(t *testing.T) {
	t.Parallel()
	b := batch(t, texts(t, "c", "b", "a", "b", null{}, "b"))
	check(t, step("f", "frequency_encode", "c"), b, floats64(t, "f", .75, .25, .75, null{}, .75))
	p := fit(t, features.Config{Steps: []features.Step{step("f", "frequency_encode", "c")}}, b)
	checkApply(t, p, batch(t, texts(t, "c", "z", null{}, "a")), floats64(t, "f", 0., null{}, .25))
}

func TestDatetime(t *testing.T) {
	t.Parallel()
	const tuesday = 1_709_213_696_123_456 // 2024-02-29 13:34:56.123456, a Thursday
	b := batch(t, named{"ts", column(t, data.Timestamp, tuesday, -1, null{})})
	s := with(step("ts", "datetime", "ts"), "parts", []any{"year", "quarter", "month", "day", "day_of_year", "day_of_week", "hour", "minute", "second", "is_weekend"},
		"cyclical", []any{"hour"}, "time_zone", "UTC")
	check(t, s, b,
		ints(t, "ts_year", 2024, 1969, null{}), ints(t, "ts_quarter", 1, 4, null{}), ints(t, "ts_month", 2, 12, null{}), ints(t, "ts_day", 29, 31, null{}),
		ints(t, "ts_day_of_year", 60, 365, null{}), ints(t, "ts_day_of_week", 3, 2, null{}), ints(t, "ts_hour", 13, 23, null{}),
		ints(t, "ts_minute", 34, 59, null{}), ints(t, "ts_second", 56, 59, null{}), named{"ts_is_weekend", column(t, data.Bool, false, false, null{})},
		floats64(t, "ts_hour_sin", math.Sin(2*math.Pi*13/24), math.Sin(2*math.Pi*23/24), null{}),
		floats64(t, "ts_hour_cos", math.Cos(2*math.Pi*13/24), math.Cos(2*math.Pi*23/24), null{}))
}

func TestCompileReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := features.Compile(features.Config{
		Steps: []features.Step{
			step("a", "log1", "amount"), step("b", "log1p", "amont"), with(step("c", "log1p", "amount"), "base", 2),
			step("d", "log1p", "name"), step("e", "ratio", "amount"), step("f", "log1p", "y"), step("g", "log1p", "h"), step("h", "log1p", "amount"),
		},
		Target: "y", Timestamp: "at", Keep: []string{"idd", "at"},
	}, data.Schema{Fields: []data.Field{{Name: "amount", Type: data.Float64}, {Name: "name", Type: data.String}, {Name: "y", Type: data.Int64}}})
	require.Equal(t, fault.Invalid, fault.Of(err))
	for _, want := range []string{
		`feature "a" (log1): there is no operation "log1"; did you mean "log1p"?`,
		`feature "b" (log1p): of: there is no column "amont"; did you mean "amount"?`,
		`feature "c" (log1p): there is no parameter "base"; it has none`,
		`feature "d" (log1p): of: "name" is string, expected a number`,
		`feature "e" (ratio): of has 1 columns, expected 2`,
		`feature "f" (log1p): of: "y" is the target`,
		`feature "g" (log1p): of: feature "h" (log1p) comes later`,
		`keep: there is no column "idd"`,
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.ErrorContains(t, err, `timestamp: there is no column "at"`)
	assert.NotContains(t, err.Error(), `keep: there is no column "at"`, "once is enough")
}
