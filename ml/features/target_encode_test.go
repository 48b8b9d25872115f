package features_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/features"
)

// numbered are all rows of a batch that is a whole table.
func numbered(b *data.Batch) features.Rows {
	rows := features.Rows{Numbers: make([]int64, b.NumRows)}
	for i := range rows.Numbers {
		rows.Numbers[i] = int64(i)
	}
	return rows
}

// fitTable fits a pipeline on the rows of a table.
func fitTable(t require.TestingT, cfg features.Config, b *data.Batch, rows features.Rows) *features.Pipeline {
	p, err := features.Compile(cfg, b.Schema)
	require.NoError(t, err)
	for pass := range p.NumPasses() {
		s := p.NewState(pass)
		require.NoError(t, s.ObserveRows(b, rows))
		p, err = p.Fit(pass, s)
		require.NoError(t, err)
	}
	return p
}

func encodeBy(params ...any) features.Config {
	return features.Config{Steps: []features.Step{with(step("enc", "target_encode", "c"), params...)}, Target: "y", Seed: 7}
}

// inTime gives a config an entity g and a timestamp t.
func inTime(cfg features.Config) features.Config {
	cfg.Entity, cfg.Timestamp = features.Entity{"g"}, "t"
	return cfg
}

// The table of docs/features/target_encode.md is computed again, cell by cell.
func TestTheExampleOfTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/features/target_encode.md")
	require.NoError(t, err)
	_, example, found := strings.Cut(string(page), "<!-- example -->\n")
	require.True(t, found)
	var times, kinds, bought, learning, later []any
	for i, line := range strings.Split(example, "\n") {
		if i < 2 {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 5 {
			break
		}
		at, err := strconv.Atoi(cells[0])
		require.NoError(t, err)
		var kind any = cells[1]
		if kind == "null" {
			kind = null{}
		}
		times, kinds, bought = append(times, at), append(kinds, kind), append(bought, cells[2] == "1")
		learning, later = append(learning, cells[3]), append(later, cells[4])
	}
	b := batch(t, texts(t, "c", kinds...), named{"y", column(t, data.Bool, bought...)}, named{"t", column(t, data.Timestamp, times...)})
	cfg := encodeBy("smoothing", 2, "fold_by", "time", "folds", 2)
	cfg.Timestamp = "t"
	p := fitTable(t, cfg, b, features.Rows{})
	full, err := p.Apply(b)
	require.NoError(t, err)
	outOfFold, err := p.ApplyOutOfFold(b, features.Rows{})
	require.NoError(t, err)
	written := func(list []any) []any {
		for i, v := range list {
			if list[i] = any("null"); v != (null{}) {
				list[i] = fmt.Sprintf("%.4f", v)
			}
		}
		return list
	}
	require.Len(t, times, 6)
	require.Equal(t, learning, written(values(outOfFold.Column("enc"))))
	require.Equal(t, later, written(values(full.Column("enc"))))
	unseen, err := p.Apply(batch(t, texts(t, "c", "books")))
	require.NoError(t, err)
	require.Equal(t, []any{0.5}, values(unseen.Column("enc")))
}

// auc is the area under the curve of scores, ties counting half.
func auc(scores []float64, truth []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return map[bool]int{true: -1, false: 1}[scores[a] < scores[b]] })
	var area, negatives, positives float64
	for i := 0; i < len(order); {
		end, n, p := i, 0., 0.
		for ; end < len(order) && scores[order[end]] == scores[order[i]]; end++ {
			if truth[order[end]] {
				p++
			} else {
				n++
			}
		}
		area += p*negatives + p*n/2
		negatives, positives, i = negatives+n, positives+p, end
	}
	return area / (negatives * positives)
}

// A column of noise tells nothing of the target, unless rows see their own.
func TestNoiseDoesNotLeakTheTarget(t *testing.T) {
	t.Parallel()
	const rows, levels = 20_000, 5_000
	r := rng.New(3, "leak")
	noise, y := data.NewColumn(data.Int64, rows), data.NewColumn(data.Bool, rows)
	for i := range rows {
		noise.Int64s[i], y.Bools[i] = int64(r.IntN(levels)), r.IntN(2) == 0
	}
	b := batch(t, named{"c", noise}, named{"y", y})
	cfg := encodeBy()
	p := fitTable(t, cfg, b, numbered(b))
	honest, err := p.ApplyOutOfFold(b, numbered(b))
	require.NoError(t, err)
	naive, err := p.Apply(b)
	require.NoError(t, err)
	assert.InDelta(t, 0.5, auc(honest.Columns[0].Float64s, y.Bools), 0.02)
	assert.Greater(t, auc(naive.Columns[0].Float64s, y.Bools), 0.7)
}

