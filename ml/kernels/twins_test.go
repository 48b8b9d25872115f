package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// fataler is a test, of either kind.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// bitwise fails unless got and want are the same bits everywhere, padding and
// what lies between rows included.
func bitwise(t fataler, v Variant, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if !same(got[i], want[i]) {
			t.Fatalf("%v: %s: element %d is %x (%08x), the portable twin has %x (%08x)", v, what, i,
				got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// wild puts zeros of both signs, infinities, NaN, subnormal and huge numbers
// among those of f, if the draw says so.
func wild(t *rapid.T, r *rand.Rand, f []float32) {
	if !rapid.Bool().Draw(t, "wild") {
		return
	}
	inf := float32(math.Inf(1))
	special := []float32{0, float32(math.Copysign(0, -1)), inf, -inf, float32(math.NaN()), 1e-40, -1e-45, 3e38, -3e38, 88, -88, 87.5, -87.5, 0.625, 20, 1}
	for i := range f {
		if r.IntN(10) == 0 {
			f[i] = special[r.IntN(len(special))]
		}
	}
}

// wildMatrix is a random padded matrix, sometimes with wild elements.
func wildMatrix(t *rapid.T, r *rand.Rand, rows, cols int) Matrix {
	m := randomMatrix(r, rows, cols, true)
	for i := range rows {
		for j := range m.Row(i) {
			m.Row(i)[j] *= float32(math.Exp(4 * r.NormFloat64()))
		}
		wild(t, r, m.Row(i))
	}
	return m
}

func TestProductsAreTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, d := randomSize(t, "rows"), Dense{In: randomSize(t, "in"), Out: randomSize(t, "out")}
		x, dz, y := randomMatrix(r, rows, d.In, false), wildMatrix(t, r, rows, d.Out), randomMatrix(r, rows, d.Out, true)
		wild(t, r, x.Data)
		packed, bias, _ := randomLayer(r, d)
		if rapid.Bool().Draw(t, "no bias") {
			bias = nil
		}
		act := Activation(rapid.IntRange(0, 1).Draw(t, "activation"))
		dw, db := Aligned(d.WeightLen()), Aligned(d.BiasLen())
		d.weightGrad(Portable, dw, x, dz, false)
		for _, v := range variants() {
			want, got := y.clone(), y.clone()
			d.forward(Portable, want, x, packed, bias, act)
			d.forward(v, got, x, packed, bias, act)
			bitwise(t, v, "forward", got.Data, want.Data)
			for _, accumulate := range []bool{true, false} {
				want, got := slices.Clone(dw), slices.Clone(dw)
				d.weightGrad(Portable, want, x, dz, accumulate)
				d.weightGrad(v, got, x, dz, accumulate)
				bitwise(t, v, "weight gradient", got, want)
				want, got = slices.Clone(db), slices.Clone(db)
				d.biasGrad(Portable, want, dz, accumulate)
				d.biasGrad(v, got, dz, accumulate)
				bitwise(t, v, "bias gradient", got, want)
			}
		}
	})
}

// Row m of a product depends on row m alone, so blocks may be cut anywhere.
func TestRowsStandAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, d := randomSize(t, "rows"), Dense{In: randomSize(t, "in"), Out: randomSize(t, "out")}
		first := rapid.IntRange(0, rows-1).Draw(t, "first")
		x, y := randomMatrix(r, rows, d.In, false), randomMatrix(r, rows, d.Out, true)
		packed, bias, _ := randomLayer(r, d)
		drop := Dropout{Seed: 1, Iteration: 2, Layer: 3, Rate: 0.5}
		for _, v := range variants() {
			part := y.clone()
			d.forward(v, y, x, packed, bias, Identity)
			d.forward(v, part.Slice(first, rows-first), x.Slice(first, rows-first), packed, bias, Identity)
			drop.apply(v, y, 100)
			drop.apply(v, part.Slice(first, rows-first), 100+uint64(first))
			softmax(v, y)
			softmax(v, part.Slice(first, rows-first))
			for i := first; i < rows; i++ {
				bitwise(t, v, "row", part.Row(i), y.Row(i))
			}
		}
	})
}

func TestElementwiseKernelsAreTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, cols := randomSize(t, "rows"), randomSize(t, "columns")
		g, a := wildMatrix(t, r, rows, cols), wildMatrix(t, r, rows, cols)
		drop := Dropout{Seed: rapid.Uint64().Draw(t, "seed"), Iteration: rapid.Uint64().Draw(t, "iteration"), Layer: 2, Rate: rapid.Float64Range(0, 0.99).Draw(t, "rate")}
		row := rapid.Uint64().Draw(t, "row")
		kernels := map[string]func(v Variant, g Matrix){
			"tanh":          func(v Variant, g Matrix) { mapMatrix(v, tanhFunction, g) },
			"sigmoid":       func(v Variant, g Matrix) { mapMatrix(v, sigmoidFunction, g) },
			"tanh slope":    func(v Variant, g Matrix) { slopeMatrix(v, tanhFunction, g, a) },
			"sigmoid slope": func(v Variant, g Matrix) { slopeMatrix(v, sigmoidFunction, g, a) },
			"gelu":          func(v Variant, g Matrix) { mapMatrix(v, geluFunction, g) },
			"silu":          func(v Variant, g Matrix) { mapMatrix(v, siluFunction, g) },
			"relu":          func(v Variant, g Matrix) { mapMatrix(v, reluFunction, g) },
			"gelu slope":    func(v Variant, g Matrix) { slopeMatrix(v, geluFunction, g, a) },
			"silu slope":    func(v Variant, g Matrix) { slopeMatrix(v, siluFunction, g, a) },
			"mask":          func(v Variant, g Matrix) { maskMul(v, g, a, 1.25) },
			"dropout":       func(v Variant, g Matrix) { drop.apply(v, g, row) },
			"softmax":       softmax,
		}
		for name, f := range kernels {
			want := g.clone()
			f(Portable, want)
			for _, v := range variants() {
				got := g.clone()
				f(v, got)
				bitwise(t, v, name, got.Data, want.Data)
			}
		}
	})
}

func TestCrossEntropiesAreTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, classes := rapid.IntRange(1, 300).Draw(t, "rows"), rapid.IntRange(1, 50).Draw(t, "classes")
		z, labels := wildMatrix(t, r, rows, classes), make([]int32, rows)
		for i := range labels {
			labels[i] = int32(r.IntN(classes))
		}
		want, wantLoss := z.clone(), make([]float32, rows)
		crossEntropy(Portable, want, labels, 0.1, wantLoss)
		for _, v := range variants() {
			got, loss := z.clone(), make([]float32, rows)
			crossEntropy(v, got, labels, 0.1, loss)
			bitwise(t, v, "cross entropy", got.Data, want.Data)
			bitwise(t, v, "loss", loss, wantLoss)
		}
	})
}

func TestOptimizersAreTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		n := rapid.IntRange(1, 200).Draw(t, "n")
		draw := func() []float32 {
			f := Aligned(n + 16)[r.IntN(16):][:n]
			noise(r, f)
			wild(t, r, f)
			return f
		}
		w, m, s, g := draw(), draw(), draw(), draw()
		for i := range s {
			s[i] = max(s[i], 0)
		}
		o := DefaultAdamW()
		o.L2 = rapid.SampledFrom([]float64{0, 0.01}).Draw(t, "l2")
		at := int64(rapid.IntRange(1, 1000).Draw(t, "iteration"))
		ww, wm, ws := slices.Clone(w), slices.Clone(m), slices.Clone(s)
		o.update(Portable, ww, wm, ws, g, at)
		for _, v := range variants() {
			gw, gm, gs := slices.Clone(w), slices.Clone(m), slices.Clone(s)
			o.update(v, gw, gm, gs, g, at)
			bitwise(t, v, "weights", gw, ww)
			bitwise(t, v, "first moment", gm, wm)
			bitwise(t, v, "second moment", gs, ws)
		}
	})
}

func TestSGDsAndNormsAreTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		n := rapid.IntRange(1, 100).Draw(t, "n")
		w, buffer, g := make([]float32, n), make([]float32, n), make([]float32, n)
		noise(r, w)
		noise(r, buffer)
		noise(r, g)
		wild(t, r, g)
		o := SGD{LearningRate: 0.01, Momentum: 0.9, WeightDecay: 0.05, Nesterov: rapid.Bool().Draw(t, "nesterov")}
		ww, wb, norm := slices.Clone(w), slices.Clone(buffer), sumSquares(Portable, g)
		o.update(Portable, ww, wb, g)
		for _, v := range variants() {
			gw, gb := slices.Clone(w), slices.Clone(buffer)
			o.update(v, gw, gb, g)
			bitwise(t, v, "weights", gw, ww)
			bitwise(t, v, "momentum", gb, wb)
			if got := sumSquares(v, g); got != norm && (got == got || norm == norm) {
				t.Fatalf("%v: the sum of squares is %v, expected %v", v, got, norm)
			}
		}
	})
}

func TestFixedPointsAreTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		n := rapid.IntRange(1, 100).Draw(t, "n")
		g, acc := make([]float32, n), make([]int64, n)
		noise(r, g)
		wild(t, r, g)
		for i := range acc {
			acc[i] = int64(r.Uint64()) >> (2 + r.IntN(60))
		}
		scale := math.Ldexp(1, rapid.IntRange(0, 60).Draw(t, "scale"))
		want, back := slices.Clone(acc), make([]float32, n)
		wantOK := addFixed(Portable, want, g, scale)
		fromFixed(Portable, back, want, 1/scale)
		for _, v := range variants() {
			got, gotBack := slices.Clone(acc), make([]float32, n)
			if ok := addFixed(v, got, g, scale); ok != wantOK || !slices.Equal(got, want) {
				t.Fatalf("%v: add fixed: %v %v, the portable twin has %v %v", v, ok, got, wantOK, want)
			}
			fromFixed(v, gotBack, got, 1/scale)
			bitwise(t, v, "from fixed", gotBack, back)
		}
	})
}

func TestNarrowNumbersAreTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		n := rapid.IntRange(0, 100).Draw(t, "n")
		src, acc := make([]int64, n), make([]int64, n)
		for i := range src {
			src[i], acc[i] = int64(int32(r.Uint32()))>>r.IntN(32), int64(r.Uint64())
		}
		fits := true
		if n > 0 && rapid.Bool().Draw(t, "too large") {
			edge := rapid.SampledFrom([]int64{math.MaxInt32, math.MinInt32, math.MaxInt32 + 1, math.MinInt32 - 1, math.MaxInt64, math.MinInt64, 1 << 32}).Draw(t, "number")
			src[r.IntN(n)] = edge
			fits = edge >= math.MinInt32 && edge <= math.MaxInt32
		}
		for _, v := range append(variants(), Portable) {
			dst, got := make([]int32, n), slices.Clone(acc)
			if ok := narrow(v, dst, src); ok != fits {
				t.Fatalf("%v: all of %v fit: %v, expected %v", v, src, ok, fits)
			}
			if !fits {
				continue
			}
			addNarrow(v, got, dst)
			for i := range src {
				if got[i] != acc[i]+src[i] {
					t.Fatalf("%v: %d and %d are %d", v, acc[i], src[i], got[i])
				}
			}
		}
	})
}

// Shapes that are cut into blocks, along the rows and along k.
func TestBlocksAreTwins(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []struct{ rows, in, out int }{{150, 1100, 40}, {1100, 150, 20}, {700, 30, 3}, {5, 2000, 70}, {1, 40, 300}, {2, 700, 200}, {3, 30, 260}} {
		d := Dense{In: s.in, Out: s.out}
		x, dz, y := randomMatrix(r, s.rows, s.in, false), randomMatrix(r, s.rows, s.out, true), randomMatrix(r, s.rows, s.out, true)
		packed, bias, _ := randomLayer(r, d)
		start := Aligned(d.WeightLen())
		d.weightGrad(Portable, start, x.Slice(0, 1), dz.Slice(0, 1), false)
		want, wantGrad := y.clone(), slices.Clone(start)
		d.forward(Portable, want, x, packed, bias, ReLU)
		d.weightGrad(Portable, wantGrad, x, dz, true)
		for _, v := range variants() {
			got, grad := y.clone(), slices.Clone(start)
			d.forward(v, got, x, packed, bias, ReLU)
			d.weightGrad(v, grad, x, dz, true)
			bitwise(t, v, "forward", got.Data, want.Data)
			bitwise(t, v, "weight gradient", grad, wantGrad)
		}
	}
}

func TestNoRowsAreNoTrouble(t *testing.T) {
	t.Parallel()
	d := Dense{In: 5, Out: 7}
	x, y := Matrix{Cols: 5, Stride: 16}, Matrix{Cols: 7, Stride: 16}
	w, bias := Aligned(d.WeightLen()), Aligned(d.BiasLen())
	for _, v := range variants() {
		grad := Aligned(d.WeightLen())
		grad[0] = 1
		d.forward(v, y, x, w, bias, ReLU)
		d.weightGrad(v, grad, x, y, true)
		if grad[0] != 1 {
			t.Errorf("%v: a gradient of no rows changed the sum", v)
		}
		d.weightGrad(v, grad, x, y, false)
		if grad[0] != 0 {
			t.Errorf("%v: the gradient of no rows is not zero", v)
		}
		d.biasGrad(v, bias, y, false)
		Dropout{Rate: 0.5}.apply(v, y, 1)
		maskMul(v, y, y, 1)
		mapMatrix(v, tanhFunction, y)
		softmax(v, y)
		crossEntropy(v, y, nil, 1, nil)
		DefaultAdamW().update(v, nil, nil, nil, nil, 1)
		SGD{}.update(v, nil, nil, nil)
		if sumSquares(v, nil) != 0 {
			t.Errorf("%v: nothing has a norm", v)
		}
		if !addFixed(v, nil, nil, 1) {
			t.Errorf("%v: nothing did not fit", v)
		}
		fromFixed(v, nil, nil, 1)
	}
}
