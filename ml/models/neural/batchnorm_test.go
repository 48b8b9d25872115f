package neural

import (
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
