package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func variants() []Variant {
	var all []Variant
	for v := Portable; v <= best; v++ {
		all = append(all, v)
	}
	return all
}

// noise fills f with normal numbers, some of them zero.
func noise(r *rand.Rand, f []float32) {
	for i := range f {
		f[i] = float32(r.NormFloat64())
		if r.IntN(8) == 0 {
			f[i] = 0
		}
	}
}

// randomMatrix has any stride that is allowed, any alignment, and noise also
// between its rows when it is not padded.
func randomMatrix(r *rand.Rand, rows, cols int, padded bool) Matrix {
	stride := cols + r.IntN(20)
	if padded {
		stride = PadCols(cols) + r.IntN(20)
	}
	shift := r.IntN(16)
	m := Matrix{Data: Aligned(rows*stride + shift)[shift:], Rows: rows, Cols: cols, Stride: stride}
	noise(r, m.Data)
	if padded {
		m.clearPadding()
	}
	return m
}

func randomSize(t *rapid.T, name string) int {
	return rapid.IntRange(1, 70).Draw(t, name)
}

func randomSource(t *rapid.T) *rand.Rand {
	return rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
}

func (m Matrix) clone() Matrix {
	m.Data = slices.Clone(m.Data)
	return m
}

// randomLayer returns packed weights, bias and the plain ones.
func randomLayer(r *rand.Rand, d Dense) (packed, bias, plain []float32) {
	plain = make([]float32, d.In*d.Out)
	noise(r, plain)
	packed, bias = Aligned(d.WeightLen()), Aligned(d.BiasLen())
	d.Pack(packed, plain)
	noise(r, bias[:d.Out])
	return packed, bias, plain
}

func TestPackUnpackAndTranspose(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		d := Dense{In: randomSize(t, "in"), Out: randomSize(t, "out")}
		packed, _, plain := randomLayer(r, d)
		back := make([]float32, len(plain))
		d.Unpack(back, packed)
		if !slices.Equal(back, plain) {
			t.Fatal("unpack is not the inverse of pack")
		}
		for _, v := range variants() {
			wt := make([]float32, d.Transposed().WeightLen())
			noise(r, wt)
			d.transpose(v, wt, packed)
			again := make([]float32, d.WeightLen())
			d.Transposed().transpose(v, again, wt)
			if !slices.Equal(again, packed) {
				t.Fatalf("%v: the transpose of the transpose is not the same", v)
			}
			for i := range d.In {
				for o := range d.Out {
					if wt[d.Transposed().Index(o, i)] != packed[d.Index(i, o)] {
						t.Fatalf("%v: weight (%d, %d) is in the wrong place", v, i, o)
					}
				}
			}
		}
	})
}

// close reports whether got is what float32 sums of n terms may make of want.
func close(got float32, want, size float64, n int) bool {
	return math.Abs(float64(got)-want) <= 1e-7*float64(n+4)*(size+1e-30)
}

func TestForwardIsTheProduct(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, d := randomSize(t, "rows"), Dense{In: randomSize(t, "in"), Out: randomSize(t, "out")}
		x, w := randomMatrix(r, rows, d.In, false), []float32(nil)
		packed, bias, w := randomLayer(r, d)
		for _, v := range variants() {
			y := randomMatrix(r, rows, d.Out, true)
			before := y.clone()
			d.forward(v, y, x, packed, bias, ReLU)
			for i := range rows {
				for o := range d.Out {
					sum, size := float64(bias[o]), math.Abs(float64(bias[o]))
					for l := range d.In {
						p := float64(x.Row(i)[l]) * float64(w[o*d.In+l])
						sum, size = sum+p, size+math.Abs(p)
					}
					if got := y.Row(i)[o]; !close(got, max(sum, 0), size, d.In) {
						t.Fatalf("%v: y(%d, %d) = %v, expected %v", v, i, o, got, max(sum, 0))
					}
				}
			}
			outside(t, v, y, before)
		}
	})
}

// outside fails if what is between the rows of m is not as before, or if the
// padding is not zero.
func outside(t *rapid.T, v Variant, m, before Matrix) {
	for i := range m.Rows {
		row := m.Data[i*m.Stride : min((i+1)*m.Stride, len(m.Data))]
		for j := m.Cols; j < PadCols(m.Cols); j++ {
			if row[j] != 0 {
				t.Fatalf("%v: the padding of row %d is not zero", v, i)
			}
		}
		for j := PadCols(m.Cols); j < len(row); j++ {
			if row[j] != before.Data[i*m.Stride+j] {
				t.Fatalf("%v: what follows row %d was overwritten", v, i)
			}
		}
	}
}

func TestGradientsAreTheProducts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, d := randomSize(t, "rows"), Dense{In: randomSize(t, "in"), Out: randomSize(t, "out")}
		x, dz := randomMatrix(r, rows, d.In, false), randomMatrix(r, rows, d.Out, true)
		packed, _, w := randomLayer(r, d)
		wt := Aligned(d.Transposed().WeightLen())
		d.Transpose(wt, packed)
		for _, v := range variants() {
			dx := randomMatrix(r, rows, d.In, true)
			d.Transposed().forward(v, dx, dz, wt, nil, Identity)
			dw, db := Aligned(d.WeightLen()), Aligned(d.BiasLen())
			d.weightGrad(v, dw, x, dz, false)
			d.weightGrad(v, dw, x, dz, true)
			d.biasGrad(v, db, dz, false)
			d.biasGrad(v, db, dz, true)
			for l := range d.In {
				for i := range rows {
					sum := 0.0
					for o := range d.Out {
						sum += float64(dz.Row(i)[o]) * float64(w[o*d.In+l])
					}
					if got := dx.Row(i)[l]; !close(got, sum, 10*float64(d.Out), 1) {
						t.Fatalf("%v: dx(%d, %d) = %v, expected %v", v, i, l, got, sum)
					}
				}
				for o := range d.Out {
					sum := 0.0
					for i := range rows {
						sum += 2 * float64(x.Row(i)[l]) * float64(dz.Row(i)[o])
					}
					if got := dw[d.Index(l, o)]; !close(got, sum, 10*float64(rows), 1) {
						t.Fatalf("%v: dw(%d, %d) = %v, expected %v", v, l, o, got, sum)
					}
				}
			}
			for o := range d.Out {
				sum := 0.0
				for i := range rows {
					sum += 2 * float64(dz.Row(i)[o])
				}
				if !close(db[o], sum, 10*float64(rows), 1) {
					t.Fatalf("%v: db(%d) = %v, expected %v", v, o, db[o], sum)
				}
			}
			for at, g := range dw {
				width := d.Width()
				if o := at/(d.In*width)*width + at%width; o >= d.Out && g != 0 {
					t.Fatalf("%v: the padding of dw is not zero", v)
				}
			}
		}
	})
}
