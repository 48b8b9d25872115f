package features_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/featurestest"
)

// drawEncodable is a table of categories c, a target y, groups g and times t.
func drawEncodable(t *rapid.T) *data.Batch {
	label := data.Field{Name: "y", Type: rapid.SampledFrom([]data.Type{data.Bool, data.Int32, data.Float64}).Draw(t, "type"), Nullable: true}
	category := data.Field{Name: "c", Type: rapid.SampledFrom([]data.Type{data.String, data.Int32, data.Bool}).Draw(t, "of"), Nullable: true}
	b := featurestest.Tables(data.Schema{Fields: []data.Field{
		category, label, {Name: "g", Type: data.String, Nullable: true}, {Name: "t", Type: data.Int32, Nullable: true},
	}}, 40).Draw(t, "table")
	for i, v := range b.Column("y").Float64s { // of the sizes that sums of float64 bear
		b.Column("y").Float64s[i] = math.Mod(v, 1000)
	}
	return b
}

func drawEncoding(t *rapid.T) features.Config {
	return inTime(encodeBy("folds", rapid.IntRange(2, 5).Draw(t, "folds"), "fold_by", rapid.SampledFrom([]any{"random", "group", "time"}).Draw(t, "by"),
		"smoothing", rapid.SampledFrom([]any{"auto", 0, 2.5}).Draw(t, "smoothing")))
}

// tryFit fits a pipeline, or returns nil where nothing can be learned.
func tryFit(t *rapid.T, cfg features.Config, b *data.Batch, rows features.Rows) *features.Pipeline {
	p, err := features.Compile(cfg, b.Schema)
	require.NoError(t, err)
	for pass := range p.NumPasses() {
		s := p.NewState(pass)
		require.NoError(t, s.ObserveRows(b, rows))
		if p, err = p.Fit(pass, s); err != nil {
			require.Equal(t, fault.Invalid, fault.Of(err))
			return nil
		}
	}
	return p
}

// dumb is the encoding of one category among some rows, in two passes over them;
// NaN where there are no rows.
func dumb(all, mine []float64, smoothing any) float64 {
	mean := func(v []float64) (m float64) {
		for _, x := range v {
			m += x
		}
		return m / float64(len(v))
	}
	variance := func(v []float64) (s float64) {
		m := mean(v)
		for _, x := range v {
			s += (x - m) * (x - m)
		}
		return s / float64(len(v))
	}
	if len(all) == 0 {
		return math.NaN()
	}
	n, prior := float64(len(mine)), mean(all)
	if len(mine) == 0 {
		return prior
	}
	if m, ok := smoothing.(float64); ok {
		return (n*mean(mine) + m*prior) / (n + m)
	}
	if m, ok := smoothing.(int); ok {
		return (n*mean(mine) + float64(m)*prior) / (n + float64(m))
	}
	if variance(all) == 0 {
		return prior
	}
	weight := n / (n + variance(mine)/variance(all))
	return weight*mean(mine) + (1-weight)*prior
}

// folds deals the rows of a table out as the documentation says.
func folds(t *rapid.T, cfg features.Config, b *data.Batch, learned []bool) []int {
	params := cfg.Steps[0].Params
	n, out := params["folds"].(int), make([]uint16, b.NumRows)
	switch params["fold_by"] {
	case "random":
		split.FoldsByRow(cfg.Seed, n, numbered(b).Numbers, out)
	case "group":
		require.NoError(t, split.FoldsByValue(cfg.Seed, n, b.Column("g"), out))
	default:
		var times split.Times
		c := b.Column("t")
		for i := range learned {
			if learned[i] && c.Valid.Get(i) {
				require.NoError(t, times.Observe(&data.Column{Type: data.Int32, Int32s: c.Int32s[i : i+1]}))
			}
		}
		require.NoError(t, split.FoldsByTime(c, times.Begins(n), 1000, out))
	}
	ints := make([]int, len(out))
	for i, f := range out {
		ints[i] = int(f)
	}
	return ints
}

// targetsOf returns the targets of a table, and which rows are learned from.
func targetsOf(b *data.Batch, mask data.Bitmap) (targets []float64, learned []bool) {
	targets, learned = make([]float64, b.NumRows), make([]bool, b.NumRows)
	y := b.Column("y")
	for i := range targets {
		switch v := values(y)[i].(type) {
		case bool:
			targets[i] = map[bool]float64{true: 1}[v]
		case int:
			targets[i] = float64(v)
		case float64:
			targets[i] = v
		}
		learned[i] = y.Valid.Get(i) && mask.Get(i) && !math.IsNaN(targets[i])
	}
	return targets, learned
}

