package kernels

// adamVector updates whole vectors and returns the number of elements done.
func adamVector(variant Variant, a *adam, w, m, v, g []float32) int {
	width := variant.width()
	n := len(w) / width * width
	for i := 0; i < n; {
		count := min(maxChunk, n-i)
		if variant == AVX512 {
			adam512(&w[i], &m[i], &v[i], &g[i], int64(count/width), a)
		} else {
			adam256(&w[i], &m[i], &v[i], &g[i], int64(count/width), a)
		}
		i += count
	}
	return n
}

// sgdVector updates whole vectors and returns the number of elements done.
func sgdVector(variant Variant, s *sgd, w, buffer, g []float32) int {
	width := variant.width()
	n := len(w) / width * width
	for i := 0; i < n; {
		count := min(maxChunk, n-i)
		if variant == AVX512 {
			sgd512(&w[i], &buffer[i], &g[i], int64(count/width), s)
		} else {
			sgd256(&w[i], &buffer[i], &g[i], int64(count/width), s)
		}
		i += count
	}
	return n
}

// sumSquaresVector adds whole groups of 16 elements and returns the number of
// elements done.
func sumSquaresVector(variant Variant, sums *[lanes]float64, g []float32) int {
	n := len(g) / lanes * lanes
	for i := 0; i < n; {
		count := min(maxChunk, n-i)
		if variant == AVX512 {
			sumSquares512(&sums[0], &g[i], int64(count/lanes))
		} else {
			sumSquares256(&sums[0], &g[i], int64(count/lanes))
		}
		i += count
	}
	return n
}

// addFixedVector adds whole vectors and returns the number of elements done,
// and whether all of them were in range.
func addFixedVector(v Variant, acc []int64, g []float32, scale float64) (int, bool) {
	width := v.width() / 2
	n, ok := len(g)/width*width, true
	for i := 0; i < n; {
		count := min(maxChunk, n-i)
		var good bool
		if v == AVX512 {
			good = addFixed512(&acc[i], &g[i], int64(count/width), scale)
		} else {
			good = addFixed256(&acc[i], &g[i], int64(count/width), scale)
		}
		ok = ok && good
		i += count
	}
	return n, ok
}

// fromFixedVector converts whole vectors and returns the number of elements
// done.
func fromFixedVector(v Variant, g []float32, acc []int64, scale float64) int {
	width := v.width() / 2
	n := len(g) / width * width
	for i := 0; i < n; {
		count := min(maxChunk, n-i)
		if v == AVX512 {
			fromFixed512(&g[i], &acc[i], int64(count/width), scale)
		} else {
			fromFixed256(&g[i], &acc[i], int64(count/width), scale)
		}
		i += count
	}
	return n
}

// narrowVector converts whole vectors and returns the number of elements done,
// and whether all of them fit.
func narrowVector(v Variant, dst []int32, src []int64) (int, bool) {
	width := v.width() / 2
	n, fits := len(src)/width*width, true
	for i := 0; i < n && fits; {
		count := min(maxChunk, n-i)
		if v == AVX512 {
			fits = narrow512(&dst[i], &src[i], int64(count/width))
		} else {
			fits = narrow256(&dst[i], &src[i], int64(count/width))
		}
		i += count
	}
	return n, fits
}

// addNarrowVector adds whole vectors and returns the number of elements done.
func addNarrowVector(v Variant, acc []int64, src []int32) int {
	width := v.width() / 2
	n := len(src) / width * width
	for i := 0; i < n; {
		count := min(maxChunk, n-i)
		if v == AVX512 {
			addNarrow512(&acc[i], &src[i], int64(count/width))
		} else {
			addNarrow256(&acc[i], &src[i], int64(count/width))
		}
		i += count
	}
	return n
}
