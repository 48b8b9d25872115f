package run

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/parity"
)

// odd is a table with a column of each type, and in it nulls, NaN, infinities, both
// zeros, categories of one row, times that are equal or missing, and rows of nobody.
func odd(seed uint64, rows int) *data.Batch {
	draw := rng.New(seed, "odd")
	b := &data.Batch{NumRows: rows}
	add := func(name string, t data.Type, nullable bool, set func(c *data.Column, i int)) {
		c := data.NewColumn(t, rows)
		if nullable {
			c.Valid = data.NewBitmap(rows)
		}
		for i := range rows {
			if nullable && draw.IntN(8) == 0 {
				continue
			}
			if nullable {
				c.Valid.Set(i)
			}
			set(c, i)
		}
		b.Schema.Fields = append(b.Schema.Fields, data.Field{Name: name, Type: t, Nullable: nullable})
		b.Columns = append(b.Columns, c)
	}
	text := func(names func() string) func(c *data.Column, i int) {
		known := map[string]uint32{}
		return func(c *data.Column, i int) {
			s := names()
			if _, ok := known[s]; !ok {
				known[s] = uint32(len(c.Dict))
				c.Dict = append(c.Dict, s)
			}
			c.Codes[i] = known[s]
		}
	}
	add("truth", data.Bool, true, func(c *data.Column, i int) { c.Bools[i] = draw.IntN(2) == 0 })
	add("small", data.Int32, true, func(c *data.Column, i int) { c.Int32s[i] = int32(draw.IntN(9)) - 4 })
	add("big", data.Int64, true, func(c *data.Column, i int) { c.Int64s[i] = int64(draw.IntN(40)) << (draw.IntN(2) * 40) })
	add("short", data.Float32, true, func(c *data.Column, i int) { c.Float32s[i] = float32(oddNumber(draw)) })
	add("x", data.Float64, true, func(c *data.Column, i int) { c.Float64s[i] = oddNumber(draw) })
	add("y", data.Float64, true, func(c *data.Column, i int) { c.Float64s[i] = oddNumber(draw) })
	add("sure", data.Float64, false, func(c *data.Column, i int) { c.Float64s[i] = oddNumber(draw) })
	add("city", data.String, true, text(func() string {
		if draw.IntN(6) == 0 {
			return fmt.Sprint("once ", draw.IntN(100_000))
		}
		return [...]string{"a", "b", "é", "", "null"}[draw.IntN(5)]
	}))
	add("user", data.String, true, text(func() string { return fmt.Sprint("user ", min(draw.IntN(40), draw.IntN(40))) }))
	add("ts", data.Timestamp, true, func(c *data.Column, i int) { c.Int64s[i] = 1_700_000_000e6 + int64(draw.IntN(300))*1800e6 })
	add("day", data.Date, true, func(c *data.Column, i int) { c.Int32s[i] = int32(draw.IntN(800)) - 100 })
	add("label", data.Int64, false, func(c *data.Column, i int) { c.Int64s[i] = int64(draw.IntN(2)) })
	return b
}

func oddNumber(draw *rand.Rand) float64 {
	switch draw.IntN(12) {
	case 0:
		return [...]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, 5e-324, -1, 1e300}[draw.IntN(8)]
	default:
		return draw.NormFloat64() * 3
	}
}

// oddTable writes it as files of several row groups.
func oddTable(t *testing.T, dir string, seed uint64, files, groups, rows int) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for f := range files {
		var out []*data.Batch
		for g := range groups {
			out = append(out, odd(seed*100+uint64(f*groups+g), rows))
		}
		writeTable(t, filepath.Join(dir, fmt.Sprintf("part-%02d.parquet", f)), out)
	}
}

// oddSteps use every operation, windows over features and features of windows
// among them.
var oddSteps = []string{
	"op: standard_scale, of: x", "op: min_max_scale, of: y, range: [-1, 3], clip: true", "op: robust_scale, of: small", "op: log1p, of: short",
	"op: clip, of: x, min: -1, max: 2.5", "op: ratio, of: [x, y]", "op: ratio, of: [big, small]", "op: interact, of: [x, truth, sure]",
	"op: bin, of: x, edges: [-.inf, 0, 1, .inf], labels: [low, mid, high]", "op: quantile_bin, of: big, bins: 7",
	"op: one_hot, of: city, min_count: 2, max_categories: 4", "op: ordinal_encode, of: city", "op: frequency_encode, of: short",
	"op: target_encode, of: city", "op: target_encode, of: small, smoothing: 2.5, folds: 3, fold_by: time", "op: hash_encode, of: [city, big, day], buckets: 97",
	"op: impute, of: x, indicator: true", "op: impute, of: city, strategy: mode", "op: datetime, of: ts, parts: [hour, day_of_week], cyclical: [month]",
	`op: expr, expr: "if(x > y and city in ('a', 'é'), log(x), small)"`, `op: expr, expr: "lower(city) + '/' + string(truth)"`, `op: expr, expr: "sin(x) * cos(y) + x ** 3"`,
	"op: lag, of: city, n: 2", "op: diff, of: big", "op: rolling_mean, of: x, window: 3", "op: rolling_sum, of: small, window: 2h, include_current: true",
	"op: rolling_min, of: short, window: 4", "op: rolling_max, of: x, window: 1d", "op: rolling_std, of: sure, window: 5, min_periods: 3", "op: rolling_count, of: city, window: 12h",
	"op: rolling_first, of: city, window: 1d", "op: rolling_last, of: short, window: 6", "op: rolling_count_distinct, of: city, window: 5, include_current: true",
}

