package kernels

func layerNormVector(v Variant, epsilon float32, y, x Matrix, scale, shift, stats []float32) bool {
	n := layerNorm{scale: &scale[0], shift: &shift[0], cols: float32(x.Cols), epsilon: epsilon, tail: tailMask(x.Cols)}
	groups, yStride, xStride := int64(PadCols(x.Cols)/lanes), int64(y.Stride*floatSize), int64(x.Stride*floatSize)
	for i := 0; ; {
		rows, more := x.chunk(i)
		if !more {
			return true
		}
		n.stats = &stats[2*i]
		if v == AVX512 {
			layerRows512(&y.Data[i*y.Stride], &x.Data[i*x.Stride], int64(rows), groups, yStride, xStride, &n)
		} else {
			layerRows256(&y.Data[i*y.Stride], &x.Data[i*x.Stride], int64(rows), groups, yStride, xStride, &n)
		}
		i += rows
	}
}

func layerSlopeVector(v Variant, g, x Matrix, scale, stats []float32) bool {
	n := layerNorm{scale: &scale[0], cols: float32(x.Cols), tail: tailMask(x.Cols)}
	groups, gStride, xStride := int64(PadCols(x.Cols)/lanes), int64(g.Stride*floatSize), int64(x.Stride*floatSize)
	for i := 0; ; {
		rows, more := x.chunk(i)
		if !more {
			return true
		}
		n.stats = &stats[2*i]
		if v == AVX512 {
			layerSlopes512(&g.Data[i*g.Stride], &x.Data[i*x.Stride], int64(rows), groups, gStride, xStride, &n)
		} else {
			layerSlopes256(&g.Data[i*g.Stride], &x.Data[i*x.Stride], int64(rows), groups, gStride, xStride, &n)
		}
		i += rows
	}
}

func scaleSlopeVector(v Variant, sum []float32, g, x Matrix, stats []float32) bool {
	vectors, gStride, xStride := int64(len(sum)/v.width()), int64(g.Stride*floatSize), int64(x.Stride*floatSize)
	for i := 0; ; {
		rows, more := x.chunk(i)
		if !more {
			return true
		}
		if v == AVX512 {
			scaleSlopes512(&sum[0], &g.Data[i*g.Stride], &x.Data[i*x.Stride], &stats[2*i], int64(rows), vectors, gStride, xStride)
		} else {
			scaleSlopes256(&sum[0], &g.Data[i*g.Stride], &x.Data[i*x.Stride], &stats[2*i], int64(rows), vectors, gStride, xStride)
		}
		i += rows
	}
}