func TestATextOfTwoClassesIsTheShareOfTheLast(t *testing.T) {
	t.Parallel()
	c := texts(t, "c", "a", "a", "a", "b")
	b := batch(t, c, texts(t, "y", "yes", "no", "yes", "no"))
	cfg := encodeBy("smoothing", 0)
	checkApply(t, fitTable(t, cfg, b, numbered(b)), batch(t, texts(t, "c", "a", "b", "z")), floats64(t, "enc", 2./3, 0., 0.5))
	for want, y := range map[string]named{
		`the target "y" has more than two classes`:                   texts(t, "y", "yes", "no", "maybe", "no"),
		`the target "y" is "no" in all rows to learn from`:           texts(t, "y", "no", "no", null{}, "no"),
		`none of the rows to learn from has a target; check the col`: texts(t, "y", null{}, null{}, null{}, null{}),
		`the target "y" is beyond 2^71`:                              floats64(t, "y", 1., 2., 0x1p71, 4.),
	} {
		b := batch(t, c, y)
		p, err := features.Compile(cfg, b.Schema)
		require.NoError(t, err)
		s := p.NewState(0)
		require.NoError(t, s.ObserveRows(b, numbered(b)))
		_, err = p.Fit(0, s)
		require.Equal(t, fault.Invalid, fault.Of(err))
		require.ErrorContains(t, err, want)
	}
}

func TestBadEncodingsAreRefused(t *testing.T) {
	t.Parallel()
	schema := batch(t, texts(t, "c", "a"), floats64(t, "y", 1.), texts(t, "g", "a"), named{"t", column(t, data.Timestamp, 1)}, floats64(t, "x", 1.)).Schema
	noTarget := encodeBy()
	noTarget.Target = ""
	timely := encodeBy()
	timely.Target = "t"
	for want, cfg := range map[string]features.Config{
		`feature "enc" (target_encode): there is no target to learn from; name the column`:  noTarget,
		`the target "t" is timestamp, expected a number, a truth, or a text of two classes`: timely,
		`fold_column: missing: fold_by: group needs a column; name it, or the entity`:       encodeBy("fold_by", "group"),
		`fold_column: missing: fold_by: time needs a column; name it, or the timestamp`:     encodeBy("fold_by", "time"),
		`folds: expected a whole number of at least 2, found 1`:                             encodeBy("folds", 1),
		`folds: expected at most 1000, found 1001`:                                          encodeBy("folds", 1001),
		`smoothing: expected auto, or a number of rows of 0 or more, found -1`:              encodeBy("smoothing", -1),
		`smoothing: expected auto, or a number of rows of 0 or more, found much`:            encodeBy("smoothing", "much"),
		`fold_by: there is no hash; known are random, group, time`:                          encodeBy("fold_by", "hash"),
		`fold_column: is only read with fold_by: group or time`:                             encodeBy("fold_column", "g"),
		`fold_column: there is no column "gg"`:                                              encodeBy("fold_by", "group", "fold_column", "gg"),
		`fold_column: "y" is the target`:                                                    encodeBy("fold_by", "group", "fold_column", "y"),
		`fold_column: "x" is float64, expected a timestamp, a date or a whole number`:       encodeBy("fold_by", "time", "fold_column", "x"),
		`there is no parameter "smooth"; did you mean "smoothing"?`:                         encodeBy("smooth", 1),
		`of: "y" is the target, which no feature of this kind may read`:                     {Target: "y", Steps: []features.Step{step("e", "target_encode", "y")}},
		`target: there is no column "yy"; known are c, y, g, t, x`:                          {Target: "yy", Steps: []features.Step{step("e", "target_encode", "c")}},
	} {
		_, err := features.Compile(cfg, schema)
		require.Equal(t, fault.Invalid, fault.Of(err), want)
		assert.ErrorContains(t, err, want)
	}
}

func TestWhatAnEncodingReads(t *testing.T) {
	t.Parallel()
	b := batch(t, texts(t, "c", "a", "b"), floats64(t, "y", 1., 2.), texts(t, "g", "a", "b"), named{"t", column(t, data.Timestamp, 1, 2)})
	cfg := inTime(encodeBy("fold_by", "time"))
	cfg.Steps = append(cfg.Steps, step("scaled", "standard_scale", "enc"))
	p := fitTable(t, cfg, b, numbered(b))
	assert.Equal(t, 3, p.NumPasses())
	assert.False(t, p.NeedsNumbers())
	assert.Equal(t, []string{"c"}, p.Inputs())
	assert.Equal(t, []string{"c", "t"}, p.OutOfFoldInputs())
	assert.Equal(t, []string{"c", "y", "t"}, p.ObserveInputs(1))
	got, err := p.ApplyOutOfFold(b, features.Rows{})
	require.NoError(t, err)
	assert.Equal(t, []any{null{}, 1.}, values(got.Column("enc")), "the first of all has nothing to learn from")
	_, err = p.WithoutFolds().ApplyOutOfFold(b, features.Rows{})
	require.ErrorContains(t, err, "one for rows that it has not learned from")
	_, err = p.ApplyOutOfFold(batch(t, texts(t, "c", "a")), features.Rows{})
	require.ErrorContains(t, err, `there is no column "t", by which feature "enc" (target_encode) deals rows out to folds`)
	same := batch(t, texts(t, "c", "a"), floats64(t, "y", 1.), texts(t, "g", "a"), named{"t", column(t, data.Timestamp, 1)})
	p, err = features.Compile(cfg, same.Schema)
	require.NoError(t, err)
	s := p.NewState(0)
	require.NoError(t, s.Observe(same, nil))
	_, err = p.Fit(0, s)
	require.ErrorContains(t, err, `have the same time in "t"`)

	p, err = features.Compile(encodeBy(), b.Schema)
	require.NoError(t, err)
	assert.True(t, p.NeedsNumbers())
	require.ErrorContains(t, p.NewState(0).Observe(b, nil), "the rows have no numbers")
	require.ErrorContains(t, p.NewState(0).ObserveRows(batch(t, texts(t, "c", "a")), features.Rows{Numbers: []int64{0}}), `there is no column "y", which feature "enc" (target_encode) learns from`)
}

