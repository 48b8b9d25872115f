package kernels

// Rows of up to 16 classes share vectors, if the variant has segments for so
// many; what is left, and rows of more classes, go one by one.

// segment returns the lanes that a row of so many classes takes in a vector,
// and the rows that a vector takes, or 0 and 1 if they go one by one.
func (v Variant) segment(classes int) (size, rows int) {
	switch {
	case classes <= 4:
		size = 4
	case classes <= 8:
		size = 8
	case classes <= 16 && v == AVX512:
		size = 16
	default:
		return 0, 1
	}
	return size, v.width() / size
}

// tailMask has all bits set for the classes that the last 16 of a row hold.
func tailMask(classes int) (mask [lanes]uint32) {
	for i := range (classes-1)%lanes + 1 {
		mask[i] = 1<<32 - 1
	}
	return mask
}

func softmaxVector(v Variant, z Matrix) bool {
	mask := tailMask(z.Cols)
	size, perVector := v.segment(z.Cols)
	for i := 0; ; {
		rows, more := z.chunk(i)
		if !more {
			return true
		}
		if size > 0 && rows >= perVector {
			rows -= rows % perVector
			softmaxSegments(v, size, z, i, int64(rows/perVector))
			i += rows
			continue
		}
		groups, stride := int64(PadCols(z.Cols)/lanes), int64(z.Stride*floatSize)
		if v == AVX512 {
			softmaxRows512(&z.Data[i*z.Stride], int64(rows), groups, stride, &mask)
		} else {
			softmaxRows256(&z.Data[i*z.Stride], int64(rows), groups, stride, &mask)
		}
		i += rows
	}
}

// softmaxSegments does so many vectors of rows, from row i on.
func softmaxSegments(v Variant, size int, z Matrix, i int, vectors int64) {
	at, stride, classes := &z.Data[i*z.Stride], int64(z.Stride*floatSize), int64(z.Cols)
	switch {
	case v == AVX512 && size == 4:
		softmax4x512(at, vectors, stride, classes)
	case v == AVX512 && size == 8:
		softmax8x512(at, vectors, stride, classes)
	case v == AVX512:
		softmax16x512(at, vectors, stride, classes)
	case size == 4:
		softmax4x256(at, vectors, stride, classes)
	default:
		softmax8x256(at, vectors, stride, classes)
	}
}

// crossing is room for the rows of one call: the distance of the label's logit
// from the largest, and the sum of the exponentials.
type crossing struct {
	own, sums [128]float32
}

func crossVector(v Variant, z Matrix, labels []int32, scale float32, loss []float32) bool {
	var c crossing
	mask := tailMask(z.Cols)
	size, perVector := v.segment(z.Cols)
	for i := 0; i < z.Rows; {
		rows := min(len(c.own), chunkRows(z), z.Rows-i)
		if size > 0 && rows >= perVector {
			rows -= rows % perVector
			c.segments(v, size, z, i, int64(rows/perVector), labels, scale)
		} else {
			c.rows(v, z, i, int64(rows), labels, scale, &mask)
		}
		vectors := int64((rows + lanes - 1) / lanes * lanes / v.width())
		if v == AVX512 {
			logSums512(&c.own[0], &c.sums[0], vectors)
		} else {
			logSums256(&c.own[0], &c.sums[0], vectors)
		}
		copy(loss[i:i+rows], c.own[:rows])
		i += rows
	}
	return true
}

// rows does so many rows, one by one, from row i on.
func (c *crossing) rows(v Variant, z Matrix, i int, rows int64, labels []int32, scale float32, mask *[lanes]uint32) {
	at, groups, stride := &z.Data[i*z.Stride], int64(PadCols(z.Cols)/lanes), int64(z.Stride*floatSize)
	if v == AVX512 {
		crossRows512(at, &labels[i], rows, groups, stride, scale, mask, &c.sums[0], &c.own[0])
	} else {
		crossRows256(at, &labels[i], rows, groups, stride, scale, mask, &c.sums[0], &c.own[0])
	}
}

// segments does so many vectors of rows, from row i on.
func (c *crossing) segments(v Variant, size int, z Matrix, i int, vectors int64, labels []int32, scale float32) {
	at, label, stride, classes := &z.Data[i*z.Stride], &labels[i], int64(z.Stride*floatSize), int64(z.Cols)
	switch {
	case v == AVX512 && size == 4:
		cross4x512(at, label, vectors, stride, scale, classes, &c.sums[0], &c.own[0])
	case v == AVX512 && size == 8:
		cross8x512(at, label, vectors, stride, scale, classes, &c.sums[0], &c.own[0])
	case v == AVX512:
		cross16x512(at, label, vectors, stride, scale, classes, &c.sums[0], &c.own[0])
	case size == 4:
		cross4x256(at, label, vectors, stride, scale, classes, &c.sums[0], &c.own[0])
	default:
		cross8x256(at, label, vectors, stride, scale, classes, &c.sums[0], &c.own[0])
	}
}
