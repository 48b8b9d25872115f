package kernels

import "math"

// product is C = A*B with A of shape (m, k), B (k, n) and C (m, n), in the one
// form that a layer's three products share. Element (i, l) of A is at
// a[i*rowStep+l*innerStep], so that A may be transposed. B and C are cut into
// panels of 32 columns: element (l, j) of B is at b[j/32*bPanel+l*bStride+j%32],
// and likewise C. Both have padding up to a multiple of 16 columns.
type product struct {
	m, n, k            int
	a                  []float32
	rowStep, innerStep int
	b                  []float32
	bStride, bPanel    int
	c                  []float32
	cStride, cPanel    int
	bias               []float32 // added to each row, nil for none
	relu               bool      // applied last
	accumulate         bool      // start from what C holds instead of from zero
}

// multiply computes p: for each element a chain of fused multiply-adds along k,
// from zero or from what C holds, then + bias, then the activation. A chain may
// wait in C, so cutting k into blocks does not change it.
func multiply(v Variant, p *product) {
	if p.m == 0 {
		return
	}
	if v != Portable && multiplyVector(v, p) {
		return
	}
	for j := 0; j < p.n; j += panel {
		width := min(panel, PadCols(p.n-j))
		for i := range p.m {
			var acc [panel]float32
			p.row(acc[:width], i, j/panel)
		}
	}
}

// row computes row i of panel q in acc and writes it to C.
func (p *product) row(acc []float32, i, q int) {
	to := q*p.cPanel + i*p.cStride
	c := p.c[to : to+len(acc)]
	if p.accumulate {
		copy(acc, c)
	}
	at, from := i*p.rowStep, q*p.bPanel
	for range p.k {
		addScaled(acc, p.a[at], p.b[from:from+len(acc)])
		at += p.innerStep
		from += p.bStride
	}
	if p.bias != nil {
		for j, b := range p.bias[q*panel : q*panel+len(acc)] {
			acc[j] += b
		}
	}
	if p.relu {
		for j, s := range acc {
			if 0 > s {
				acc[j] = 0
			}
		}
	}
	copy(c, acc)
}

// addScaled writes fma(a, b, acc) to acc. It is fma written out, which is too
// long to be inlined: see there.
func addScaled(acc []float32, a float32, b []float32) {
	left := float64(a)
	for j, c := range acc[:len(b)] {
		s := float64(left*float64(b[j])) + float64(c)
		if bits := math.Float64bits(s); bits<<35 != 1<<63 && bits<<1 >= smallestNormal<<1 {
			acc[j] = float32(s)
		} else {
			acc[j] = fmaExact(a, b[j], c)
		}
	}
}
