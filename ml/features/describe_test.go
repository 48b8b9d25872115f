package features_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features"
)

func TestWhatLearns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		step         features.Step
		rows, target bool
	}{
		{features.Step{Name: "f", Op: "standard_scale", Of: []string{"x"}}, true, false},
		{features.Step{Name: "f", Op: "one_hot", Of: []string{"x"}}, true, false},
		{features.Step{Name: "f", Op: "impute", Of: []string{"x"}, Params: map[string]any{"strategy": "median"}}, true, false},
		{features.Step{Name: "f", Op: "log1p", Of: []string{"x"}}, false, false},
		{features.Step{Name: "f", Op: "ratio", Of: []string{"x", "y"}}, false, false},
		{features.Step{Name: "f", Op: "hash_encode", Of: []string{"x"}, Params: map[string]any{"buckets": 8}}, false, false},
		{features.Step{Name: "f", Op: "datetime", Of: []string{"x"}, Params: map[string]any{"parts": []any{"hour"}}}, false, false},
		{features.Step{Name: "f", Op: "lag", Of: []string{"x"}}, false, false},
		{features.Step{Name: "f", Op: "expr", Params: map[string]any{"expr": "x + 1"}}, false, false},
		{features.Step{Name: "f", Op: "target_encode", Of: []string{"x"}}, true, true},
		{features.Step{Name: "f", Op: "target_encode", Of: []string{"x"}, Params: map[string]any{"fold_by": "time", "fold_column": "day"}}, true, true},
		{features.Step{Name: "f", Op: "no_such", Of: []string{"x"}}, false, false},
	} {
		rows, target := features.Learns(c.step)
		assert.Equal(t, []bool{c.rows, c.target}, []bool{rows, target}, "%v %v", c.step, c.step.Params)
	}
}

// fittedOn returns features fitted on rows of a number and a text.
func fittedOn(t *testing.T, x []float64, texts []string, steps ...features.Step) []features.Description {
	t.Helper()
	b := &data.Batch{NumRows: len(x), Schema: data.Schema{Fields: []data.Field{{Name: "x", Type: data.Float64}, {Name: "s", Type: data.String}, {Name: "y", Type: data.Float64}}}}
	s := data.NewColumn(data.String, len(x))
	for i, text := range texts {
		code := slices.Index(s.Dict, text)
		if code < 0 {
			code = len(s.Dict)
			s.Dict = append(s.Dict, text)
		}
		s.Codes[i] = uint32(code)
	}
	b.Columns = []*data.Column{{Type: data.Float64, Float64s: x}, s, {Type: data.Float64, Float64s: x}}
	p, err := features.Compile(features.Config{Steps: steps, Target: "y"}, b.Schema)
	require.NoError(t, err)
	for pass := range p.NumPasses() {
		state := p.NewState(pass)
		numbers := make([]int64, len(x))
		for i := range numbers {
			numbers[i] = int64(i)
		}
		require.NoError(t, state.ObserveRows(b, features.Rows{Numbers: numbers}))
		p, err = p.Fit(pass, state)
		require.NoError(t, err)
	}
	out, err := p.Describe()
	require.NoError(t, err)
	return out
}

func TestFittedFeaturesAreDescribedAndCompared(t *testing.T) {
	t.Parallel()
	scale := features.Step{Name: "scale", Op: "standard_scale", Of: []string{"x"}}
	hot := features.Step{Name: "hot", Op: "one_hot", Of: []string{"s"}, Params: map[string]any{"min_count": 1}}
	mean := features.Step{Name: "mean", Op: "target_encode", Of: []string{"s"}, Params: map[string]any{"folds": 2, "smoothing": 0}}
	log := features.Step{Name: "log", Op: "log1p", Of: []string{"x"}}
	a := fittedOn(t, []float64{1, 3, 1, 3}, []string{"p", "q", "p", "q"}, scale, hot, mean)
	assert.Equal(t, map[string]any{"mean": 2.0, "std": 1.0}, a[0].Learned)
	assert.Equal(t, []string{"scale"}, a[0].Outputs)
	assert.Equal(t, map[string]any{"p": 1.0, "q": 3.0}, a[2].Learned.(map[string]any)["categories"])
	assert.NotContains(t, a[2].Learned, "folds", "they are for the rows that taught them")

	same, err := features.Differences(a, fittedOn(t, []float64{3, 1, 3, 1}, []string{"q", "p", "q", "p"}, scale, hot, mean))
	require.NoError(t, err)
	assert.Empty(t, same)

	hot.Params = map[string]any{"min_count": 2}
	b := fittedOn(t, []float64{1, 5, 1, 5, 3}, []string{"p", "r", "p", "r", "r"}, hot, scale, log)
	got, err := features.Differences(a, b)
	require.NoError(t, err)
	half := 0.5
	assert.Contains(t, got, features.Difference{Step: "scale", What: "learned.mean", Before: 2.0, After: 3.0, Relative: &half})
	assert.Contains(t, got, features.Difference{Step: "scale", What: "moved", Before: 1, After: 2})
	assert.Contains(t, got, features.Difference{Step: "mean", What: "removed", Before: "target_encode"})
	one := 1.0
	assert.Contains(t, got, features.Difference{Step: "hot", What: "params.min_count", Before: 1.0, After: 2.0, Relative: &one})
	var texts []string
	for _, d := range got {
		if d.Step == "hot" {
			texts = append(texts, d.What)
		}
	}
	assert.Equal(t, []string{"moved", "params.min_count", `learned.categories["q"]`, `learned.categories["r"]`}, texts, "q has become r")
	assert.Equal(t, features.Difference{Step: "log", What: "added", After: "log1p"}, got[len(got)-1])
}
