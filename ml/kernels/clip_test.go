package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSumSquaresIsTheSum(t *testing.T) {
	t.Parallel()
	g := make([]float32, 100_003)
	noise(rand.New(rand.NewPCG(1, 2)), g)
	want := 0.0
	for _, x := range g {
		want += float64(x) * float64(x)
	}
	for _, v := range variants() {
		if got := sumSquares(v, g); math.Abs(got-want) > 1e-11*want {
			t.Errorf("%v: the sum of squares is %v, expected %v", v, got, want)
		}
	}
}

func TestShrinkAndBound(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	g := []float32{-3, -2, -0.5, 0, 2, 5, nan}
	Bound(g, 2)
	if !slices.Equal(g[:6], []float32{-2, -2, -0.5, 0, 2, 2}) || g[6] == g[6] {
		t.Errorf("bounded to %v", g)
	}
	Shrink(g, 0.5)
	if !slices.Equal(g[:6], []float32{-1, -1, -0.25, 0, 1, 1}) || g[6] == g[6] {
		t.Errorf("shrunk to %v", g)
	}
}
