package features_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

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
