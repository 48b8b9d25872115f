package neural

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOrderIsAPermutationOfItsOwnForEachEpochAndSeed(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 1000} {
		seen := map[string]bool{}
		for seed := range uint64(3) {
			for epoch := 1; epoch <= 3; epoch++ {
				order := make([]uint32, n)
				shuffle(order, seed, epoch)
				again := slices.Repeat([]uint32{7}, n) // what was there before is of no account
				shuffle(again, seed, epoch)
				assert.Equal(t, order, again)
				key := ""
				for _, i := range order {
					key += string(rune(i)) + ","
				}
				seen[key] = true
				slices.Sort(order)
				for i, v := range order {
					require.Equal(t, uint32(i), v)
				}
			}
		}
		if n == 1000 {
			assert.Len(t, seen, 9)
		}
	}
}

// What is computed must be as good as what is listed.
func TestComputedOrderIsAPermutationOfItsOwnForEachEpochAndSeed(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 5, 64, 65, 1000, 4095, 4097} {
		seen := map[string]bool{}
		for seed := range uint64(3) {
			for epoch := 1; epoch <= 3; epoch++ {
				o := &order{room: make([]uint32, n), far: permutation{n: uint64(n)}}
				o.begin(seed, epoch)
				rows := slices.Clone(o.rows(0, n))
				assert.Equal(t, rows[n/3:n/2], o.rows(n/3, n/2))
				seen[fmt.Sprint(rows)] = true
				slices.Sort(rows)
				for i, v := range rows {
					require.Equal(t, uint32(i), v)
				}
			}
		}
		if n >= 64 {
			assert.Len(t, seen, 9)
		}
	}
}

// Where a row goes, and where the row behind it goes, tells nothing.
func TestComputedOrderFavoursNoPlace(t *testing.T) {
	t.Parallel()
	const n, draws, cells = 1_500_000, 20000, 10
	var places, steps [cells]int
	for epoch := range draws {
		p := newPermutation(n, 1, epoch)
		first, second := p.at(0), p.at(1)
		places[first*cells/n]++
		steps[(second+n-first)%n*cells/n]++
	}
	for _, counts := range [][cells]int{places, steps} {
		chi := 0.0
		for _, c := range counts {
			d := float64(c) - draws/cells
			chi += d * d / (draws / cells)
		}
		assert.Less(t, chi, 33.7, "%v", counts) // 9 degrees of freedom: the 99.99th percentile
	}
	p := newPermutation(n, 1, 1)
	chi := 0.0
	var pairs [cells][cells]int // of one epoch: a row and the one behind it
	for i := range uint64(n - 1) {
		pairs[p.at(i)*cells/n][p.at(i+1)*cells/n]++
	}
	for _, row := range pairs {
		for _, c := range row {
			d := float64(c) - n/cells/cells
			chi += d * d / (n / cells / cells)
		}
	}
	assert.Less(t, chi, 160.0) // 99 degrees of freedom: the 99.99th percentile
}

func TestOrderIsListedUpToABoundAndComputedBeyond(t *testing.T) {
	t.Parallel()
	assert.Len(t, newOrder(mostListed, 10).list, mostListed)
	assert.Nil(t, newOrder(mostListed+1, 10).list)
}

func TestOrderFavoursNoPlace(t *testing.T) {
	t.Parallel()
	const n, draws = 5, 20000
	var count [n][n]int
	order := make([]uint32, n)
	for epoch := range draws {
		shuffle(order, 1, epoch)
		for i, v := range order {
			count[i][v]++
		}
	}
	chi := 0.0
	for i := range n {
		for v := range n {
			d := float64(count[i][v]) - draws/n
			chi += d * d / (draws / n)
		}
	}
	assert.Less(t, chi, 45.0) // 16 degrees of freedom: the 99.99th percentile
}

func TestNewWeightsAreThoseOfPyTorchsLinear(t *testing.T) {
	t.Parallel()
	s, err := newShape(25, []int{1000}, 3, extras{})
	require.NoError(t, err)
	flat := s.initial(1)
	assert.Equal(t, flat, s.initial(1))
	assert.NotEqual(t, flat, s.initial(2))
	w := make([]float32, 25*1000)
	s.layers[0].Unpack(w, s.weights(flat, 0))
	const bound = 1.0 / 5 // 1/sqrt(25)
	sum, squares, most := 0.0, 0.0, 0.0
	for _, v := range w {
		sum += float64(v)
		squares += float64(v) * float64(v)
		most = max(most, math.Abs(float64(v)))
	}
	n := float64(len(w))
	assert.InDelta(t, 0, sum/n, 4*bound/math.Sqrt(3*n))
	assert.InDelta(t, bound*bound/3, squares/n, 1e-3)
	assert.LessOrEqual(t, most, bound)
	assert.Greater(t, most, 0.99*bound)
	assert.NotEqual(t, s.bias(flat, 0)[:3], s.bias(flat, 1)[:3])
	for i, v := range s.bias(flat, 1)[3:] {
		assert.Zero(t, v, "padding %d", i)
	}
}

func TestShardsDependOnTheShapeAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		features int
		hidden   []int
		batch    int
		rows     int
	}{
		{10, []int{64, 32}, 1024, 256},
		{100, []int{256, 128}, 1024, 128},
		{200, []int{1024, 512}, 1024, 128},
		{5000, nil, 1024, 128},
		{10, []int{64, 32}, MaxBatchSize, 512},
	} {
		s, err := newShape(c.features, c.hidden, 2, extras{})
		require.NoError(t, err)
		s.limit(c.batch)
		assert.Equal(t, c.rows, s.rows, "%+v", c)
		assert.LessOrEqual(t, (c.batch+s.rows-1)/s.rows, maxShards)
	}
	_, err := newShape(MaxWidth, []int{MaxWidth}, 2, extras{})
	require.ErrorContains(t, err, "make its layers narrower")
	_, err = newShape(MaxWidth+1, nil, 2, extras{})
	require.ErrorContains(t, err, "65537 features")
	s, err := newShape(3, []int{20, 40}, 2, extras{})
	require.NoError(t, err)
	for i, l := range s.layers {
		assert.Equal(t, s.part(i).name(), s.partOf(l.first))
		assert.Equal(t, s.part(i).name(), s.partOf(l.first+l.WeightLen()+l.BiasLen()-1))
	}
}