func oddFeatures() string {
	var lines []string
	for i, s := range oddSteps {
		lines = append(lines, fmt.Sprintf("  - {name: f%d, %s}", i, s))
	}
	return strings.Join(append(lines,
		"  - {name: scaled_mean, op: standard_scale, of: f24}", "  - {name: last_scaled, op: lag, of: f0}", "  - {name: last_of_last, op: lag, of: scaled_mean}",
	), "\n") + "\n"
}

const oddJob = "kind: features\nname: odd\ninput: in\noutput: out\ntarget: label\nentity: user\ntimestamp: ts\nkeep: [user, label]\nfeatures:\n"

// parityOf compares the features of a spec.
func (w *workbench) parityOf(text string, o ParityOptions) (*ParityReport, error) {
	w.t.Helper()
	o.Scratch = filepath.Join(w.t.TempDir(), "out")
	return w.env.Parity(w.t.Context(), w.parse(text), o)
}

// requireParity compares the features of a spec, which must be equal.
func (w *workbench) requireParity(text string, o ParityOptions) *ParityReport {
	w.t.Helper()
	r, err := w.parityOf(text, o)
	require.NoError(w.t, err)
	for _, f := range r.Features {
		require.Zero(w.t, f.Different, "%s (%s): %+v", f.Name, f.Op, f.First)
		require.Equal(w.t, r.Rows, f.Rows, f.Name)
	}
	require.True(w.t, r.Equal)
	return r
}

// Every operation, fitted on all rows or on the training rows alone, gives a row
// the bits that its batch gives it.
func TestEveryFeatureOfARowAloneIsThatOfItsBatch(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	oddTable(t, filepath.Join(folder, "in"), 1, 3, 3, 300)
	for _, c := range []struct{ name, spec string }{
		{"features", oddJob + oddFeatures()},
		{"train", "kind: train\nname: odd\ninput: in\ntarget: label\ntask: binary\nentity: user\ntimestamp: ts\nsplit: {by: random, validation: 0.2, test: 0.4}\nmodel: {type: mlp}\nfeatures:\n" + oddFeatures()},
		{"where", strings.Replace(oddJob, "target:", "where: small > 0\ntarget:", 1) + oddFeatures()},
		{"shared", strings.Replace(oddJob, "entity: user", "entity: [truth, small]", 1) + oddFeatures()},
		{"nobody's", strings.Replace(oddJob, "entity: user\n", "", 1) + oddFeatures()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := bench(t, folder)
			w.env.runBytes = 5000
			r := w.requireParity(c.spec, ParityOptions{})
			if c.name != "where" {
				require.EqualValues(t, 2700, r.Rows)
			}
			require.Equal(t, r.InputRows, r.Rows)
			var ops []string
			for _, f := range r.Features {
				require.NotEmpty(t, f.Columns)
				ops = append(ops, f.Op)
			}
			for _, op := range features.Operations() {
				require.Contains(t, ops, op, "give %s a step", op)
			}
			require.Len(t, r.Notes, 2)
			require.Contains(t, r.Notes[0], "differ by design")
			require.NoFileExists(t, filepath.Join(folder, "out"))
		})
	}
}

