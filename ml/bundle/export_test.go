package bundle

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

func TestWhatONNXCannotSayIsRefusedByName(t *testing.T) {
	t.Parallel()
	withFeatures := sample(t, shapes[0])
	_, err := withFeatures.ONNX(false)
	require.ErrorContains(t, err, `feature "ts" (op datetime) cannot be written as ONNX`)
	require.Equal(t, fault.Invalid, fault.Of(err))
	alone, err := withFeatures.ONNX(true)
	require.NoError(t, err)
	require.NotEmpty(t, alone)

	other := sample(t, shapes[1])
	other.Kind = "gbt"
	_, err = other.ONNX(true)
	require.ErrorContains(t, err, `a model of kind "gbt"`)
}

func TestWeightsGoOutAndComeBack(t *testing.T) {
	t.Parallel()
	for _, s := range shapes {
		b := sample(t, s)
		file, err := b.Weights()
		require.NoError(t, err)
		back, err := b.WithWeights(file)
		require.NoError(t, err)
		require.NoError(t, back.CheckGolden())
		require.Empty(t, back.Metrics)
		want, err := b.Predict(b.Golden())
		require.NoError(t, err)
		got, err := back.Predict(b.Golden())
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = back.Encode()
		require.NoError(t, err)
	}
}

func TestWeightsOfAnotherModelAreRefused(t *testing.T) {
	t.Parallel()
	two, three := sample(t, shapes[1]), sample(t, shapes[3])
	file, err := three.Weights()
	require.NoError(t, err)
	_, err = two.WithWeights(file)
	require.Error(t, err)
	_, err = two.WithWeights([]byte("\x80\x04pickle"))
	require.ErrorContains(t, err, "Python pickle")
	_, err = two.WithWeights([]byte("no safetensors"))
	require.Equal(t, fault.Corrupt, fault.Of(err))
}

func TestADescriptionIsTheNetwork(t *testing.T) {
	t.Parallel()
	b := sample(t, shapes[4])
	raw, err := b.Weights()
	require.NoError(t, err)
	d, err := neural.Describe(raw)
	require.NoError(t, err)
	require.Equal(t, metrics.Regression, d.Problem.Task)
	require.Equal(t, b.Encoder.NumFeatures(), d.Layers[0].In)
	last := d.Layers[len(d.Layers)-1]
	require.Equal(t, 1, last.Out)
	require.Empty(t, last.Activation)
	require.Positive(t, d.Std)
}

// Categories that ONNX cannot look up are refused, each with its reason.
func TestCategoriesThatONNXCannotLookUp(t *testing.T) {
	t.Parallel()
	e := &exporter{bundle: sample(t, shapes[1]), values: map[string]value{}}
	for want, c := range map[string]struct {
		of  value
		all []string
	}{
		"numbers that are not whole":      {value{"c", data.Float64, true}, []string{"1.5"}},
		"both nulls and empty texts":      {value{"c", data.String, true}, []string{"", "a"}},
		`category "x" is no whole number`: {value{"c", data.Int64, true}, []string{"x"}},
	} {
		_, err := e.categories(c.of, c.all, 2, 3)
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
	_, err := e.categories(value{"c", data.String, false}, []string{"", "a"}, 2, 3)
	require.NoError(t, err, "without nulls the empty text is a category")
	e.values["c"] = value{"the name of a result", data.String, true}
	_, err = e.column(features.EncodedColumn{Name: "c", Coded: true, Categories: []string{"", "a"}})
	require.ErrorContains(t, err, `onnx: column "c": there are both nulls and empty texts`)
	_, err = e.source("nothing")
	require.ErrorContains(t, err, `no column "nothing"`)
}
