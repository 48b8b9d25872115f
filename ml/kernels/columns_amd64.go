package kernels

func affineVector(v Variant, y, x Matrix, scale, shift []float32) bool {
	vectors, yStride, xStride := int64(PadCols(x.Cols)/v.width()), int64(y.Stride*floatSize), int64(x.Stride*floatSize)
	for i := 0; ; {
		rows, more := x.chunk(i)
		if !more {
			return true
		}
		if v == AVX512 {
			affineRows512(&y.Data[i*y.Stride], &x.Data[i*x.Stride], &scale[0], &shift[0], int64(rows), vectors, yStride, xStride)
		} else {
			affineRows256(&y.Data[i*y.Stride], &x.Data[i*x.Stride], &scale[0], &shift[0], int64(rows), vectors, yStride, xStride)
		}
		i += rows
	}
}

func blendVector(v Variant, g, x Matrix, a, b, c []float32) bool {
	vectors, gStride, xStride := int64(PadCols(x.Cols)/v.width()), int64(g.Stride*floatSize), int64(x.Stride*floatSize)
	for i := 0; ; {
		rows, more := x.chunk(i)
		if !more {
			return true
		}
		if v == AVX512 {
			blendRows512(&g.Data[i*g.Stride], &x.Data[i*x.Stride], &a[0], &b[0], &c[0], int64(rows), vectors, gStride, xStride)
		} else {
			blendRows256(&g.Data[i*g.Stride], &x.Data[i*x.Stride], &a[0], &b[0], &c[0], int64(rows), vectors, gStride, xStride)
		}
		i += rows
	}
}