// A model over all of it, on rows it has not seen, with categories it does not know.
func TestPredictionsOfARowAloneAreThoseOfItsBatch(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	oddTable(t, filepath.Join(folder, "in"), 1, 1, 2, 400)
	oddTable(t, filepath.Join(folder, "later"), 2, 2, 2, 300)
	w := bench(t, folder)
	train := w.succeed("kind: train\nname: odd\ninput: in\ntarget: label\ntask: binary\nentity: user\ntimestamp: ts\nsplit: {by: random, validation: 0.2, test: 0.2}\n" +
		"model: {type: mlp, hidden: [8]}\nepochs: 1\nbatch_size: 64\nfeatures:\n" + oddFeatures())
	r := w.requireParity("kind: predict\nname: p\nmodel: "+train.ModelURI+"\ninput: later\noutput: o\n", ParityOptions{})
	require.EqualValues(t, 1200, r.Rows)
	require.Equal(t, train.ModelURI, r.Model)
	require.Len(t, r.Notes, 1)
	require.Regexp(t, "^[1-9][0-9]{1,2} rows hold NaN", r.Notes[0])
	last := r.Features[len(r.Features)-1]
	require.Equal(t, []string{"prediction", "probability", "probability_0", "probability_1"}, last.Columns)

	raw := w.succeed("kind: train\nname: raw\ninput: in\ntarget: label\ntask: binary\ncolumns: {include: [small, city, truth]}\nmodel: {type: mlp, hidden: [4]}\nepochs: 1\nbatch_size: 64\n")
	r = w.requireParity("kind: predict\nname: p\nmodel: "+raw.ModelURI+"\ninput: later\noutput: o\n", ParityOptions{})
	require.Len(t, r.Features, 1)
	require.Contains(t, r.Notes[0], "no features of its own")
}

// A sample is the same however the rows are cut and read.
func TestASampleOfEntitiesIsCompared(t *testing.T) {
	t.Parallel()
	rows := visits(3000)
	var all []ParityReport
	for i, cut := range [][2]int{{3000, 3000}, {700, 90}} {
		folder := t.TempDir()
		writeVisits(t, filepath.Join(folder, "in"), rows, cut[0], cut[1])
		w := bench(t, folder)
		w.env.Threads = 1 + 2*i
		r := w.requireParity(windowSpec, ParityOptions{Rows: 500})
		require.EqualValues(t, 500, r.Rows)
		require.EqualValues(t, 3000, r.InputRows)
		r.Input = ""
		all = append(all, *r)
	}
	require.Equal(t, all[0], all[1])
}

func TestTheAirOfBeijingOneHourAtATime(t *testing.T) {
	t.Parallel()
	dir := sharedData(t)
	w := bench(t, t.TempDir())
	r := w.requireParity(fmt.Sprintf(`
kind: features
name: air
input: %q
output: out
entity: station
timestamp: ts
features:
  - {name: lag, op: lag, of: pm25, n: 24}
  - {name: mean, op: rolling_mean, of: pm25, window: 6h, include_current: true}
  - {name: std, op: rolling_std, of: temp, window: 1d}
  - {name: max, op: rolling_max, of: pm25, window: 1w}
  - {name: scaled, op: standard_scale, of: mean}
  - {name: change, op: diff, of: scaled}
  - {name: where, op: one_hot, of: station}
`, filepath.Join(dir, "beijing/hourly.parquet")), ParityOptions{Rows: 50_000})
	require.EqualValues(t, 50_000, r.Rows)
	require.EqualValues(t, 2, r.Entities)
}

// What differs is told, with the place of the first row.
func TestADifferenceIsLocated(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	oddTable(t, filepath.Join(folder, "in"), 1, 3, 2, 50)
	w := bench(t, folder)
	d, err := openDataset(t.Context(), nil, filepath.Join(folder, "in"), nil)
	require.NoError(t, err)
	c := &comparing{work: &work{Env: w.env, ctx: t.Context()}, data: d}
	var tallies []*parity.Tally
	for _, n := range []int64{299, 100, 0, 99} {
		tallies = append(tallies, &parity.Tally{First: &parity.Difference{Number: n}})
	}
	require.NoError(t, c.locate(tallies))
	var got []string
	for _, f := range tallies {
		got = append(got, fmt.Sprint(filepath.Base(f.First.File), " ", f.First.Row))
	}
	require.Equal(t, []string{"part-02.parquet 99", "part-01.parquet 0", "part-00.parquet 0", "part-00.parquet 99"}, got)
}

func TestWhatCannotBeComparedIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	oddTable(t, filepath.Join(folder, "in"), 1, 1, 1, 50)
	w := bench(t, folder)
	for _, c := range []struct {
		spec, says string
		rows       int
	}{
		{spec: driftSpec, says: "computes no features"},
		{spec: "kind: train\nname: t\ninput: in\ntarget: label\ntask: binary\nmodel: {type: mlp}\n", says: "computes no features"},
		{spec: oddJob + "  - {name: a, op: log1p, of: none}\n", says: `no column "none"`},
		{spec: strings.Replace(oddJob, "target:", "where: small > 100\ntarget:", 1) + "  - {name: a, op: log1p, of: x}\n", says: "the input has no rows"},
		{spec: oddJob + "  - {name: a, op: log1p, of: x}\n", rows: -1, says: "expected at least 1"},
	} {
		_, err := w.parityOf(c.spec, ParityOptions{Rows: c.rows})
		require.ErrorContains(t, err, c.says)
	}
	w.env.Memory = 64 << 10
	_, err := w.parityOf(oddJob+"  - {name: a, op: log1p, of: x}\n", ParityOptions{})
	require.Error(t, err)
}
