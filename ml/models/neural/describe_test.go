package neural

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// file writes tensors as PyTorch's users do, without a word on the model.
func file(t *testing.T, metadata map[string]string, tensors ...array) []byte {
	t.Helper()
	b, err := encodeTensors(metadata, tensors)
	require.NoError(t, err)
	return b
}

func small(t *testing.T) (*Model, []byte) {
	t.Helper()
	weights := []array{
		{name: "layers.0.weight", shape: []int{3, 2}, values: []float32{1, 2, 3, 4, 5, 6}}, {name: "layers.0.bias", shape: []int{3}, values: []float32{1, 2, 3}},
		{name: "layers.1.weight", shape: []int{2, 3}, values: []float32{1, 0, -1, 2, 0, 1}}, {name: "layers.1.bias", shape: []int{2}, values: []float32{0, 1}},
	}
	b := file(t, map[string]string{formatKey: format, versionKey: version, taskKey: string(metrics.Binary), activationKey: string(ReLU)}, weights...)
	m, err := Load(b)
	require.NoError(t, err)
	return m, b
}

func TestWeightsOfASequentialTakeTheirPlaces(t *testing.T) {
	t.Parallel()
	m, _ := small(t)
	gaps := file(t, nil,
		array{name: "layers.0.weight", shape: []int{1, 2}, values: []float32{1, -1}}, array{name: "layers.0.bias", shape: []int{1}, values: []float32{0.5}},
		array{name: "layers.3.weight", shape: []int{2, 1}, values: []float32{1, 2}}, array{name: "layers.3.bias", shape: []int{2}, values: []float32{0, 0}})
	other, err := m.WithWeights(gaps)
	require.NoError(t, err)
	d, err := Describe(mustMarshal(t, other))
	require.NoError(t, err)
	require.Equal(t, models.Problem{Task: metrics.Binary, NumClasses: 2}, d.Problem)
	require.Equal(t, []Layer{
		{In: 2, Out: 1, Weight: []float32{1, -1}, Bias: []float32{0.5}, Activation: ReLU},
		{In: 1, Out: 2, Weight: []float32{1, 2}, Bias: []float32{0, 0}},
	}, d.Layers)
}

func mustMarshal(t *testing.T, m *Model) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	require.NoError(t, err)
	return b
}

func TestForeignWeightsAreRefusedWithTheirNames(t *testing.T) {
	t.Parallel()
	m, _ := small(t)
	for want, tensors := range map[string][]array{
		`a tensor "net.0.weight"`:              {{name: "net.0.weight", shape: []int{2, 2}, values: make([]float32, 4)}},
		`nn.Sequential save {f"layers.{k}": v`: {{name: "0.weight", shape: []int{2, 2}, values: make([]float32, 4)}},
		"layers.0.bias is missing":             {{name: "layers.0.weight", shape: []int{2, 2}, values: make([]float32, 4)}},
		"layers.1.weight is missing":           {{name: "layers.0.weight", shape: []int{2, 2}, values: make([]float32, 4)}, {name: "layers.0.bias", shape: []int{2}, values: make([]float32, 2)}, {name: "layers.1.bias", shape: []int{2}, values: make([]float32, 2)}},
		"layers.0.weight has shape [2 1], expected [2 2]: the model has 2 features": {{name: "layers.0.weight", shape: []int{2, 1}, values: make([]float32, 2)}, {name: "layers.0.bias", shape: []int{2}, values: make([]float32, 2)}},
		"there is no layers.N.weight": nil,
	} {
		_, err := m.WithWeights(file(t, nil, tensors...))
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
}

// A part of a network that a later version adds is never left out silently.
func TestWhatADescriptionHasNoWordForIsRefused(t *testing.T) {
	t.Parallel()
	_, b := small(t)
	_, err := Describe(b)
	require.NoError(t, err)
	metadata, arrays, err := decodeTensors(b)
	require.NoError(t, err)
	metadata["attention"] = "true"
	var all []array
	for _, a := range arrays {
		all = append(all, a)
	}
	_, err = Describe(file(t, metadata, all...))
	require.ErrorContains(t, err, `the network has attention "true"`)
	require.Equal(t, fault.Invalid, fault.Of(err))
}