func TestEncodingsAreThoseOfTheRowsOfOtherFolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, cfg := drawEncodable(t), drawEncoding(t)
		rows := numbered(b)
		rows.Mask = data.NewBitmap(b.NumRows)
		for i := range b.NumRows {
			if rapid.IntRange(0, 4).Draw(t, "held out") > 0 {
				rows.Mask.Set(i)
			}
		}
		p := tryFit(t, cfg, b, rows)
		if p == nil {
			return
		}
		targets, learned := targetsOf(b, rows.Mask)
		categories := featurestest.Texts(&data.Batch{Schema: data.Schema{Fields: b.Schema.Fields[:1]}, Columns: b.Columns[:1], NumRows: b.NumRows})
		fold := folds(t, cfg, b, learned)
		want := func(row int, counts func(other int) bool) float64 {
			var all, mine []float64
			for i := range targets {
				if learned[i] && counts(i) {
					all = append(all, targets[i])
					if categories[i] == categories[row] {
						mine = append(mine, targets[i])
					}
				}
			}
			return dumb(all, mine, cfg.Steps[0].Params["smoothing"])
		}
		full, err := p.Apply(b)
		require.NoError(t, err)
		outOfFold, err := p.ApplyOutOfFold(b, rows)
		require.NoError(t, err)
		for i := range b.NumRows {
			expected := want(i, func(int) bool { return true })
			require.InDelta(t, expected, full.Columns[0].Float64s[i], 1e-6*(1+math.Abs(expected)), "row %d", i)
			if rows.Mask.Get(i) {
				expected = want(i, func(other int) bool {
					if cfg.Steps[0].Params["fold_by"] == "time" {
						return fold[other] < fold[i] && fold[i] < 1000
					}
					return fold[other] != fold[i]
				})
			}
			if math.IsNaN(expected) {
				require.False(t, outOfFold.Columns[0].Valid.Get(i), "row %d: there is nothing to learn from", i)
			} else {
				require.True(t, outOfFold.Columns[0].Valid.Get(i), "row %d", i)
				require.InDelta(t, expected, outOfFold.Columns[0].Float64s[i], 1e-6*(1+math.Abs(expected)), "row %d out of fold", i)
			}
		}
	})
}

// Whatever a row's own target is, what the row becomes is the same to the bit.
func TestNoRowSeesItsOwnTarget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, cfg := drawEncodable(t), drawEncoding(t)
		p := tryFit(t, cfg, b, numbered(b))
		row := rapid.IntRange(0, b.NumRows-1).Draw(t, "row")
		y := b.Column("y")
		if p == nil || !y.Valid.Get(row) || len(y.Float64s) > 0 && math.IsNaN(y.Float64s[row]) {
			return
		}
		before, err := p.ApplyOutOfFold(b, numbered(b))
		require.NoError(t, err)
		switch y.Type {
		case data.Bool:
			y.Bools[row] = !y.Bools[row]
		case data.Int32:
			y.Int32s[row] = rapid.Int32().Draw(t, "another target")
		default:
			y.Float64s[row] = rapid.Float64Range(-1e6, 1e6).Draw(t, "another target")
		}
		after, err := tryFit(t, cfg, b, numbered(b)).ApplyOutOfFold(b, numbered(b))
		require.NoError(t, err)
		require.Equal(t, featurestest.Texts(before)[row], featurestest.Texts(after)[row])
	})
}

func TestRowsAreEncodedAlikeInParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, cfg := drawEncodable(t), drawEncoding(t)
		p := tryFit(t, cfg, b, numbered(b))
		if p == nil {
			return
		}
		whole, err := p.ApplyOutOfFold(b, numbered(b))
		require.NoError(t, err)
		rows := []int{rapid.IntRange(0, b.NumRows-1).Draw(t, "row"), rapid.IntRange(0, b.NumRows-1).Draw(t, "another")}
		part, err := p.ApplyOutOfFold(featurestest.Rows(b, rows, true), features.Rows{Numbers: []int64{int64(rows[0]), int64(rows[1])}})
		require.NoError(t, err)
		require.Equal(t, []string{featurestest.Texts(whole)[rows[0]], featurestest.Texts(whole)[rows[1]]}, featurestest.Texts(part))
	})
}