// The golden form of an encoding: a change here is a change of format.
func TestAnEncodingAsJSON(t *testing.T) {
	t.Parallel()
	b := batch(t, texts(t, "c", "b", "a", "b", null{}), floats64(t, "y", 1., 0., 0., 1.), named{"t", column(t, data.Timestamp, 1, 1, 2, 2)}, texts(t, "g", "", "", "", ""))
	p := fitTable(t, inTime(encodeBy("fold_by", "time", "folds", 2, "smoothing", 0)), b, features.Rows{})
	var doc struct{ Learned []json.RawMessage }
	for final, want := range map[*features.Pipeline]string{
		p: `{"begins": [2], "prior": 0.5, "categories": {"a": 0, "b": 0.5}, "null": 1,
			"folds": [{}, {"prior": 0.5, "null": 0.5, "values": [0, 1]}]}`,
		p.WithoutFolds(): `{"begins": [2], "prior": 0.5, "categories": {"a": 0, "b": 0.5}, "null": 1}`,
	} {
		text, err := json.Marshal(final)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &doc))
		assert.JSONEq(t, want, string(doc.Learned[0]))
		for _, broken := range []string{`{"begins":[2]}`, `{"begins":[2],"prior":0.5,"categories":{"a":0},"folds":[{}]}`, `{"prior":1}`,
			`{"begins":[2],"prior":0.5,"categories":{"a":0},"folds":[{},{"prior":1,"values":[]}]}`, `null`} {
			var whole map[string]any
			require.NoError(t, json.Unmarshal(text, &whole))
			whole["learned"] = []any{json.RawMessage(broken)}
			again, err := json.Marshal(whole)
			require.NoError(t, err)
			_, err = features.Load(again)
			assert.Equal(t, fault.Corrupt, fault.Of(err), broken)
		}
	}
}

func TestTooManyCategoriesAreAnError(t *testing.T) {
	t.Parallel()
	const rows = 1<<20 + 1
	c, y := data.NewColumn(data.Int64, rows), data.NewColumn(data.Bool, rows)
	for i := range rows {
		c.Int64s[i] = int64(i) * 7
	}
	b := batch(t, named{"c", c}, named{"y", y})
	cfg := encodeBy("folds", 2)
	p, err := features.Compile(cfg, b.Schema)
	require.NoError(t, err)
	s := p.NewState(0)
	require.NoError(t, s.ObserveRows(b, numbered(b)))
	_, err = p.Fit(0, s)
	require.ErrorContains(t, err, "more distinct values than can be told apart: 1048576 with these folds")
}

// What a job asks memory for is told before rows are seen, and after.
func TestEncodingsTellHowMuchTheyKeep(t *testing.T) {
	t.Parallel()
	truth := named{"y", column(t, data.Bool, true, false, true)}
	number := floats64(t, "y", 1., 0., 7.)
	for _, c := range []struct {
		target    named
		smoothing any
		cell      int64
	}{{truth, "auto", 16}, {number, 3, 40}, {number, "auto", 88}} {
		b := batch(t, texts(t, "c", "food", "toys", "food"), c.target)
		cfg := encodeBy("folds", 4, "smoothing", c.smoothing)
		p, err := features.Compile(cfg, b.Schema)
		require.NoError(t, err)
		each := 100 + 2*4*c.cell
		require.Equal(t, []features.CountedInput{{Columns: []string{"c"}, Each: each}}, p.CountedInputs(0))
		s := p.NewState(0)
		require.NoError(t, s.ObserveRows(b, numbered(b)))
		require.Equal(t, []features.Counted{{Column: "c", Values: 3, Bytes: 8, Each: each}}, s.Counted(), "nulls are one, too")
	}
}
