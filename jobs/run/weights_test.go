package run

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

func TestClassWeightsAreByTheNumbersOfClasses(t *testing.T) {
	t.Parallel()
	classes := []string{"cat", "dog", "owl"}
	for name, c := range map[string]struct {
		train spec.Train
		want  neural.Loss
	}{
		"none":      {spec.Train{}, neural.Loss{}},
		"smoothing": {spec.Train{LabelSmoothing: 0.1}, neural.Loss{LabelSmoothing: 0.1}},
		"balanced":  {spec.Train{ClassWeights: &spec.ClassWeights{Balanced: true}}, neural.Loss{Balanced: true}},
		"some":      {spec.Train{ClassWeights: &spec.ClassWeights{Of: map[string]float64{"owl": 3, "cat": 0}}}, neural.Loss{ClassWeights: []float64{0, 1, 3}}},
	} {
		got, err := lossOf(&c.train, classes)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
	}
	_, err := lossOf(&spec.Train{Target: "kind", ClassWeights: &spec.ClassWeights{Of: map[string]float64{"owls": 3}}}, classes)
	require.EqualError(t, err, `class_weights: "owls" is no class of the target "kind": there are ["cat","dog","owl"]`)
	_, err = lossOf(&spec.Train{Target: "income", ClassWeights: &spec.ClassWeights{Of: map[string]float64{">51K": 3}}}, []string{"<=50K", ">50K"})
	require.ErrorContains(t, err, `there are ["<=50K",">50K"]`)
	assert.Equal(t, fault.Invalid, fault.Of(err))
}
