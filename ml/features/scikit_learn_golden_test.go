package features_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features"
)

// golden is a step of scikit-learn: what it was fitted to, and what it has made
// of other rows; several columns row by row. nil is missing.
type golden struct {
	Table, Op      string
	Params         map[string]any
	Fit, Then, Out []any
}

// testdata/scikit_learn.py has made these: StandardScaler, MinMaxScaler,
// RobustScaler, SimpleImputer, KBinsDiscretizer (quantile), OrdinalEncoder and
// OneHotEncoder.
func TestStepsAreThoseOfScikitLearn(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/scikit_learn.json")
	require.NoError(t, err)
	var all struct{ Cases []golden }
	require.NoError(t, json.Unmarshal(text, &all))
	tried := map[string]int{}
	for _, g := range all.Cases {
		tried[g.Op]++
		t.Run(fmt.Sprint(g.Op, " ", g.Params, " ", g.Table), func(t *testing.T) {
			t.Parallel()
			g.check(t)
		})
	}
	require.Equal(t, map[string]int{
		"standard_scale": 7, "min_max_scale": 14, "robust_scale": 7, "impute": 30, "quantile_bin": 17, "ordinal_encode": 2, "one_hot": 3,
	}, tried)
}

func (g golden) check(t *testing.T) {
	t.Helper()
	table := func(values []any) *data.Batch {
		typ, cells := data.Float64, make([]any, len(values))
		for i, v := range values {
			if cells[i] = v; v == nil {
				cells[i] = null{}
			}
			if _, isText := v.(string); isText {
				typ = data.String
			}
		}
		return batch(t, named{"x", column(t, typ, cells...)})
	}
	step := features.Step{Name: "y", Op: g.Op, Of: []string{"x"}, Params: g.Params}
	p := fit(t, features.Config{Steps: []features.Step{step}}, table(g.Fit))
	got, err := p.Apply(table(g.Then))
	require.NoError(t, err)
	require.Len(t, g.Out, got.NumRows*len(got.Columns))
	bins, labels := map[any]any{}, map[any]any{}
	for i, want := range g.Out {
		row, c := i/len(got.Columns), got.Columns[i%len(got.Columns)]
		switch v := values(c)[row].(type) {
		case null:
			assert.Nil(t, want, "row %d", row)
		case string:
			if g.Op == "impute" {
				assert.Equal(t, want, v, "row %d", row)
				continue
			}
			// Bins are numbers there and texts here: one for one.
			if _, ok := bins[want]; !ok {
				bins[want] = v
			}
			if _, ok := labels[v]; !ok {
				labels[v] = want
			}
			assert.Equal(t, bins[want], v, "row %d", row)
			assert.Equal(t, labels[v], want, "row %d", row)
		case bool:
			assert.Equal(t, want == 1.0, v, "row %d", row)
		case int:
			assert.EqualValues(t, want, v, "row %d", row)
		case float64:
			require.NotNil(t, want)
			number, ok := want.(float64)
			require.True(t, ok)
			assert.InDelta(t, number, v, 1e-9*max(1, math.Abs(number)), "row %d", row)
		default:
			t.Fatalf("a %T", v)
		}
	}
}
