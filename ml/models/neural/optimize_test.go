package neural

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/models"
)

// optimizers is PyTorch's optimizers and schedulers, and what they do:
// testdata/optimizers.py.
type optimizers struct {
	Networks []struct {
		golden
		Optimizer Optimizer
	}
	Rates []struct {
		Epochs, Batches int
		Rate            float64
		Scheduler       Scheduler
		Rates           []float64
	}
}

func readOptimizers(t *testing.T) (all optimizers) {
	t.Helper()
	text, err := os.ReadFile("testdata/optimizers.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &all))
	require.NotEmpty(t, all.Networks)
	require.NotEmpty(t, all.Rates)
	return all
}

func TestOptimizersAreThoseOfPyTorch(t *testing.T) {
	t.Parallel()
	for _, g := range readOptimizers(t).Networks {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			c := g.config()
			c.Optimizer = g.Optimizer
			if c.Optimizer.Beta1 == 0 {
				c.Optimizer.Beta1, c.Optimizer.Beta2 = 0.9, 0.999
			}
			c.Optimizer.Epsilon = 1e-8
			g.run(t, c)
		})
	}
}

func TestRatesAreThoseOfPyTorch(t *testing.T) {
	t.Parallel()
	for _, g := range readOptimizers(t).Rates {
		r := newRates(Config{Epochs: g.Epochs, Scheduler: g.Scheduler}, g.Batches)
		var got []float64
		for i := range g.Rates {
			got = append(got, r.at(g.Rate, int64(i)))
		}
		assert.Len(t, g.Rates, g.Epochs*g.Batches)
		assert.InDeltaSlice(t, g.Rates, got, 1e-14, "%+v", g.Scheduler)
	}
}

func TestCosPiIsTheCosine(t *testing.T) {
	t.Parallel()
	for i := range 1001 {
		x := float64(i) / 1000
		assert.InDelta(t, math.Cos(math.Pi*x), cosPi(x), 1e-15)
	}
}

// A cosine reaches its end with the last epoch, so a checkpoint of it is of that
// many; others may go on longer.
func TestCheckpointsKnowTheEpochsOfACosine(t *testing.T) {
	t.Parallel()
	for scheduler, want := range map[SchedulerType]bool{Cosine: false, Step: true, Constant: true} {
		c := DefaultConfig()
		c.Hidden, c.Epochs, c.Scheduler.Type = []int{4}, 2, scheduler
		var last []byte
		fitSolo(t, c, twoClasses, xor(1, 100), models.Table{}, models.Options{Checkpoint: func(_ context.Context, b []byte) error {
			last = b
			return nil
		}})
		c.Epochs = 3
		e, err := New(c, twoClasses)
		require.NoError(t, err)
		_, err = e.Fit(t.Context(), collective.Solo{}, xor(1, 100), models.Table{}, models.Options{Resume: last})
		assert.Equal(t, want, err == nil, "%s: %v", scheduler, err)
	}
}
