package features_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
)

// testdata/target_encode.py has made these with scikit-learn.
func TestEncodingsAreThoseOfScikitLearn(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/target_encode.json")
	require.NoError(t, err)
	var golden struct {
		Cases []struct {
			Name                string
			Smoothing           any
			City, Target, Later []any
			Encoded             []float64
		}
	}
	require.NoError(t, json.Unmarshal(text, &golden))
	require.Len(t, golden.Cases, 24)
	nulls := func(list []any) []any {
		for i, v := range list {
			if v == nil {
				list[i] = null{}
			}
		}
		return list
	}
	for _, c := range golden.Cases {
		target := data.Float64
		if _, isText := c.Target[0].(string); isText {
			target = data.String
		}
		b := batch(t, texts(t, "c", nulls(c.City)...), named{"y", column(t, target, c.Target...)})
		p := fitTable(t, encodeBy("smoothing", c.Smoothing), b, numbered(b))
		got, err := p.Apply(batch(t, texts(t, "c", nulls(c.Later)...)))
		require.NoError(t, err)
		for i, want := range c.Encoded {
			assert.InDelta(t, want, got.Columns[0].Float64s[i], 1e-12*math.Abs(want), "%s, smoothing %v, %v", c.Name, c.Smoothing, c.Later[i])
		}
	}
}
