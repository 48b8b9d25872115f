package kernels

import (
	"math/rand/v2"
	"testing"
)

func TestKernelsDoNotAllocate(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	r := rand.New(rand.NewPCG(1, 2))
	d := Dense{In: 300, Out: 300}
	x, y, dx, z := NewMatrix(300, 300), NewMatrix(300, 300), NewMatrix(300, 300), NewMatrix(300, 10)
	w, bias, _ := randomLayer(r, d)
	wt, dw, db := Aligned(d.WeightLen()), Aligned(d.WeightLen()), Aligned(d.BiasLen())
	m, s, acc := Aligned(len(w)), Aligned(len(w)), make([]int64, len(w))
	half := make([]int32, len(w))
	labels, loss := make([]int32, 300), make([]float32, 300)
	drop, norm, stats := Dropout{Rate: 0.5}, LayerNorm{Epsilon: 1e-5}, make([]float32, 600)
	for _, v := range variants() {
		kernels := map[string]func(){
			"forward":         func() { d.forward(v, y, x, w, bias, ReLU) },
			"weight gradient": func() { d.weightGrad(v, dw, x, y, true) },
			"bias gradient":   func() { d.biasGrad(v, db, y, true) },
			"transpose":       func() { d.transpose(v, wt, w) },
			"dropout":         func() { drop.apply(v, y, 1000) },
			"mask":            func() { maskMul(v, dx, y, 2) },
			"tanh":            func() { mapMatrix(v, tanhFunction, y) },
			"gelu":            func() { mapMatrix(v, geluFunction, y) },
			"gelu slope":      func() { slopeMatrix(v, geluFunction, dx, y) },
			"layer norm":      func() { norm.forward(v, y, x, bias, db, stats) },
			"its gradient":    func() { norm.inputGrad(v, y, x, bias, stats) },
			"its scale's":     func() { norm.scaleGrad(v, db, y, x, stats) },
			"scaled columns":  func() { scaleColumns(v, y, x, bias, db) },
			"blended columns": func() { blendColumns(v, y, x, bias, db, db) },
			"add":             func() { add(v, y, x) },
			"slope":           func() { slopeMatrix(v, sigmoidFunction, dx, y) },
			"softmax":         func() { softmax(v, z) },
			"cross entropy":   func() { crossEntropy(v, z, labels, 1, loss) },
			"squared error":   func() { SquaredError(z, z, 1, loss) },
			"adamw":           func() { DefaultAdamW().update(v, w, m, s, dw, 1) },
			"sgd":             func() { SGD{Momentum: 0.9}.update(v, w, m, dw) },
			"sum of squares":  func() { sumSquares(v, dw) },
			"add fixed":       func() { addFixed(v, acc, dw, 1) },
			"from fixed":      func() { fromFixed(v, dw, acc, 1) },
			"narrow":          func() { narrow(v, half, acc) },
			"add narrow":      func() { addNarrow(v, acc, half) },
		}
		for name, f := range kernels {
			if n := testing.AllocsPerRun(2, f); n > 0 {
				t.Errorf("%v: %s allocates %v times", v, name, n)
			}
		}
	}
}
