package kernels

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// PyTorch's _single_tensor_adamw with the L2 of _single_tensor_adam, in float64.
func TestAdamWIsTheFormula(t *testing.T) {
	t.Parallel()
	const n, iterations = 100, 300
	r := rand.New(rand.NewPCG(1, 2))
	for _, v := range variants() {
		o := AdamW{LearningRate: 1e-2, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.05, L2: 0.02}
		w, m, s, g := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		noise(r, w)
		var dw, dm, ds [n]float64
		for i := range w {
			dw[i] = float64(w[i])
		}
		for at := int64(1); at <= iterations; at++ {
			noise(r, g)
			o.update(v, w, m, s, g, at)
			for i := range dw {
				x := float64(g[i]) + o.L2*dw[i]
				dw[i] *= 1 - o.LearningRate*o.WeightDecay
				dm[i] += (1 - o.Beta1) * (x - dm[i])
				ds[i] = o.Beta2*ds[i] + (1-o.Beta2)*x*x
				denominator := math.Sqrt(ds[i])/math.Sqrt(1-math.Pow(o.Beta2, float64(at))) + o.Epsilon
				dw[i] -= o.LearningRate / (1 - math.Pow(o.Beta1, float64(at))) * dm[i] / denominator
			}
		}
		for i := range w {
			if math.Abs(float64(w[i])-dw[i]) > 2e-5 {
				t.Fatalf("%v: weight %d is %v, expected %v", v, i, w[i], dw[i])
			}
		}
	}
}

func TestPowerIsPower(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{0, 1, 2, 3, 10, 1000, 123457} {
		if got, want := Power(0.999, n), math.Pow(0.999, float64(n)); math.Abs(got-want) > 1e-11*want {
			t.Errorf("0.999^%d = %v, expected %v", n, got, want)
		}
	}
}

// Sums in fixed point do not depend on order or grouping.
func TestFixedPointSumsHaveNoOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		const n, blocks = 37, 9
		sum, other, part := make([]int64, n), make([]int64, n), make([]int64, n)
		var all [blocks][n]float32
		for b := range all {
			noise(r, all[b][:])
			if !AddFixed(sum, all[b][:], 1<<24) {
				t.Fatal("out of range")
			}
		}
		for i, b := range r.Perm(blocks) {
			to := other
			if i%3 == 1 {
				to = part // as another rank would
			}
			AddFixed(to, all[b][:], 1<<24)
		}
		g := make([]float32, n)
		FromFixed(g, sum, 1.0/(1<<24))
		for i := range sum {
			if sum[i] != other[i]+part[i] {
				t.Fatalf("sum %d depends on the order", i)
			}
			want := 0.0
			for b := range all {
				want += float64(all[b][i])
			}
			if math.Abs(float64(g[i])-want) > 1e-6 {
				t.Fatalf("sum %d is %v, expected %v", i, g[i], want)
			}
		}
	})
}

func TestFixedPointTellsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	inf := float32(math.Inf(1))
	for _, bad := range []float32{inf, -inf, float32(math.NaN()), 1 << 31, -1 << 31} {
		for at := range 20 {
			g := make([]float32, 20)
			g[19-at/2] = 1.5
			g[at] = bad
			for _, v := range variants() {
				acc := make([]int64, 20)
				if addFixed(v, acc, g, 1<<20) {
					t.Fatalf("%v: %v at %d went unnoticed", v, bad, at)
				}
				if acc[at] != 0 {
					t.Fatalf("%v: %v at %d was added", v, bad, at)
				}
				if i := 19 - at/2; i != at && acc[i] != 3<<19 {
					t.Fatalf("%v: what is in range was not added", v)
				}
			}
		}
	}
	acc, g := make([]int64, 20), make([]float32, 20)
	for i := range g {
		g[i] = math.Nextafter32(1<<31, 0)
	}
	for _, v := range variants() {
		if !addFixed(v, acc, g, 1<<20) {
			t.Fatalf("%v: the largest is out of range", v)
		}
	}
}
