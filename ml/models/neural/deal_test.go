package neural

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/models"
)

func TestShardsGoToThoseWhoAreDoneFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shards int
		paces  []int64
		want   []int
	}{
		{8, []int64{0, 0}, []int{4, 4}},
		{8, []int64{5, 5, 5}, []int{3, 3, 2}},
		{8, []int64{10, 30}, []int{6, 2}},
		{8, []int64{1, 1000}, []int{7, 1}}, // one, or its pace would never be known again
		{2, []int64{9, 1, 1}, []int{1, 1, 0}},
		{9, []int64{10, 0, 20}, []int{4, 4, 1}}, // the unknown one counts as the fastest
		{1, []int64{7}, []int{1}},
	} {
		assert.Equal(t, c.want, deal(c.shards, c.paces), "%d shards, paces %v", c.shards, c.paces)
	}
	rapid.Check(t, func(t *rapid.T) {
		shards := rapid.IntRange(1, 60).Draw(t, "shards")
		paces := rapid.SliceOfN(rapid.Int64Range(1, 1000), 1, 9).Draw(t, "paces")
		counts, sum := deal(shards, paces), 0
		for i, n := range counts {
			sum += n
			if n > 1 { // no other would have done its last one earlier
				for j, p := range paces {
					require.LessOrEqual(t, int64(n)*paces[i], int64(counts[j]+1)*p)
				}
			}
		}
		require.Equal(t, shards, sum)
	})
}

// A pause of one batch is no pace; a rank that stays slower is found out.
func TestAPaceIsWhatABatchUsuallyTakes(t *testing.T) {
	t.Parallel()
	var now time.Duration
	d := newDealing(0, 2, func() time.Duration { return now })
	batch := func(took time.Duration) {
		_, n := d.mine(8)
		d.begin()
		now += took * time.Duration(n)
		d.done()
		d.paces = []int64{d.pace, int64(time.Millisecond)}
	}
	for range 40 {
		batch(time.Millisecond)
	}
	batch(time.Hour)
	assert.Less(t, d.pace, int64(2*time.Millisecond))
	for range 40 {
		batch(time.Millisecond)
	}
	assert.Equal(t, []int{4, 4}, d.counts)
	for range 80 {
		batch(3 * time.Millisecond)
	}
	assert.Equal(t, []int{2, 6}, d.counts)
}

// What would be saved by dealing anew must be worth it.
func TestShardsStayWhereTheyAreForLittle(t *testing.T) {
	t.Parallel()
	d := newDealing(0, 2, nil)
	for pace, want := range map[int64][]int{110: {30, 30}, 200: {20, 40}} {
		d.counts, d.shards, d.paces = []int{30, 30}, 60, []int64{pace, 100}
		for range 2 * dealBatches {
			d.mine(60)
		}
		assert.Equal(t, want, d.counts)
	}
}

// A rank whose clock says that it is slow has fewer shards, and the model the same
// bytes.
func TestStragglersHaveFewerShards(t *testing.T) {
	t.Parallel()
	tr := trials()[0]
	tr.config.BatchSize, tr.config.Epochs = 2000, 80
	tr.config.EarlyStopping = nil
	want, err := tr.fit(t.Context(), collective.Solo{}, models.Options{})
	require.NoError(t, err)
	e, err := New(tr.config, tr.problem)
	require.NoError(t, err)
	fits := make([]*fit, 2)
	var ranks sync.WaitGroup
	for rank, comm := range collective.Local(2) {
		var now time.Duration
		clock := func() time.Duration {
			now += time.Duration(1+5*rank) * time.Millisecond
			return now
		}
		f, err := e.newFit(comm, tr.train, tr.validation, models.Options{Clock: clock})
		require.NoError(t, err)
		fits[rank] = f
		ranks.Go(func() {
			defer f.crew.close()
			assert.NoError(t, f.run(t.Context()))
		})
	}
	ranks.Wait()
	assert.Greater(t, fits[0].dealing.counts[0], fits[0].dealing.counts[1], "after %d batches", fits[0].iteration)
	assert.Equal(t, fits[0].dealing.counts, fits[1].dealing.counts)
	m, err := fits[0].model()
	require.NoError(t, err)
	got, err := m.MarshalBinary()
	require.NoError(t, err)
	assert.Equal(t, want, got)
}
