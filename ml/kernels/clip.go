package kernels

// SumSquares returns the sum of the squares of g, of shape (n,), in float64. A
// square of a float32 is exact there. The sum is that of 16 sums, of the elements
// whose numbers are equal modulo 16, in order of number; the 16 are added in
// halves, as in [CrossEntropy]. So it is the same whatever the width of vectors.
func SumSquares(g []float32) float64 { return sumSquares(Active(), g) }

func sumSquares(v Variant, g []float32) float64 {
	var sums [lanes]float64
	done := 0
	if v != Portable {
		done = sumSquaresVector(v, &sums, g)
	}
	for i, x := range g[done:] {
		sums[i%lanes] += float64(float64(x) * float64(x))
	}
	for half := lanes / 2; half > 0; half /= 2 {
		for i := range half {
			sums[i] += sums[i+half]
		}
	}
	return sums[0]
}

// Shrink multiplies g, of shape (n,), by factor.
func Shrink(g []float32, factor float32) {
	for i, x := range g {
		g[i] = x * factor
	}
}

// Bound brings g, of shape (n,), into -limit..limit. NaN stays what it is.
func Bound(g []float32, limit float32) {
	for i, x := range g {
		switch {
		case x > limit:
			g[i] = limit
		case x < -limit:
			g[i] = -limit
		}
	}
}
