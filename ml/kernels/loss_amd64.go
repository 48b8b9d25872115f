package kernels

// tailMask has all bits set for the classes that the last 16 of a row hold.
func tailMask(classes int) (mask [lanes]uint32) {
	for i := range (classes-1)%lanes + 1 {
		mask[i] = 1<<32 - 1
	}
	return mask
}

func softmaxVector(v Variant, z Matrix) bool {
	mask := tailMask(z.Cols)
	for i := 0; ; {
		rows, more := z.chunk(i)
		if !more {
			break
		}
		groups, stride := int64(PadCols(z.Cols)/lanes), int64(z.Stride*floatSize)
		if v == AVX512 {
			softmaxRows512(&z.Data[i*z.Stride], int64(rows), groups, stride, &mask)
		} else {
			softmaxRows256(&z.Data[i*z.Stride], int64(rows), groups, stride, &mask)
		}
		i += rows
	}
	z.clearPadding()
	return true
}

func crossVector(v Variant, z Matrix, labels []int32, scale float32, loss []float32) bool {
	const most = 128 // rows at once
	var sums, own [most]float32
	mask := tailMask(z.Cols)
	for i := 0; i < z.Rows; {
		rows := min(most, chunkRows(z), z.Rows-i)
		groups, stride, vectors := int64(PadCols(z.Cols)/lanes), int64(z.Stride*floatSize), int64((rows+lanes-1)/lanes*lanes/v.width())
		if v == AVX512 {
			crossRows512(&z.Data[i*z.Stride], &labels[i], int64(rows), groups, stride, scale, &mask, &sums[0], &own[0])
			logSums512(&own[0], &sums[0], vectors)
		} else {
			crossRows256(&z.Data[i*z.Stride], &labels[i], int64(rows), groups, stride, scale, &mask, &sums[0], &own[0])
			logSums256(&own[0], &sums[0], vectors)
		}
		copy(loss[i:i+rows], own[:rows])
		i += rows
	}
	z.clearPadding()
	return true
}
