package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchmark runs f with each variant, and reports what was done per second.
func benchmark(b *testing.B, unit string, amount float64, f func(v Variant)) {
	for _, v := range variants() {
		if v == Portable && testing.Short() {
			continue
		}
		b.Run(v.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f(v)
			}
			b.ReportMetric(amount*float64(b.N)/b.Elapsed().Seconds()/1e9, unit)
		})
	}
}

var shapes = []struct{ m, k, n int }{
	{32, 64, 32}, {1, 100, 256}, {1024, 10, 64}, {1024, 100, 256}, {256, 256, 128}, {1024, 128, 2}, {128, 200, 1024}, {128, 1024, 512},
	{4096, 200, 1024}, {4096, 1024, 512}, {1024, 1024, 1024}, {128, 512, 10},
}

func BenchmarkProduct(b *testing.B) {
	for _, s := range shapes {
		d := Dense{In: s.k, Out: s.n}
		r := rand.New(rand.NewPCG(1, 2))
		x, y, dz := NewMatrix(s.m, s.k), NewMatrix(s.m, s.n), NewMatrix(s.m, s.n)
		noise(r, x.Data)
		noise(r, dz.Data)
		w, bias, _ := randomLayer(r, d)
		dw := Aligned(d.WeightLen())
		flops := 2 * float64(s.m) * float64(s.k) * float64(s.n)
		name := fmt.Sprintf("%dx%dx%d", s.m, s.k, s.n)
		b.Run("forward/"+name, func(b *testing.B) {
			benchmark(b, "GFLOP/s", flops, func(v Variant) { d.forward(v, y, x, w, bias, ReLU) })
		})
		b.Run("weights/"+name, func(b *testing.B) {
			benchmark(b, "GFLOP/s", flops, func(v Variant) { d.weightGrad(v, dw, x, dz, true) })
		})
	}
}

// The fused kernels on blocks as training has them; GB/s count what is read
// and written.
func BenchmarkRows(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	y, g := NewMatrix(256, 256), NewMatrix(256, 256)
	noise(r, y.Data)
	noise(r, g.Data)
	size := float64(4 * y.Rows * y.Cols)
	drop := Dropout{Seed: 1, Rate: 1e-9}
	sum := Aligned(256)
	for name, f := range map[string]func(v Variant){
		"dropout": func(v Variant) { drop.apply(v, y, 7) },
		"tanh":    func(v Variant) { mapMatrix(v, tanhFunction, y) },
		"sigmoid": func(v Variant) { mapMatrix(v, sigmoidFunction, y) },
	} {
		b.Run(name, func(b *testing.B) { benchmark(b, "GB/s", 2*size, f) })
	}
	b.Run("mask", func(b *testing.B) { benchmark(b, "GB/s", 3*size, func(v Variant) { maskMul(v, g, y, 1) }) })
	b.Run("bias", func(b *testing.B) {
		benchmark(b, "GB/s", size, func(v Variant) { Dense{1, 256}.biasGrad(v, sum, g, false) })
	})
	for _, classes := range []int{2, 10, 100} {
		z, labels, loss := NewMatrix(1024, classes), make([]int32, 1024), make([]float32, 1024)
		noise(r, z.Data)
		b.Run(fmt.Sprintf("cross/%d", classes), func(b *testing.B) {
			benchmark(b, "Grows/s", 1024, func(v Variant) { crossEntropy(v, z, labels, 1, loss) })
		})
		b.Run(fmt.Sprintf("softmax/%d", classes), func(b *testing.B) {
			benchmark(b, "Grows/s", 1024, func(v Variant) { softmax(v, z) })
		})
	}
}

func BenchmarkFlat(b *testing.B) {
	for _, n := range []int{30_000, 730_000} {
		r := rand.New(rand.NewPCG(1, 2))
		w, m, s, g, acc := Aligned(n), Aligned(n), Aligned(n), Aligned(n), make([]int64, n)
		noise(r, w)
		noise(r, g)
		b.Run(fmt.Sprintf("adamw/%d", n), func(b *testing.B) {
			benchmark(b, "GB/s", 28*float64(n), func(v Variant) { DefaultAdamW().update(v, w, m, s, g, 10) })
		})
		b.Run(fmt.Sprintf("add/%d", n), func(b *testing.B) {
			benchmark(b, "GB/s", 20*float64(n), func(v Variant) { addFixed(v, acc, g, 1<<20) })
		})
		b.Run(fmt.Sprintf("from/%d", n), func(b *testing.B) {
			benchmark(b, "GB/s", 12*float64(n), func(v Variant) { fromFixed(v, g, acc, 1.0/(1<<20)) })
		})
		half, sums := make([]int32, n), make([]int64, n)
		b.Run(fmt.Sprintf("narrow/%d", n), func(b *testing.B) {
			benchmark(b, "GB/s", 12*float64(n), func(v Variant) { narrow(v, half, sums) })
		})
		b.Run(fmt.Sprintf("add narrow/%d", n), func(b *testing.B) {
			benchmark(b, "GB/s", 20*float64(n), func(v Variant) { addNarrow(v, sums, half) })
		})
	}
	d := Dense{In: 1024, Out: 512}
	w, wt := Aligned(d.WeightLen()), Aligned(d.WeightLen())
	b.Run("transpose", func(b *testing.B) {
		benchmark(b, "GB/s", 8*float64(len(w)), func(v Variant) { d.transpose(v, wt, w) })
	})
}
