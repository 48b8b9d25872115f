package kernels

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestLayerNormsAreTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, cols := randomSize(t, "rows"), randomSize(t, "columns")
		x, g, y := wildMatrix(t, r, rows, cols), wildMatrix(t, r, rows, cols), randomMatrix(r, rows, cols, true)
		scale, shift := Aligned(PadCols(cols)), Aligned(PadCols(cols))
		noise(r, scale[:cols])
		noise(r, shift[:cols])
		l := LayerNorm{Epsilon: 1e-5}
		want, wantGrad, wantSum, wantStats := y.clone(), g.clone(), slices.Clone(scale), make([]float32, 2*rows)
		l.forward(Portable, want, x, scale, shift, wantStats)
		l.inputGrad(Portable, wantGrad, x, scale, wantStats)
		l.scaleGrad(Portable, wantSum, g, x, wantStats)
		added := g.clone()
		add(Portable, added, x)
		for _, v := range variants() {
			got, grad, sum, stats := y.clone(), g.clone(), slices.Clone(scale), make([]float32, 2*rows)
			l.forward(v, got, x, scale, shift, stats)
			bitwise(t, v, "layer norm", got.Data, want.Data)
			bitwise(t, v, "statistics", stats, wantStats)
			l.inputGrad(v, grad, x, scale, wantStats)
			bitwise(t, v, "gradient", grad.Data, wantGrad.Data)
			l.scaleGrad(v, sum, g, x, wantStats)
			bitwise(t, v, "scale's gradient", sum, wantSum)
			got = g.clone()
			add(v, got, x)
			bitwise(t, v, "sum", got.Data, added.Data)
		}
	})
}

func TestColumnsAreTwins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, cols := randomSize(t, "rows"), randomSize(t, "columns")
		x, g, y := wildMatrix(t, r, rows, cols), wildMatrix(t, r, rows, cols), randomMatrix(r, rows, cols, true)
		var n [3][]float32
		for i := range n {
			n[i] = Aligned(PadCols(cols))
			noise(r, n[i])
		}
		want, wantGrad := y.clone(), g.clone()
		scaleColumns(Portable, want, x, n[0], n[1])
		blendColumns(Portable, wantGrad, x, n[0], n[1], n[2])
		for i := range min(rows, 3) { // the definition, but for rounding
			for j, v := range x.Row(i) {
				affine := float64(v)*float64(n[0][j]) + float64(n[1][j])
				blend := float64(g.Row(i)[j])*float64(n[0][j]) + float64(n[2][j]) + float64(v)*float64(n[1][j])
				size := math.Abs(float64(v)*float64(n[1][j])) + math.Abs(float64(g.Row(i)[j])) + math.Abs(float64(v)) + 1
				if !(math.Abs(affine-float64(want.Row(i)[j])) <= 1e-5*size) && size < 1e30 || !(math.Abs(blend-float64(wantGrad.Row(i)[j])) <= 1e-5*size) && size < 1e30 {
					t.Fatalf("row %d, column %d: %v and %v, expected %v and %v", i, j, want.Row(i)[j], wantGrad.Row(i)[j], affine, blend)
				}
			}
		}
		for _, v := range variants() {
			got, grad, same := y.clone(), g.clone(), x.clone()
			scaleColumns(v, got, x, n[0], n[1])
			bitwise(t, v, "scaled columns", got.Data, want.Data)
			blendColumns(v, grad, x, n[0], n[1], n[2])
			bitwise(t, v, "blended columns", grad.Data, wantGrad.Data)
			scaleColumns(v, same, same, n[0], n[1])
			for i := range rows {
				bitwise(t, v, "scaled in place", same.Row(i), want.Row(i))
			}
		}
	})
}

func TestLayerNormIsTheDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, cols := randomSize(t, "rows"), rapid.IntRange(2, 200).Draw(t, "columns")
		x, y := randomMatrix(r, rows, cols, true), NewMatrix(rows, cols)
		scale, shift, stats := Aligned(PadCols(cols)), Aligned(PadCols(cols)), make([]float32, 2*rows)
		noise(r, scale[:cols])
		noise(r, shift[:cols])
		LayerNorm{Epsilon: 1e-5}.Forward(y, x, scale, shift, stats)
		for i := range rows {
			mean, variance := 0.0, 0.0
			for _, v := range x.Row(i) {
				mean += float64(v) / float64(cols)
			}
			for _, v := range x.Row(i) {
				variance += (float64(v) - mean) * (float64(v) - mean) / float64(cols)
			}
			for j, v := range x.Row(i) {
				want := (float64(v)-mean)/math.Sqrt(variance+1e-5)*float64(scale[j]) + float64(shift[j])
				if math.Abs(float64(y.Row(i)[j])-want) > 2e-5*(1+math.Abs(want)) {
					t.Fatalf("row %d, column %d: %v, expected %v", i, j, y.Row(i)[j], want)
				}
			}
		}
	})
}
