package neural

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/models"
)

// A single row says nothing of a variance, also when it is a batch by itself.
func TestABatchOfOneRowLeavesRunningStatistics(t *testing.T) {
	t.Parallel()
	for rows, moves := range map[int]bool{1: false, 2: true} {
		c := DefaultConfig()
		c.Hidden, c.Norm, c.BatchSize = []int{4}, BatchNorm, rows
		e, err := New(c, twoClasses)
		require.NoError(t, err)
		f, err := e.newFit(collective.Solo{}, xor(1, 10), models.Table{}, models.Options{})
		require.NoError(t, err)
		defer f.crew.close()
		f.order.begin(1, 1)
		before := slices.Clone(f.weights)
		require.NoError(t, f.step(t.Context()))
		assert.Equal(t, moves, !slices.Equal(f.network.runningOf(before), f.network.runningOf(f.weights)), "%d rows", rows)
		assert.NotEqual(t, before[:f.network.numParams], f.weights[:f.network.numParams])
	}
}

func TestStatisticsThatAreTooLargeAreNamed(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Hidden, c.Norm, c.BatchSize = []int{4}, BatchNorm, 600
	train := xor(1, 1000)
	for i := range train.X {
		train.X[i] *= 1e7
	}
	err := refused(t, c, twoClasses, train, models.Table{}, models.Options{})
	require.ErrorContains(t, err, "the gradient of layer 0, or a mean or variance of its batch norm, is no number or too large")
	assert.Equal(t, fault.Invalid, fault.Of(err))
}

// changed returns a batch norm's model as another program might have written it.
func changed(t *testing.T, norm Norm, change func(map[string]array)) []byte {
	t.Helper()
	b, err := richModel(t, norm).MarshalBinary()
	require.NoError(t, err)
	metadata, arrays, err := decodeTensors(b)
	require.NoError(t, err)
	delete(metadata, checksumKey)
	change(arrays)
	return file(t, metadata, slices.Collect(maps.Values(arrays))...)
}

func TestStatisticsOfOtherProgramsAreLookedAt(t *testing.T) {
	t.Parallel()
	whole := func(layer int, v int64) array {
		return array{name: trackedName(layer), shape: []int{}, whole: &v}
	}
	for want, b := range map[string][]byte{
		"norms.1.num_batches_tracked is not a number of batches, the same for all": changed(t, BatchNorm, func(a map[string]array) { a[trackedName(1)] = whole(1, 78) }),
		"norms.0.num_batches_tracked is not a number of batches": changed(t, BatchNorm, func(a map[string]array) {
			a[trackedName(0)], a[trackedName(1)] = whole(0, -1), whole(1, -1)
		}),
		"norms.1.running_var has a number below 0": changed(t, BatchNorm, func(a map[string]array) { a[varianceName(1)].values[3] = -0.5 }),
		"tensors, expected":                        changed(t, LayerNorm, func(a map[string]array) { a[trackedName(0)] = whole(0, 3) }),
	} {
		_, err := Load(b)
		require.ErrorContains(t, err, want)
		assert.Equal(t, fault.Corrupt, fault.Of(err))
	}
	without := changed(t, BatchNorm, func(a map[string]array) {
		delete(a, trackedName(0))
		delete(a, trackedName(1))
	})
	m, err := Load(without)
	require.NoError(t, err)
	assert.Zero(t, m.updates)
	d, err := Describe(without)
	require.NoError(t, err)
	assert.Equal(t, BatchNorm, d.Layers[0].Norm.Kind)
}

// A model of the best epoch says how many batches its statistics have seen.
func TestBatchesAreTrackedUpToTheBestEpoch(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Hidden, c.Norm, c.BatchSize = []int{4}, BatchNorm, 30
	e, err := New(c, twoClasses)
	require.NoError(t, err)
	f, err := e.newFit(collective.Solo{}, xor(1, 100), models.Table{}, models.Options{})
	require.NoError(t, err)
	defer f.crew.close()
	tracked := func() int64 {
		m, err := f.model()
		require.NoError(t, err)
		return m.(*Model).updates
	}
	f.iteration = 17
	assert.EqualValues(t, 17, tracked())
	f.bestWeights, f.bestEpoch = slices.Clone(f.weights), 3
	assert.EqualValues(t, 12, tracked())
}
